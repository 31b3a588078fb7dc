package statuspage

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// A history is in the order of the epochs, whatever order workers write it in, and has the last five.
func TestHistory(t *testing.T) {
	var history []byte
	for _, epoch := range []uint64{1, 3, 2, 7, 6, 4, 5} {
		var err error
		if history, err = AddTransition(history, epoch, Transition{time.Unix(int64(epoch), 0), strconv.FormatUint(epoch, 10)}); err != nil {
			t.Fatal(err)
		}
	}
	var texts []string
	for _, past := range Transitions(history) {
		texts = append(texts, past.Text)
	}
	if got := strings.Join(texts, " "); got != "7 6 5 4 3" {
		t.Errorf("epochs %s", got)
	}
	for _, unreadable := range []string{"", "?", `{"epoch": 1}`} {
		if past := Transitions([]byte(unreadable)); past == nil || len(past) != 0 {
			t.Errorf("%q: %v", unreadable, past)
		}
	}
}
