package config

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Whose breaker a request has is the route's where an override or the top level says so, and else the cluster's.
func TestByRoute(t *testing.T) {
	c, err := Parse([]byte(`{"failure_rate": 10, "clusters": [
		{"match": "shop", "route": "reports*", "failure_rate": 20},
		{"match": "shop", "route": "checkout", "per": "route", "failure_rate": 30},
		{"match": "shop", "failure_rate": 40},
		{"match": "all", "per": "route", "failure_rate": 50},
		{"match": "all", "route": "never", "failure_rate": 60},
		{"match": "late*", "failure_rate": 70},
		{"match": "later", "route": "*", "failure_rate": 80}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for cluster, want := range map[string]bool{"shop": true, "all": true, "later": false, "another": false} {
		if got := c.ByRoute(cluster); got != want {
			t.Errorf("ByRoute(%q) = %v", cluster, got)
		}
	}
	for _, want := range []struct {
		cluster, route string
		rate           float64
		perRoute       bool
	}{
		{"shop", "reports", 20, true}, {"shop", "reports-old", 20, true}, {"shop", "checkout", 30, true}, {"shop", "Reports", 40, false},
		{"shop", "", 40, false}, {"all", "a", 50, true}, {"all", "never", 50, true}, {"all", "", 50, true}, {"later", "a", 70, false}, {"x", "a", 10, false},
	} {
		if r := c.For(want.cluster, want.route); r.Policy.FailureRate != want.rate || r.PerRoute != want.perRoute {
			t.Errorf("%s, %q: %v, %v, want %v, %v", want.cluster, want.route, r.Policy.FailureRate, r.PerRoute, want.rate, want.perRoute)
		}
		if got := c.OwnRoute(want.cluster, want.route); (got == want.route) != (want.perRoute || want.route == "") || got != want.route && got != "" {
			t.Errorf("%s, %q: the breaker is that of route %q", want.cluster, want.route, got)
		}
	}

	c, err = Parse([]byte(`{"per": "route", "clusters": [{"match": "one", "per": "cluster"}, {"match": "two"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if !c.ByRoute("other") || c.ByRoute("one") || !c.ByRoute("two") {
		t.Error("an override does not inherit per, or cannot change it")
	}
}

// The first override that matches counts, however they are kept.
func TestFirstOverride(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(signs string) string {
		b := make([]byte, 1+random.IntN(3))
		for i := range b {
			b[i] = signs[random.IntN(len(signs))]
		}
		return string(b)
	}
	for range 20_000 {
		var m matcher
		var all [][2]string
		for at := range random.IntN(6) {
			over := [2]string{text("ab*"), ""}
			if random.IntN(2) == 0 {
				over[1] = text("ab*")
			}
			all = append(all, over)
			m.add(over[0], over[1], at)
		}
		cluster, routes := text("ab"), []string{"", "a", "b", "ab", "bb", "aba"}
		first := func(route string) int {
			return slices.IndexFunc(all, func(over [2]string) bool {
				return match(over[0], cluster) && (over[1] == "" || route != "" && match(over[1], route))
			})
		}
		for _, route := range routes {
			if got, want := m.find(cluster, route), first(route); got != want {
				t.Fatalf("%q of %q by %q: override %d, want %d", route, cluster, all, got, want)
			}
			if at := first(route); at >= 0 && all[at][1] != "" && !m.hasRoutes(cluster) {
				t.Fatalf("%q by %q has no routes, but %q", cluster, all, route)
			}
		}
		if m.hasRoutes(cluster) && first("") == 0 {
			t.Fatalf("%q has routes, though the first override is for all of it", cluster)
		}
	}
}

// Thousands of overrides for the routes of a cluster are compared with each other, and with what a request brings, in no time.
func TestManyRouteOverrides(t *testing.T) {
	var items []any
	for i := range mostOverrides {
		items = append(items, map[string]any{"match": "shop", "route": fmt.Sprintf("route-%d", i)})
	}
	c, err := Read(map[string]any{"clusters": items})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if w := c.Warnings(); len(w) > 0 {
		t.Error(w)
	}
	for i := range mostOverrides {
		if !c.ByRoute("shop") || c.Match("shop", fmt.Sprintf("route-%d", i)) != i {
			t.Fatalf("route %d has not its own override", i)
		}
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("took %v", took)
	}
}
