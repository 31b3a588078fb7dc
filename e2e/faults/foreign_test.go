//go:build faults

package faults_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// sharedKeys are the keys that the plugin uses for some clusters, by what kind of value they have.
func sharedKeys(clusters ...string) map[string][]string {
	key := func(kind, rest string) string {
		return fmt.Sprintf("circuit_breaker/%d\x00%s\x00breaker\x00%s", breaker.RecordVersion, kind, rest)
	}
	keys := map[string][]string{
		"generations": {key("generations", "")}, "full": {key("full", "4096 1")}, "last good": {key("last good", "")}, "matched": {key("matched", "")},
		"not plainly closed": {key("not plainly closed", "")},
	}
	for i, cluster := range clusters {
		for _, kind := range []string{"record", "counts", "streak", "policy", "history", "in force", "route"} {
			keys[kind] = append(keys[kind], key(kind, cluster))
		}
		keys["cluster"] = append(keys["cluster"], key("cluster", fmt.Sprint(i)))
	}
	return keys
}

// The keys that are overwritten are all that the plugin's source names.
func TestSharedKeysAreAll(t *testing.T) {
	files, err := filepath.Glob("../../filter/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	kinds := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:sharedData\{(?:kind: )?|stored\()"([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
			kinds[m[1]] = true
		}
	}
	got, want := slices.Sorted(maps.Keys(sharedKeys("a"))), slices.Sorted(maps.Keys(kinds))
	if !slices.Equal(got, want) {
		t.Errorf("keys of %q, but the plugin has %q", got, want)
	}
}

// Another plugin that shares shared data and overwrites all of it loses no request and crashes nothing. When it is gone, breakers work
// as ever.
func TestForeignPlugin(t *testing.T) {
	t.Parallel()
	const lasts = 10 * time.Second
	upstream := envoytest.NewUpstream(t)
	upstream.Handle(accounted(asTold))
	var clusters []envoy.Cluster
	for _, name := range []string{"healthy", "sick"} {
		clusters = append(clusters, envoy.Cluster{Name: name, Address: upstream.Address})
	}
	var text strings.Builder
	for _, keys := range sharedKeys("healthy", "sick") {
		for _, key := range keys {
			fmt.Fprintln(&text, hex.EncodeToString([]byte(key)))
		}
	}
	foreign := func(keys string) string {
		return envoy.Plugin{Name: "foreign", File: "build/plugin-foreign.wasm", Config: keys}.TypedConfig()
	}
	live := envoytest.NewLive(t, "")
	live.PushFilter(foreign("\n"))
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: clusters,
		Listeners: []envoy.Listener{
			{Routes: byHeader, Plugin: &envoy.Plugin{Config: `{"clusters": [{"match": "sick", "failure_rate": 0, "consecutive_failures": 10}],
				"open": {"duration": "2s", "max_duration": "2s", "jitter": 0}, "half_open": {"success_threshold": 2, "permit_timeout": "1s"}}`}},
			{Name: "other", FiltersBefore: live.Filter()},
			{Name: "status", Plugin: &envoy.Plugin{Config: `{"status": {"path": "/status"}}`}},
		},
		// So one breaker has its counts in shared data.
		Extra: `stats_config: { stats_matcher: { exclusion_list: { patterns: [{ suffix: cluster.healthy.calls }] } } }`,
	})
	healthy, sick := newCustomer(t, e, "healthy"), newCustomer(t, e, "sick", failHeader, "1")
	if err := sick.cycle(tripAt); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		healthy.good()
	}

	taken, _ := e.Updates()
	live.PushFilter(foreign(text.String()))
	e.AwaitUpdates(taken + 1)
	sick.reason(true)
	for deadline := time.Now().Add(lasts); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		healthy.good()
		if sick.sofar().Requests%100 < 50 {
			sick.sick()
		} else {
			sick.good()
		}
		if sick.sofar().Requests%50 == 0 {
			_, _ = readStatus(e) // which may have nothing to show, but must not crash
		}
	}
	live.PushFilter(foreign("\n"))
	e.AwaitUpdates(taken + 2)
	written := awaitStandstill(t, e, "wasmcustom.foreign.written")

	// What it wrote last may be an open record or a streak of anything.
	envoytest.Eventually(t, 60*time.Second, func() error {
		for _, p := range []*customer{sick, healthy} {
			if a := p.good(); a.Status != 200 {
				return fmt.Errorf("%s: %+v", p.cluster, a)
			}
		}
		if b := e.Breaker("sick"); b.State() != breaker.Closed {
			return fmt.Errorf("%v", b)
		}
		return nil
	})
	if err := sick.cycle(tripAt); err != nil {
		t.Error(err)
	}
	for range 20 {
		healthy.good()
	}
	h, s := healthy.end(), sick.end()
	if h.Lost() != 0 || s.Lost() != 0 || h.Wrong != 0 || s.Wrong != 0 {
		t.Errorf("healthy: %v\nsick: %v", h, s)
	}
	if strings.Contains(e.Log(), "panic") {
		t.Error("the plugin has crashed")
	}
	report(t, row{"Envoy", "another plugin overwrites every key of ours", h.plus(s), int(written),
		fmt.Sprintf("%d requests passed in doubt; as ever afterwards", e.Breaker("healthy")[breaker.Errors]+e.Breaker("sick")[breaker.Errors])})
}

// awaitStandstill waits until a counter stands still, and returns it.
func awaitStandstill(t *testing.T, e *envoytest.Envoy, counter string) (value uint64) {
	t.Helper()
	since := time.Now()
	envoytest.Eventually(t, 60*time.Second, func() error {
		if n := e.Stat(counter); n != value {
			value, since = n, time.Now()
		}
		if time.Since(since) < 2*time.Second {
			return fmt.Errorf("%s moves: %d", counter, value)
		}
		return nil
	})
	return value
}
