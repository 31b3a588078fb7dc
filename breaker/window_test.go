package breaker

import (
	"testing"
)

func TestTotalsSince(t *testing.T) {
	base := Totals{100, 50, 20}
	tests := []struct {
		now, in Totals
		ok      bool
	}{
		{base, Totals{}, true},
		{Totals{110, 55, 21}, Totals{10, 5, 1}, true},
		{Totals{110, 60, 30}, Totals{10, 10, 10}, true},
		{Totals{110, 61, 20}, Totals{10, 10, 0}, true}, // a failure whose call is out of sight, or not in sight yet
		{Totals{110, 50, 31}, Totals{10, 0, 10}, true},
		{Totals{100, 51, 21}, Totals{}, true},
		{Totals{99, 50, 20}, Totals{}, false}, // set back
		{Totals{100, 49, 20}, Totals{}, false},
		{Totals{100, 50, 19}, Totals{}, false},
		{Totals{}, Totals{}, false},
	}
	for _, tt := range tests {
		if in, ok := tt.now.since(base); ok != tt.ok || ok && in != tt.in {
			t.Errorf("%v since %v: %v, %v", tt.now, base, in, ok)
		}
	}
}

// One outcome each 1/7 of a bucket, and pauses: the window holds what happened in its bucket and the ten before.
// Rule 6.
func TestTimeWindow(t *testing.T) {
	w := Window{Kind: TimeWindow, Size: 700}
	var ends []Time
	var total Totals
	now := Time(7 * 70)
	w.begin(now, total)
	for i := range 2000 {
		switch {
		case i%97 == 96:
			now += 70 * Time(i%14)
		case i%3 > 0:
			now += 10
		}
		if w.due(now, total, false) {
			w.move(now, total, false)
		}
		total.Calls++
		ends = append(ends, now)
		want := uint64(0)
		for _, end := range ends {
			if end/70 >= now/70-10 {
				want++
			}
		}
		if in, ok := w.count(total); !ok || in.Calls != want || w.n > snapshots || now >= w.end() {
			t.Fatalf("outcome %d at %d: %d in the window, want %d: %+v", i, now, in.Calls, want, w)
		}
	}
}

// However long the run of good calls between two bad ones, a bad one is judged with at least Size calls in sight if there
// have been so many, and with less than two buckets more.
// Rule 6.
func TestCountWindow(t *testing.T) {
	for _, size := range []int64{10, 11, 15, 19, 20, 37, 100, 101, 1000, 99_999} {
		w := Window{Kind: CountWindow, Size: size}
		w.begin(1000, Totals{})
		var total Totals
		for i := range 3000 {
			good := uint64(i*i) % uint64(size*3/2)
			for range good {
				if w.due(1000, total, false) {
					w.move(1000, total, false)
				}
				total.Calls++
			}
			if w.due(1000, total, true) {
				w.move(1000, total, true)
			}
			total.Calls++
			total.Failures++
			in, ok := w.count(total)
			low := min(total.Calls, uint64(size))
			high := uint64(size + 2*w.bucket() - 1)
			if size%10 == 0 {
				high = uint64(size + w.bucket())
			}
			if !ok || in.Calls < low || in.Calls > high || !w.Watched || w.n > snapshots {
				t.Fatalf("size %d, call %d: %d in the window, want %d to %d", size, total.Calls, in.Calls, low, high)
			}
			if total.Calls > 200_000 {
				break
			}
		}
	}
}

func TestWindowBeginsAfreshWhereTotalsDoNotFit(t *testing.T) {
	for _, kind := range []WindowKind{TimeWindow, CountWindow} {
		for _, bad := range []bool{false, true} {
			w := Window{Kind: kind, Size: 100}
			w.begin(1000, Totals{50, 20, 10})
			w.move(2000, Totals{60, 30, 10}, true)
			w.move(3000, Totals{5, 5, 0}, bad)
			if in, ok := w.count(Totals{6, 6, 0}); !ok || in != (Totals{1, 1, 0}) || w.n != 1 {
				t.Errorf("after totals went back: %v, %v, %+v", in, ok, w)
			}
			if w.Watched != (bad && kind == CountWindow) {
				t.Errorf("watched = %v, though bad = %v", w.Watched, bad)
			}
		}
	}
}

// Concurrent calls cross several boundaries before anybody moves the window: snapshots are dropped by the total that they were
// taken at, not by their place in the ring.
// Rule 6.
func TestBurstInACountWindow(t *testing.T) {
	w := Window{Kind: CountWindow, Size: 20}
	w.begin(0, Totals{})
	total := Totals{}
	w.move(0, total, true)
	for _, calls := range []uint64{2, 42, 44} {
		total.Calls, total.Failures = calls, 3
		w.move(0, total, true)
		if in, ok := w.count(total); !ok || in.Calls < min(20, calls) {
			t.Errorf("after %d calls the window has %+v", calls, in)
		}
	}
}
