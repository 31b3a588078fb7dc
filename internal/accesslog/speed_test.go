package accesslog

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// lines returns lines of envoy.yaml's format as of a service under load: n of them.
func lines(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"attempts":1,"circuit_breaker":null,"cluster":"outbound|80||service-%d.shop.svc.cluster.local","details":"via_upstream","duration_ms":%d,"flags":"-",`+
			`"grpc_status":null,"method":"GET","path":"/api/v1/items/%d?page=2","request_ms":0,"response_ms":%d,"route":"default","status":200,`+
			`"time":"2026-11-26T11:%02d:%02d.%03dZ"}`+"\n", i%7, i%300, i, i%290, i/60000%60, i/1000%60, i%1000)
	}
	return b.Bytes()
}

// BenchmarkRead reads lines of each format; run it with -cpu 1,2.
func BenchmarkRead(b *testing.B) {
	istio := strings.Repeat(`[2026-11-26T10:56:46.611Z] "GET /api/v1/items/17?page=2 HTTP/1.1" 200 - via_upstream - "-" 0 98 4 3 "-" "curl/7.88.1" `+
		`"6226a1d9-3226-4a21-9136-ccd1254a2639" "items.shop.svc.cluster.local" "10.0.0.1:18802" outbound|80||items.shop.svc.cluster.local - 10.0.0.1:18800 10.0.0.2:47688 - default`+"\n", 100000)
	for name, text := range map[string][]byte{"json": lines(100000), "istio": []byte(istio)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				n := 0
				_, err := Read([]string{"-"}, Options{Stdin: bytes.NewReader(text)}, func(*Entry) error { n++; return nil }, func(b *Broken) error { return b })
				if n != 100000 || err != nil {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100000, "ns/line")
		})
	}
}

// TestNoGarbage parses a block again and again: once its texts are known nothing is allocated.
func TestNoGarbage(t *testing.T) {
	l := &log{format: defaultJSON}
	b := &block{log: l, text: lines(500), first: 1}
	p := &parser{options: &Options{}}
	p.block(b)
	if len(b.entries) != 500 || len(b.broken) != 0 {
		t.Fatal(len(b.entries), "entries,", b.broken)
	}
	if n := testing.AllocsPerRun(10, func() { p.block(b) }); n > 0 {
		t.Errorf("%v allocations for 500 lines", n)
	}
}

// TestConstantMemory reads a log of 60 MB: what is allocated is what the first blocks need.
func TestConstantMemory(t *testing.T) {
	text := lines(10000)
	parts := make([]io.Reader, 20)
	for i := range parts {
		parts[i] = bytes.NewReader(text)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	if _, err := Read([]string{"-"}, Options{Workers: 2, Stdin: io.MultiReader(parts...)}, func(*Entry) error { n++; return nil }, nil); err != nil || n != 200000 {
		t.Fatal(n, err)
	}
	runtime.ReadMemStats(&after)
	if allocated := (after.TotalAlloc - before.TotalAlloc) >> 20; allocated > 8 {
		t.Errorf("%d MB were allocated", allocated)
	}
}
