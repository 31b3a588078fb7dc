package breaker

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"envoy-circuit-breaker/internal/smallfmt"
)

// RecordSize is the size of an encoded record, in bytes.
const RecordSize = 1 + 1 + 1 + 1 + // version, state, flags, entries
	8 + 8 + 4 + 8 + // epoch, owner, owned-at
	4 + 8 + 8 + 8 + 8 + 8 + 8 + // trips, opened-at, open-until, due-at, closed-at, probe-at, epoch failures
	1 + 8 + // window's kind and size
	4 + 4 + 4 + // successes, expired, serial
	entriesSize +
	4 // checksum

// The ring of a closed breaker and the leases of a half-open one share their bytes (rule 12).
const (
	snapshotSize = 4 * 8
	leaseSize    = 4 + 8
	entriesSize  = snapshots * snapshotSize
)

// RecordVersion is the layout's version. It belongs in the key of a store as well (rule 12).
const RecordVersion = 2

const (
	flagStoredTally = 1 << iota
	flagWatched
	flagSetBack
)

// ErrCorrupt is wrapped by the errors of [Record.UnmarshalBinary].
var ErrCorrupt = errors.New("corrupt record")

// AppendBinary appends the record's encoding, of RecordSize bytes: little-endian fields in the order of RecordSize,
// closed by the CRC-32 (IEEE) of what comes before. It returns no error.
func (r *Record) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	var flags, entries byte
	if r.StoredTally {
		flags |= flagStoredTally
	}
	if r.Window.Watched {
		flags |= flagWatched
	}
	if r.SetBack {
		flags |= flagSetBack
	}
	switch r.State {
	case Closed:
		entries = byte(r.Window.n)
	case HalfOpen:
		entries = byte(r.live)
	}
	le := binary.LittleEndian
	b = append(b, RecordVersion, byte(r.State), flags, entries)
	b = le.AppendUint64(b, r.Epoch)
	b = le.AppendUint64(b, r.Owner.Policy)
	b = le.AppendUint32(b, r.Owner.Generation)
	b = le.AppendUint64(b, uint64(r.OwnedAt))
	b = le.AppendUint32(b, r.Trips)
	b = le.AppendUint64(b, uint64(r.OpenedAt))
	b = le.AppendUint64(b, uint64(r.OpenUntil))
	b = le.AppendUint64(b, uint64(r.DueAt))
	b = le.AppendUint64(b, uint64(r.ClosedAt))
	b = le.AppendUint64(b, uint64(r.ProbeAt))
	b = le.AppendUint64(b, r.EpochFailures)
	b = append(b, byte(r.Window.Kind))
	b = le.AppendUint64(b, uint64(r.Window.Size))
	b = le.AppendUint32(b, r.Successes)
	b = le.AppendUint32(b, r.Expired)
	b = le.AppendUint32(b, r.Serial)
	rest := len(b) + entriesSize
	switch r.State {
	case Closed:
		for _, s := range r.Window.ring[:r.Window.n] {
			b = le.AppendUint64(b, uint64(s.Bucket))
			b = le.AppendUint64(b, s.Calls)
			b = le.AppendUint64(b, s.Failures)
			b = le.AppendUint64(b, s.SlowCalls)
		}
	case HalfOpen:
		for _, l := range r.leases[:r.live] {
			b = le.AppendUint32(b, l.serial)
			b = le.AppendUint64(b, uint64(l.deadline))
		}
	}
	var zeros [entriesSize]byte
	b = append(b, zeros[:rest-len(b)]...)
	return le.AppendUint32(b, crc32.ChecksumIEEE(b[start:])), nil
}

// UnmarshalBinary decodes a record. Anything but what AppendBinary writes is an error that wraps [ErrCorrupt].
func (r *Record) UnmarshalBinary(b []byte) error {
	le := binary.LittleEndian
	if len(b) != RecordSize {
		return smallfmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, len(b), RecordSize)
	}
	if b[0] != RecordVersion {
		return smallfmt.Errorf("%w: version %d instead of %d", ErrCorrupt, b[0], RecordVersion)
	}
	body, sum := b[:RecordSize-4], le.Uint32(b[RecordSize-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return smallfmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	rd := reader{body[1:]}
	d := Record{State: State(rd.byte())}
	flags, entries := rd.byte(), int(rd.byte())
	d.StoredTally, d.Window.Watched, d.SetBack = flags&flagStoredTally != 0, flags&flagWatched != 0, flags&flagSetBack != 0
	d.Epoch = rd.uint64()
	d.Owner.Policy = rd.uint64()
	d.Owner.Generation = rd.uint32()
	d.OwnedAt = Time(rd.uint64())
	d.Trips = rd.uint32()
	d.OpenedAt = Time(rd.uint64())
	d.OpenUntil = Time(rd.uint64())
	d.DueAt = Time(rd.uint64())
	d.ClosedAt = Time(rd.uint64())
	d.ProbeAt = Time(rd.uint64())
	d.EpochFailures = rd.uint64()
	d.Window.Kind = WindowKind(rd.byte())
	d.Window.Size = int64(rd.uint64())
	d.Successes = rd.uint32()
	d.Expired = rd.uint32()
	d.Serial = rd.uint32()

	valid := flags < flagSetBack<<1 && d.Window.Kind <= CountWindow && d.Window.Size > 0
	switch {
	case !valid:
	case d.State == Closed && entries >= 1 && entries <= snapshots:
		d.Window.n = entries
		for i := range entries {
			d.Window.ring[i] = Snapshot{int64(rd.uint64()), Totals{rd.uint64(), rd.uint64(), rd.uint64()}}
		}
	case d.State == Open && entries == 0:
	case d.State == HalfOpen && entries <= MaxTrials:
		d.live = entries
		for i := range entries {
			d.leases[i] = lease{rd.uint32(), Time(rd.uint64())}
		}
	default:
		valid = false
	}
	for _, x := range rd.b {
		valid = valid && x == 0 // nothing but what AppendBinary writes
	}
	if !valid {
		return smallfmt.Errorf("%w: impossible contents", ErrCorrupt)
	}
	*r = d
	return nil
}

// reader takes fields off the front of a slice that is long enough.
type reader struct{ b []byte }

func (r *reader) byte() byte {
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uint32() uint32 {
	v := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) uint64() uint64 {
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}
