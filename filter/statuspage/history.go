package statuspage

import (
	"encoding/binary"

	"envoy-circuit-breaker/internal/time"
)

// A transition is one line of a cluster's history.
type transition struct {
	epoch uint64
	at    time.Time
	text  string
}

const (
	remembered  = 5         // how many transitions a history keeps
	longestText = 1000      // bytes
	pastHeader  = 8 + 8 + 2 // epoch, time, length of the text
	longest     = remembered * (pastHeader + longestText)
)

// AddTransition returns a history with one more transition, that to the epoch. It is nil at first. Workers may come here in
// another order than they made their transitions.
func AddTransition(history []byte, epoch uint64, at time.Time, text string) []byte {
	past := append(parseHistory(history), transition{epoch, at, text[:min(len(text), longestText)]})
	for i := len(past) - 1; i > 0 && past[i-1].epoch <= epoch; i-- {
		past[i-1], past[i] = past[i], past[i-1]
	}
	var b []byte
	for _, t := range past[:min(len(past), remembered)] {
		b = binary.LittleEndian.AppendUint64(b, t.epoch)
		b = binary.LittleEndian.AppendUint64(b, uint64(t.at.UnixNano()))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(t.text)))
		b = append(b, t.text...)
	}
	return b
}

// parseHistory returns the transitions of a history, the newest first; none if it cannot be read.
func parseHistory(b []byte) (past []transition) {
	if len(b) > longest {
		return nil
	}
	for len(b) > 0 {
		if len(b) < pastHeader || len(past) == remembered {
			return nil
		}
		end := pastHeader + int(binary.LittleEndian.Uint16(b[16:]))
		if len(b) < end {
			return nil
		}
		at := time.Unix(0, int64(binary.LittleEndian.Uint64(b[8:])))
		past = append(past, transition{binary.LittleEndian.Uint64(b), at, string(b[pastHeader:end])})
		b = b[end:]
	}
	return past
}
