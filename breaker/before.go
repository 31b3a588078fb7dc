package breaker

import (
	"encoding/binary"
	"hash/crc32"
)

// The layout of version 1, as far as an open breaker is taken over from it: its size, and where its fields begin.
const (
	version1Size      = 449
	version1Trips     = 32
	version1OpenedAt  = 36
	version1OpenUntil = 44
)

// takeOverBefore makes a fresh record that of an open breaker, where the version before had an open or half-open one. A
// closed breaker begins afresh.
func (p *Policy) takeOverBefore(r *Record, b []byte, now Time) {
	le := binary.LittleEndian
	if len(b) != version1Size || b[0] != 1 || b[1] != byte(Open) && b[1] != byte(HalfOpen) ||
		crc32.ChecksumIEEE(b[:len(b)-4]) != le.Uint32(b[len(b)-4:]) {
		return
	}
	r.State, r.Window = Open, p.window()
	r.Trips = le.Uint32(b[version1Trips:])
	r.OpenedAt = min(now, Time(le.Uint64(b[version1OpenedAt:])))
	r.OpenUntil = min(Time(le.Uint64(b[version1OpenUntil:])), now.Add(p.OpenMaxDuration))
	r.DueAt, r.ProbeAt = r.OpenUntil, now
}
