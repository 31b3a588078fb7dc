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
	now := w.Now()
	old := make([]byte, 449)
	old[0], old[1] = 1, 1 // version, open
	binary.LittleEndian.PutUint32(old[32:], 1)
	binary.LittleEndian.PutUint64(old[36:], uint64(now))
	binary.LittleEndian.PutUint64(old[44:], uint64(now+5*time.Second))
	binary.LittleEndian.PutUint32(old[445:], crc32.ChecksumIEEE(old[:445]))
	w.SharedData().Set("circuit_breaker/1\x00record\x00breaker\x00payments", old)
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
