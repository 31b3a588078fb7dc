package accesslog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/filter/verdict"
)

// read returns what logs say, and fails at broken lines.
func read(t *testing.T, o Options, names ...string) ([]Entry, []Source) {
	t.Helper()
	var entries []Entry
	sources, err := Read(names, o, func(e *Entry) error {
		entries = append(entries, *e)
		return nil
	}, func(b *Broken) error { return b })
	if err != nil {
		t.Fatal(err)
	}
	return entries, sources
}

// recorded is what envoy.yaml's format says of one of each kind of request, as Envoy 1.40.0 wrote them.
var recorded = []string{
	"GET 200 took 2ms request 0s response 1ms via_upstream - up fine 1",
	"GET 200 took 241ms request 0s response 201ms via_upstream - up fine 1",
	"GET 200 took 1ms request 0s response 1ms upstream_reset_after_response_started{protocol_error} UPE up fine 1",
	"GET 503 took 0s request 0s response -1ns upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused} UF down broken 1",
	"GET 503 took 0s request 0s response -1ns no_healthy_upstream UH none - 1",
	"GET 504 took 301ms request 0s response -1ns response_timeout UT up - 1",
	"GET 200 took 299ms request 0s response 2ms response_timeout UT up - 1",
	"GET 503 took 44ms request 0s response 44ms via_upstream URX up - 3",
	"GET 200 took 0s request 0s response -1ns direct_response - - - 0",
	"GET 404 took 0s request 0s response -1ns route_not_found NR - - 0",
	"GET 0 took 102ms request 0s response -1ns downstream_remote_disconnect DC up fine 1",
	"POST 200 grpc 14 took 0s request 0s response -1ns upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused} UF down broken 1",
	"GET 200 took 1ms request 0s response 1ms via_upstream - up fine 1",
	"POST 0 took 1.2s unsent response -1ns downstream_remote_disconnect DC up fine 1",
	"POST 200 took 198ms request 198ms response 198ms via_upstream - up fine 1",
	"- 400 took 0s unsent response -1ns http1.codec_error DPE - - 0",
	"GET 200 took 0s request 0s response 0s downstream_remote_disconnect DC up fine 1",
	"GET 200 took 0s request 0s response -1ns direct_response - - - 0",
}

func show(e *Entry) string {
	b := fmt.Sprint(cmp.Or(e.Method, "-"), " ", e.Status)
	if e.GRPC >= 0 {
		b += fmt.Sprint(" grpc ", e.GRPC)
	}
	b += fmt.Sprint(" took ", e.Duration)
	if e.Unsent {
		b += " unsent"
	} else {
		b += fmt.Sprint(" request ", e.Request)
	}
	return b + fmt.Sprintf(" response %v %s %s %s %s %d", e.Response, cmp.Or(e.Details, "-"), cmp.Or(e.Flags, "-"), cmp.Or(e.Cluster, "-"), cmp.Or(e.Route, "-"), e.Attempts)
}

func TestFormatOfEnvoyYAML(t *testing.T) {
	entries, sources := read(t, Options{}, "testdata/breaker.json")
	if s := sources[0]; s.Format != "json" || s.Lines != 18 || s.Broken != 0 || Consequences(s.Lacks()) != nil {
		t.Errorf("the log is %+v, and lacks %q", s, s.Lacks())
	}
	for i := range entries {
		if got := show(&entries[i]); got != recorded[i] {
			t.Errorf("line %d: %s\nwant    %s", i+1, got, recorded[i])
		}
	}
}

// TestFormats reads the same requests in every other format, which tell the same as far as they tell it.
func TestFormats(t *testing.T) {
	ours, _ := read(t, Options{}, "testdata/breaker.json")
	for _, c := range []struct {
		file, format string
		lacks        []string // the operators that it lacks
	}{
		{"istio.json", "json", []string{"%REQUEST_DURATION%", "%GRPC_STATUS_NUMBER%"}},
		{"envoy-gateway.json", "json", []string{"%REQUEST_DURATION%", "%GRPC_STATUS_NUMBER%"}},
		{"istio.txt", "istio", []string{"%REQUEST_DURATION%", "%GRPC_STATUS_NUMBER%"}},
		{"envoy.txt", "envoy", []string{"%REQUEST_DURATION%", "%RESPONSE_CODE_DETAILS%", "%UPSTREAM_CLUSTER_RAW%", "%ROUTE_NAME%", "%GRPC_STATUS_NUMBER%"}},
	} {
		t.Run(c.file, func(t *testing.T) {
			entries, sources := read(t, Options{}, "testdata/"+c.file)
			if s := sources[0]; s.Format != c.format || s.Lines != 18 || s.Broken != 0 {
				t.Errorf("the log is %+v", s)
			}
			for i := range entries {
				is, want := &entries[i], ours[i]
				if d := is.Response - (want.Response - max(0, want.Request)); is.Response < 0 != (want.Response < 0) || is.Response >= 0 && (d > 0 || d < -time.Millisecond) {
					t.Errorf("line %d: the answer's headers came after %v, not %v after %v", i+1, is.Response, want.Response, want.Request)
				}
				want.File, want.Response, want.Request, want.Unsent, want.GRPC, want.Attempts = is.File, is.Response, -1, false, -1, -1
				if c.format == "envoy" {
					if got, want := verdict.OriginOf([]byte(is.Details)), verdict.OriginOf([]byte(want.Details)); got != want {
						t.Errorf("line %d: %s is %v's doing, not %v's", i+1, is.Details, got, want)
					}
					cluster := map[string]string{"up": "10.0.0.1:18802", "down": "10.0.0.1:18803"}[want.Cluster]
					want.Details, want.Route, want.Cluster = is.Details, "", cluster
				}
				if *is != want {
					t.Errorf("line %d: %+v\nwant    %+v", i+1, *is, want)
				}
			}
			lacks := Consequences(sources[0].Lacks())
			if len(lacks) != len(c.lacks) {
				t.Errorf("it lacks %q", lacks)
			}
			for _, operator := range c.lacks {
				if !slices.ContainsFunc(lacks, func(text string) bool { return strings.Contains(text, "("+operator) }) {
					t.Errorf("nothing says that %s is lacking: %q", operator, lacks)
				}
			}
		})
	}
}

// A log none of whose lines could be understood says nothing of verdicts; one whose lines tell all but one of two fields that will do does.
func TestConsequences(t *testing.T) {
	if texts := Consequences(FieldNames); len(texts) > 0 {
		t.Errorf("of a log that was not understood: %q", texts)
	}
	for _, c := range []struct {
		lacks []string
		want  int
	}{{[]string{"response"}, 0}, {[]string{"service"}, 0}, {[]string{"response", "service"}, 1}, {[]string{"details", "flags", "host"}, 2}} {
		if texts := Consequences(c.lacks); len(texts) != c.want {
			t.Errorf("lacking %q has %d consequences, want %d: %q", c.lacks, len(texts), c.want, texts)
		}
	}
}
