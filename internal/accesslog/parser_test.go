package accesslog

import (
	"fmt"
	"testing"
)

func one(t *testing.T, o Options, f *Format, line string) Entry {
	t.Helper()
	p := &parser{options: &o}
	e := Entry{Decision: "an earlier line's"}
	if err := p.entry(f, []byte(line), &e); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return e
}

// TestNote reads the breaker's own note, which says which breaker was asked where a fallback has served the request.
func TestNote(t *testing.T) {
	for note, want := range map[string]string{
		`null`: " up fine",
		`"decision=fallback state=open cluster=pay"`:                                                "fallback pay fine",
		`"decision=rejected state=open cluster=up"`:                                                 "rejected up fine",
		`"decision=rejected state=open cluster=up route=a b"`:                                       "rejected up a b",
		`"decision=admitted state=half_open cluster=up route=a outcome=failure,slow reason=status"`: "admitted up a",
		`"decision=admitted state=closed cluster=up outcome=neutral reason=client_gone"`:            "admitted up fine",
		`"something else"`: " up fine",
	} {
		e := one(t, Options{}, defaultJSON, `{"time":1,"status":200,"cluster":"up","route":"fine","circuit_breaker":`+note+`}`)
		if got := fmt.Sprint(e.Decision, " ", e.Cluster, " ", e.Route); got != want {
			t.Errorf("%s: %q, want %q", note, got, want)
		}
	}
}

// TestDetailsFromFlags reads lines of Envoy's default format, which has no details and no cluster.
func TestDetailsFromFlags(t *testing.T) {
	const before, after = "upstream_reset_before_response_started", "upstream_reset_after_response_started"
	for _, c := range []struct{ status, flags, service, host, details, cluster string }{
		{"200", "-", "3", "10.0.0.1:80", "via_upstream", "fixed"},
		{"200", "-", "-", "10.0.0.1:80", "via_upstream", "fixed"}, // without x-envoy-upstream-service-time, as that may be off
		{"200", "-", "-", "-", "direct_response", ""},
		{"200", "DI", "3", "10.0.0.1:80", "via_upstream", "fixed"},
		{"503", "UF,URX", "-", "10.0.0.1:80", before + "{connection_failure}", "fixed"},
		{"503", "URX,UF", "-", "10.0.0.1:80", before + "{connection_failure}", "fixed"},
		{"503", "URX", "3", "10.0.0.1:80", "via_upstream", "fixed"},
		{"503", "UC", "-", "10.0.0.1:80", before + "{connection_termination}", "fixed"},
		{"200", "UC", "3", "10.0.0.1:80", after + "{connection_termination}", "fixed"},
		{"503", "UO", "-", "-", before + "{overflow}", "fixed"},
		{"503", "UH", "-", "-", "no_healthy_upstream", "fixed"},
		{"504", "UT", "-", "10.0.0.1:80", "response_timeout", "fixed"},
		{"0", "DC", "-", "10.0.0.1:80", "downstream_remote_disconnect", "fixed"},
		{"0", "-", "-", "-", "", "fixed"},
		{"404", "NR", "-", "-", "route_not_found", ""},
		{"500", "XYZ", "-", "-", "", "fixed"}, // a flag of an Envoy to come
	} {
		line := fmt.Sprintf(`[2026-11-26T10:56:46.581Z] "GET / HTTP/1.1" %s %s 0 0 4 %s "-" "-" "-" "x" "%s"`, c.status, c.flags, c.service, c.host)
		e := one(t, Options{Cluster: "fixed"}, envoyText, line)
		if e.Details != c.details || e.Cluster != c.cluster {
			t.Errorf("%s: %q of %q, want %q of %q", line, e.Details, e.Cluster, c.details, c.cluster)
		}
	}
	// JSON that tells neither details, flags nor host.
	if e := one(t, Options{}, defaultJSON, `{"time":1,"status":503}`); e.Details != "via_upstream" {
		t.Errorf("%+v", e)
	}
	// One that tells details, and has none.
	if e := one(t, Options{}, defaultJSON, `{"time":1,"status":500,"details":null,"flags":"NFCF"}`); e.Details != "" {
		t.Errorf("%+v", e)
	}
}

// TestNoHTTP reads the line of a TCP connection in Istio's format: no breaker was asked for its cluster.
func TestNoHTTP(t *testing.T) {
	e := one(t, Options{}, istioText, `[2026-11-26T10:56:46.581Z] "- - -" 0 UF,URX - - "delayed connect error: 111" 0 0 4 - "-" "-" "-" "-" "10.0.0.1:3306" `+
		`outbound|3306||db.shop.svc.cluster.local - 10.0.0.3:3306 10.0.0.2:47688 - -`)
	if e.Method != "" || e.Cluster != "" || e.Status != 0 || e.Duration != 4e6 {
		t.Errorf("%+v", e)
	}
	// JSON that never tells a method tells requests all the same.
	if e := one(t, Options{Cluster: "fixed"}, defaultJSON, `{"time":1,"status":200}`); e.Cluster != "fixed" {
		t.Errorf("%+v", e)
	}
}

// TestServiceTime counts from the end of the request, where the time to the answer's headers does from its beginning.
func TestServiceTime(t *testing.T) {
	e := one(t, Options{}, defaultJSON, `{"time":1,"status":200,"duration":500,"request_ms":300,"upstream_service_time":"120"}`)
	if e.Response != 420e6 {
		t.Errorf("%+v", e)
	}
}
