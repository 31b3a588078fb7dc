package inprocess_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

// A breaker that is open under version 1 of the plugin, which keeps its record under another key, stays open under this one, and is
// tried when its time is over.
func TestOpenUnderTheVersionBefore(t *testing.T) {
	for _, vm := range []string{"", "policy-2"} { // which version 1 has in no name
		t.Run(vm, func(t *testing.T) { testOpenUnderTheVersionBefore(t, vm) })
	}
}

func testOpenUnderTheVersionBefore(t *testing.T, vm string) {
	w := startWorkers(t, wasmhost.Options{VMID: vm})
	w.SharedData().Set("circuit_breaker/1\x00record\x00breaker\x00payments", openRecord(w.Now()))
	for i := range 2 {
		if w.call(i, 200) {
			t.Errorf("worker %d admits", i)
		}
	}
	w.advance(5 * time.Second)
	if !w.call(0, 200) {
		t.Error("not tried after its time")
	}
}

// openRecord is version 1's record of a breaker that is open for 5 s.
func openRecord(now time.Duration) []byte {
	r := make([]byte, 449)
	r[0], r[1] = 1, 1 // version, open
	binary.LittleEndian.PutUint32(r[32:], 1)
	binary.LittleEndian.PutUint64(r[36:], uint64(now))
	binary.LittleEndian.PutUint64(r[44:], uint64(now+5*time.Second))
	binary.LittleEndian.PutUint32(r[445:], crc32.ChecksumIEEE(r[:445]))
	return r
}

// Nothing is calm for a while after version 1, which lists no open breakers.
func TestNotCalmAfterTheVersionBefore(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{})
	w.SharedData().Set("circuit_breaker/1\x00generation\x00breaker\x00", []byte{1})
	w.SharedData().Set("circuit_breaker/1\x00record\x00breaker\x00payments", openRecord(w.Now()))
	for i := range w.Workers() {
		w.end(w.sendTo(i, "search").Status(200))
	}
	w.advance(time.Second)
	for i := range w.Workers() {
		if w.call(i, 200) {
			t.Errorf("worker %d admits a request to a breaker that is open", i)
		}
	}
	w.advance(time.Minute)
	for range 3 {
		w.call(0, 200)
	}
	w.advance(time.Second)
	w.wantCalm("after a minute", true)
}

// The other way round, version 1 is loaded beside this one, which has an open breaker: it keeps a record of its own, rings the bell that
// they share and counts into the stats that they share. The breaker stays open, and is tried when its time is over.
func TestOlderVersionBeside(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"min_requests": 5, "consecutive_failures": 5, "open": {"jitter": 0}}`})
	for w.call(0, 500) {
	}
	const prefix = "circuit_breaker.breaker.cluster.payments."
	closed := make([]byte, 449)
	closed[0] = 1
	binary.LittleEndian.PutUint32(closed[445:], crc32.ChecksumIEEE(closed[:445]))
	for i := range 40 {
		w.SharedData().Set("circuit_breaker/1\x00record\x00breaker\x00payments", closed)
		w.AddToStat(prefix+"changes", 1)
		w.AddToStat(prefix+"calls", 1)
		if w.call(i%2, 200) {
			t.Fatalf("admitted after %d calls of the older version", i+1)
		}
		w.advance(100 * time.Millisecond)
	}
	w.advance(time.Second)
	if !w.call(1, 200) {
		t.Error("not tried after its time")
	}
}
