package replay

import (
	"testing"

	"envoy-circuit-breaker/internal/accesslog"
)

// However a configuration is written, its fingerprint is the same; where it is another, or in another order, it is not.
func TestFingerprint(t *testing.T) {
	same := []string{`{}`, `{"failure_rate": 50, "window": {"duration": "10000ms"}, "clusters": []}`, `{"reject": {"status": 429}, "status": {"path": "/breakers"}}`}
	others := []string{
		`{"failure_rate": 49.999999}`, `{"open": {"jitter": 0.1}}`, `{"failure_on": ["5xx"]}`, `{"failure_on": ["5xx", "429"]}`, `{"max_breakers": 5}`, `{"per": "route"}`,
		`{"open": {"honor_retry_after": true}}`, `{"fallback": {"header": "x-fallback"}}`, `{"mode": "shadow"}`, `{"probe": {"path": "/health"}}`,
		`{"clusters": [{"match": "a"}]}`, `{"clusters": [{"match": "b"}]}`, `{"clusters": [{"match": "a", "route": "b"}]}`, `{"clusters": [{"match": "a", "per": "route"}]}`,
		`{"clusters": [{"match": "a"}, {"match": "b", "ramp": "5s"}]}`, `{"clusters": [{"match": "b", "ramp": "5s"}, {"match": "a"}]}`,
	}
	first := fingerprint(parse(t, same[0]))
	for _, text := range same {
		if fingerprint(parse(t, text)) != first {
			t.Errorf("%s has another fingerprint than %s", text, same[0])
		}
	}
	known := map[string]string{first: same[0]}
	for _, text := range others {
		f := fingerprint(parse(t, text))
		if other, is := known[f]; is || len(f) != 32 {
			t.Errorf("%s has the fingerprint %s of %s", text, f, other)
		}
		known[f] = text
	}
}

// Names that are no UTF-8, which a report cannot tell apart, are those of one breaker.
func TestNamesWithoutUTF8(t *testing.T) {
	entries := with(every(100*ms, 0, 3*ms*100, good), func(e *accesslog.Entry) { e.Cluster = "a\xff" })
	entries[1].Cluster, entries[2].Cluster = "a\xfe", "a\uFFFD"
	if r := replayed(t, `{}`, Options{}, entries); len(r.Policies[0].Breakers) != 1 || r.Policies[0].Breakers[0].Cluster != "a\uFFFD" {
		t.Errorf("there are %d breakers, the first that of %+q", len(r.Policies[0].Breakers), r.Policies[0].Breakers[0].Cluster)
	}
}
