//go:build linux

package main

import "envoy-circuit-breaker/internal/envoy"

// Files of the plugins, as make builds them.
const (
	pluginFile  = envoy.PluginFile
	emptyFile   = "build/plugin-empty.wasm"
	meteredFile = "build/plugin-allocs.wasm" // ours, with an export that tells how much it has allocated
)

// The configurations of ours.
const (
	defaultConfig = `{}`
	// Everything that a healthy request can pay for: slow calls, overrides to be matched, and gRPC statuses, which failure_on
	// has by default, and which a request with a body is asked for.
	fullConfig    = `{"slow_call": {"duration": "1s"}, "clusters": [{"match": "x*", "failure_rate": 1}, {"match": "c*", "failure_rate": 60}]}`
	failingConfig = `{"failure_rate": 60}`
	// Once open it stays so.
	openConfig = `{"open": {"duration": "1h", "jitter": 0, "max_duration": "1h"}}`
	manyConfig = `{"max_breakers": 1000000}`
)

func unfiltered(name string) envoy.Listener { return envoy.Listener{Name: name} }

func empty() envoy.Listener {
	return envoy.Listener{Name: "empty", Plugin: &envoy.Plugin{Name: "empty", VMID: "empty", File: emptyFile, Config: "{}"}}
}

// rustPeer is another circuit breaker as a plugin, from the file that it is in.
func rustPeer(file string) envoy.Listener {
	return envoy.Listener{Name: "peer", Plugin: &envoy.Plugin{Name: "peer", VMID: "peer", File: file, Config: "{}"}}
}

// ours has, by its name, breakers of its own. All of an Envoy's are in one virtual machine, as they are by default.
func ours(name, config string) envoy.Listener {
	return envoy.Listener{Name: name, Plugin: &envoy.Plugin{Name: name, VMID: "ours", Config: config}}
}

// admissionControl is Envoy's own relative of a circuit breaker. It shares nothing between workers either.
var admissionControl = envoy.Listener{Name: "admission_control", FiltersBefore: `
          - name: envoy.filters.http.admission_control
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.admission_control.v3.AdmissionControl
              enabled: { default_value: true }
              sampling_window: 10s
              success_criteria:
                http_criteria: { http_success_status: [{ start: 100, end: 500 }] }
                grpc_criteria: { grpc_success_status: [0] }`}

// lua is the least of a breaker that fits in a few lines of Lua: each worker counts for itself, and all clusters together.
var lua = envoy.Listener{Name: "lua", FiltersBefore: `
          - name: envoy.filters.http.lua
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
              default_source_code:
                inline_string: |
                  local calls, failures = 0, 0
                  function envoy_on_request(handle)
                    if calls >= 20 and failures * 2 >= calls then
                      handle:respond({[":status"] = "503"}, "")
                    end
                  end
                  function envoy_on_response(handle)
                    if calls >= 1000 then
                      calls, failures = 0, 0
                    end
                    calls = calls + 1
                    if tonumber(handle:headers():get(":status")) >= 500 then
                      failures = failures + 1
                    end
                  end`}
