package envoy_test

import (
	"fmt"
	"strings"

	"envoy-circuit-breaker/internal/envoy"
)

// maxUpstream is a cluster that limits how long requests may take.
func maxUpstream(duration string) envoy.Cluster {
	return envoy.Cluster{Extra: `
		typed_extension_protocol_options:
		  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
		    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
		    common_http_protocol_options: { max_stream_duration: ` + duration + ` }
		    explicit_http_config: { http_protocol_options: {} }`}
}

// thresholds is a cluster whose Envoy thresholds nothing passes.
func thresholds(http2 bool) envoy.Cluster {
	return envoy.Cluster{HTTP2: http2, Extra: "circuit_breakers: { thresholds: [{ max_pending_requests: 0, max_requests: 0 }] }"}
}

// otherwise is a route that a request with that header does not take.
func otherwise(header string) envoy.Route {
	return envoy.Route{Cluster: theOther, Match: "headers: [{ name: " + header + ", present_match: true }]"}
}

var (
	upgrade = envoy.Route{Action: "upgrade_configs: [{ upgrade_type: websocket }]"}
	connect = envoy.Route{Match: "connect_matcher: {}", Action: "upgrade_configs: [{ upgrade_type: CONNECT, connect_config: {} }]"}
)

// reroutedAfter is a route that a filter after the breaker leaves for the other cluster.
var reroutedAfter = func() envoy.Route {
	r := otherwise("x-rerouted")
	r.Extra = filter("lua-after", `
		"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute
		source_code:
		  inline_string: |
		    function envoy_on_request(handle)
		      handle:headers():add("x-rerouted", "1")
		      handle:clearRouteCache()
		    end`).Extra
	return r
}()

const abort403 = `
	"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
	abort: { http_status: 403, percentage: { numerator: 100 } }`

// filters reply in the upstream's place, each on the routes that enable it.
var filters = []struct {
	name, filter string // what is in the chain, where it lets everything pass
	enable       string // per route
	client       func(*caller) string

	sees, details, flags string
}{
	{
		name:   "fault",
		filter: `"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault`,
		enable: abort403,
		sees:   "403", details: "fault_filter_abort", flags: "FI",
	},
	{
		name:   "rbac",
		filter: `"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC`,
		enable: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute
			rbac:
			  rules:
			    action: DENY
			    policies: { nobody: { permissions: [{ any: true }], principals: [{ any: true }] } }`,
		sees: "403", details: "rbac_access_denied_matched_policy[nobody]",
	},
	{
		name: "jwt",
		filter: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
			providers:
			  issuer: { local_jwks: { inline_string: '{"keys": [{"kty": "oct", "alg": "HS256", "k": "c2VjcmV0"}]}' } }
			requirement_map:
			  needed: { provider_name: issuer }`,
		enable: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig
			requirement_name: needed`,
		sees: "401", details: "jwt_authn_access_denied{Jwt_is_missing}",
	},
	{
		name: "ratelimit",
		filter: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
			stat_prefix: none`,
		enable: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
			stat_prefix: one
			token_bucket: { max_tokens: 1, fill_interval: 3600s }
			filter_enabled: { default_value: { numerator: 100 } }
			filter_enforced: { default_value: { numerator: 100 } }`,
		client: getTwice, sees: "429", details: "local_rate_limited", flags: "RL",
	},
	{
		name:   "lua",
		filter: `"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua`,
		enable: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute
			source_code:
			  inline_string: |
			    function envoy_on_request(handle)
			      handle:respond({[":status"] = "503"}, "no")
			    end`,
		sees: "503", details: "lua_response",
	},
	{
		name: "ext-authz",
		filter: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
			http_service:
			  server_uri: { uri: "http://authz", cluster: authz, timeout: 10s }
			  path_prefix: /authz`,
		enable: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
			check_settings: {}`,
		sees: "403", details: "ext_authz_denied", flags: "UAEX",
	},
}

// filterChain returns the filters with their names ended by the place.
func filterChain(place string) string {
	var b strings.Builder
	for _, f := range filters {
		fmt.Fprintf(&b, "- name: %s-%s\n", f.name, place)
		if f.name == "ext-authz" { // which lets nothing pass by itself
			b.WriteString("  disabled: true\n")
		}
		b.WriteString("  typed_config:" + envoy.Indent(4, f.filter) + "\n")
	}
	return b.String()
}

// filter is a route on which a filter has a configuration of its own.
func filter(name, config string) envoy.Route {
	return envoy.Route{Extra: "typed_per_filter_config:\n  " + name + ":" + envoy.Indent(4, config)}
}
