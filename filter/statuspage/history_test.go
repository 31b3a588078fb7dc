package statuspage

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A history is in the order of the epochs, whatever order workers write it in, and has the last five.
func TestHistory(t *testing.T) {
	var history []byte
	for _, epoch := range []uint64{1, 3, 2, 7, 6, 4, 5} {
		history = AddTransition(history, epoch, time.Unix(int64(epoch), 0), strconv.FormatUint(epoch, 10))
	}
	texts := func() string {
		var all []string
		for _, past := range parseHistory(history) {
			all = append(all, past.text)
			if past.at.Unix() != int64(past.epoch) {
				t.Errorf("epoch %d was at %v", past.epoch, past.at)
			}
		}
		return strings.Join(all, " ")
	}
	if got := texts(); got != "7 6 5 4 3" {
		t.Errorf("epochs %s", got)
	}
	for _, unreadable := range [][]byte{nil, []byte("?"), []byte(`[{"epoch": 1}]`), history[:len(history)-1], bytes.Repeat(history, 2), bytes.Repeat([]byte{0xff}, 1<<20)} {
		if past := parseHistory(unreadable); len(past) != 0 {
			t.Errorf("%.20q: %v", unreadable, past)
		}
	}
	// A broken one is begun anew.
	history = AddTransition([]byte("?"), 8, time.Unix(8, 0), "8")
	if got := texts(); got != "8" {
		t.Errorf("after a broken one: epochs %s", got)
	}
	if history = AddTransition(nil, 1, time.Unix(1, 0), strings.Repeat("x", 1<<17)); len(parseHistory(history)) != 1 {
		t.Error("a long text makes the history unreadable")
	}
}
