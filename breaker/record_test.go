package breaker

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"strings"
	"testing"
)

// Rule 12.
func TestRecordIsSmall(t *testing.T) {
	r := Record{Window: Window{Size: 1}}
	r.Window.begin(0, Totals{})
	if b, err := r.AppendBinary(nil); err != nil || len(b) != RecordSize || RecordSize >= 512 {
		t.Errorf("%d bytes of %d, %v", len(b), RecordSize, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	p := DefaultPolicy()
	fresh := p.fresh(Owner{1, 1}, 1000, Totals{})
	good, _ := fresh.AppendBinary(nil)
	const state, flags, entries, kind = 1, 2, 3, RecordSize - 4 - entriesSize - 4 - 4 - 4 - 8 - 1
	reseal := func(change func(b []byte)) []byte {
		b := append([]byte(nil), good...)
		change(b)
		binary.LittleEndian.PutUint32(b[RecordSize-4:], crc32.ChecksumIEEE(b[:RecordSize-4]))
		return b
	}
	tests := []struct {
		name string
		b    []byte
		want string // "" if it is sound
	}{
		{"as it was", good, ""},
		{"resealed", reseal(func([]byte) {}), ""},
		{"nothing", nil, "0 bytes instead of"},
		{"too short", good[:RecordSize-1], "bytes instead of"},
		{"too long", append(append([]byte(nil), good...), 0), "bytes instead of"},
		{"another version", reseal(func(b []byte) { b[0]++ }), "version"},
		{"wrong checksum", func() []byte { b := append([]byte(nil), good...); b[RecordSize-1]++; return b }(), "checksum"},
		{"unknown state", reseal(func(b []byte) { b[state] = 3 }), "impossible"},
		{"unknown flag", reseal(func(b []byte) { b[flags] = 8 }), "impossible"},
		{"all flags", reseal(func(b []byte) { b[flags] = 7 }), ""},
		{"unknown kind of window", reseal(func(b []byte) { b[kind] = 2 }), "impossible"},
		{"count window", reseal(func(b []byte) { b[kind] = 1 }), ""},
		{"window of no size", reseal(func(b []byte) { clear(b[kind+1 : kind+9]) }), "impossible"},
		{"window of negative size", reseal(func(b []byte) { b[kind+8] = 0x80 }), "impossible"},
		{"closed without a snapshot", reseal(func(b []byte) { b[entries] = 0 }), "impossible"},
		{"closed with all snapshots", reseal(func(b []byte) { b[entries] = snapshots }), ""},
		{"closed with too many snapshots", reseal(func(b []byte) { b[entries] = snapshots + 1 }), "impossible"},
		{"open", reseal(func(b []byte) { b[state], b[entries] = byte(Open), 0 }), ""},
		{"open with entries", reseal(func(b []byte) { b[state] = byte(Open) }), "impossible"},
		{"half-open without leases", reseal(func(b []byte) { b[state], b[entries] = byte(HalfOpen), 0 }), ""},
		{"half-open with all leases", reseal(func(b []byte) { b[state], b[entries] = byte(HalfOpen), MaxTrials }), ""},
		{"half-open with too many leases", reseal(func(b []byte) { b[state], b[entries] = byte(HalfOpen), MaxTrials+1 }), "impossible"},
	}
	for _, tt := range tests {
		r := Record{Epoch: 77}
		err := r.UnmarshalBinary(tt.b)
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v", tt.name, err)
		case tt.want != "" && r != (Record{Epoch: 77}):
			t.Errorf("%s: changed the record in spite of the error", tt.name)
		}
	}
}

// Rule 10.
func TestLeases(t *testing.T) {
	r := Record{State: HalfOpen}
	a, b, c := r.lend(10), r.lend(20), r.lend(30)
	if a == b || b == c || c == a || r.live != 3 {
		t.Errorf("leases %d %d %d: %+v", a, b, c, r)
	}
	if r.giveBack(99) || !r.giveBack(b) || r.giveBack(b) || r.live != 2 {
		t.Errorf("after giving one back: %+v", r)
	}
	if d := r.lend(40); d == b || r.live != 3 {
		t.Errorf("serial %d again", d)
	}
	if n := r.reclaim(Time(10).Add(expiryGrace) - 1); n != 0 || r.Expired != 0 {
		t.Errorf("%d reclaimed before their time", n)
	}
	if n := r.reclaim(Time(30).Add(expiryGrace)); n != 2 || r.Expired != 2 || r.live != 1 || r.leases[1] != (lease{}) {
		t.Errorf("%d reclaimed half a second after 30: %+v", n, r)
	}
	if n := r.reclaim(Time(40).Add(expiryGrace)); n != 1 || r.Expired != 3 || r.live != 0 {
		t.Errorf("%d reclaimed half a second after 40: %+v", n, r)
	}
	if r.Serial = math.MaxUint32; r.lend(50) == 0 {
		t.Error("a lease with the serial of no lease")
	}
}
