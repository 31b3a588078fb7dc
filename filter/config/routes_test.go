package config

import "testing"

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
	}

	c, err = Parse([]byte(`{"per": "route", "clusters": [{"match": "one", "per": "cluster"}, {"match": "two"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if !c.ByRoute("other") || c.ByRoute("one") || !c.ByRoute("two") {
		t.Error("an override does not inherit per, or cannot change it")
	}
}
