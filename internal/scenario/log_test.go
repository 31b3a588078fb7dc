package scenario

import (
	"bytes"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"envoy-circuit-breaker/internal/accesslog"
)

const mixed = `
phases:
- {name: a, duration: 20s, rate: 30, latency: {p50: 40ms, p99: 9s}, failures: 20, hangs: 5}
- {name: b, duration: 20s, gradual: true, rate: 90, latency: {p50: 5ms, p99: 5ms}}
`

// What a log tells are the very requests, in the order in which they end.
func TestRoundTrip(t *testing.T) {
	for _, instances := range []string{"cluster: 'pay\"ments\\é'", "cluster: b\ninstances: 12"} {
		s := parsed(t, instances+mixed)
		var log bytes.Buffer
		if err := s.WriteLog(&log, 9); err != nil {
			t.Fatal(err)
		}
		format, err := accesslog.ParseFormat("", []string{"instance=instance"})
		if err != nil {
			t.Fatal(err)
		}
		var got, want []accesslog.Entry
		_, err = accesslog.Read([]string{"-"}, accesslog.Options{Format: format, Stdin: &log}, func(e *accesslog.Entry) error {
			entry := *e
			entry.File, entry.Line = "", 0
			got = append(got, entry)
			return nil
		}, func(b *accesslog.Broken) error { return b })
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.Instances {
			want = append(want, slices.Collect(s.Requests(9, i))...)
		}
		slices.SortStableFunc(want, func(a, b accesslog.Entry) int { return int(a.Start - b.Start) })
		slices.SortStableFunc(want, func(a, b accesslog.Entry) int { return int(a.End() - b.End()) })
		if len(got) < 1500*s.Instances || !slices.Equal(got, want) {
			t.Errorf("the log tells %d requests, others than %d", len(got), len(want))
		}
	}
}

func TestLines(t *testing.T) {
	s := parsed(t, "cluster: payments\ninstances: 2\ntimeout: 1s\nphases: [{name: a, duration: 10s, rate: 1, latency: {p50: 7ms, p99: 7ms}, failures: 30, hangs: 40}]")
	var log strings.Builder
	if err := s.WriteLog(&log, 1); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"attempts":1,"circuit_breaker":null,"cluster":"payments","details":"via_upstream","duration_ms":7,"flags":"-","grpc_status":null,"instance":"envoy-2",` +
			`"method":"GET","path":"/","request_ms":0,"response_ms":7,"route":null,"status":200,"time":"2026-01-01T00:00:00.882Z"}` + "\n",
		`{"attempts":1,"circuit_breaker":null,"cluster":"payments","details":"response_timeout","duration_ms":1000,"flags":"UT","grpc_status":null,"instance":"envoy-1",` +
			`"method":"GET","path":"/","request_ms":0,"response_ms":null,"route":null,"status":504,"time":"2026-01-01T00:00:02.436Z"}` + "\n",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no line is\n%sin\n%s", want, log.String())
		}
	}
}

func TestFullDisk(t *testing.T) {
	s := parsed(t, "instances: 10"+mixed)
	for _, left := range []int{0, 100_000} {
		if err := s.WriteLog(&fullWriter{left}, 1); err != errFull {
			t.Errorf("a writer that takes %d bytes: %v", left, err)
		}
	}
}

// However long a log is, what is held is what is in flight.
func TestConstantMemory(t *testing.T) {
	s := parsed(t, "instances: 100\nphases: [{name: a, duration: 1000s, rate: 5, latency: {p50: 40ms, p99: 200ms}, failures: 1}]")
	held := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most := held(), int64(0)
	writes := 0
	err := s.WriteLog(writer(func(b []byte) (int, error) {
		if writes++; writes%200 == 0 {
			most = max(most, held()-before)
		}
		return len(b), nil
	}), 1)
	if err != nil || writes < 1000 || most > 1<<20 {
		t.Errorf("%d bytes were held, in %d writes: %v", most, writes, err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func BenchmarkWriteLog(b *testing.B) {
	s := parsed(b, "instances: 1000\nphases: [{name: a, duration: 10s, rate: 100, latency: {p50: 40ms, p99: 200ms}, failures: 1}]")
	for b.Loop() {
		if err := s.WriteLog(io.Discard, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/line")
}
