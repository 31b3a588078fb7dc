package statuspage

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"envoy-circuit-breaker/breaker"
)

// FuzzQuery parses arbitrary queries. What is accepted is within its limits, and is the same when it is written and read again.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "after=payments&limit=5", "limit=51", "after=%zz", "after=a+b%00%ff", "&&=&after", "limit=+1", "after=1&after=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := ParseQuery(text)
		if err != nil {
			return
		}
		if q.Limit < 1 || q.Limit > MaxLimit {
			t.Errorf("%q: limit %d", text, q.Limit)
		}
		if again, err := ParseQuery(q.String()[1:]); err != nil || again != q {
			t.Errorf("%q: %+v, and again %+v, %v", text, q, again, err)
		}
	})
}

// FuzzPage makes a page of what is in shared data, where anybody may have written: it is JSON in UTF-8 in any case, and a history that
// cannot be read is begun anew.
func FuzzPage(f *testing.F) {
	p := breaker.DefaultPolicy()
	history := AddTransition(nil, 5, time.Unix(1, 0), "closed -> open: 12/20 failed")
	f.Add("payments", EncodePolicy(&p, Override{}, 7), history, uint64(6), "open -> half_open", uint64(3), uint64(20), byte(1), int64(4e9))
	f.Add("\xff\"\x00", []byte("?"), []byte("?"), uint64(0), "", uint64(1<<63), uint64(0), byte(9), int64(-1))
	f.Add("", []byte(nil), append(history, history...), uint64(1<<63), "\xff\n</script>", uint64(1), uint64(2), byte(2), int64(1<<62))
	f.Fuzz(func(t *testing.T, name string, policy, history []byte, epoch uint64, text string, failures, calls uint64, state byte, openFor int64) {
		c := Cluster{Name: name, History: AddTransition(history, epoch, time.Unix(0, openFor), text), Status: breaker.Status{
			State: breaker.State(state % 3), Window: breaker.Totals{Calls: calls, Failures: failures}, OpenFor: time.Duration(openFor),
		}}
		past := parseHistory(c.History)
		if len(past) < 1 || len(past) > remembered {
			t.Errorf("%d transitions in %q", len(past), c.History)
		}
		var ok bool
		if c.Policy, ok = ParsePolicy(policy); !ok {
			p := breaker.DefaultPolicy()
			c.Policy, _ = ParsePolicy(EncodePolicy(&p, Override{}, 1))
		}
		w := BeginPage(nil, &Head{Plugin: name, At: time.Unix(0, openFor), Unmatched: 1, Some: []Override{{name, name}}})
		w.Add(&c)
		if body := w.End(Query{After: name, Limit: 1}.String()); !json.Valid(body) || !utf8.Valid(body) {
			t.Errorf("no JSON: %q", body)
		}
	})
}
