package breaker

// Totals are running totals of a tally: how many outcomes of each kind there have been.
type Totals struct {
	Calls, Failures, SlowCalls uint64
}

// since returns what was added after base. ok is false if the two do not fit, because counters were set back: a window must
// then begin afresh. Failures are no more than calls: one can come later than its call (rule 18), or be in sight without it
// for a moment (rule 3).
func (t Totals) since(base Totals) (in Totals, ok bool) {
	ok = t.Calls >= base.Calls && t.Failures >= base.Failures && t.SlowCalls >= base.SlowCalls
	in.Calls = t.Calls - base.Calls
	in.Failures = min(t.Failures-base.Failures, in.Calls)
	in.SlowCalls = min(t.SlowCalls-base.SlowCalls, in.Calls)
	return in, ok
}

// WindowKind says what a window is measured in.
type WindowKind uint8

const (
	TimeWindow  WindowKind = iota // nanoseconds
	CountWindow                   // calls
)

const (
	buckets   = 10
	snapshots = buckets + 1 // the boundaries of ten buckets: the bases of this bucket and of the ten before it
)

// A Snapshot is what the totals were when a bucket began, less the calls that have been brought forward since (rule 18).
type Snapshot struct {
	// Bucket is the bucket's number: the time divided by the bucket's length. In count windows it is the total of calls when the
	// bucket began, whatever has been brought forward.
	Bucket int64
	Totals
}

// A Window looks back over the last Size nanoseconds or calls. It does not hold outcomes but snapshots of the totals at
// bucket boundaries: what happened in the window is the totals now less the oldest snapshot.
//
// Eleven snapshots (rule 6) make it look back over at least Size, and at most one bucket more (two, where a number of calls is no
// multiple of ten); with ten, a window of 100 calls would never hold 100 of them.
type Window struct {
	Kind WindowKind
	Size int64

	// Watched is set while a count window may have something bad in it, and moves at every boundary. Without anything
	// bad there is no need to: whatever it looks back over is good.
	Watched bool

	n    int // snapshots in use, the oldest first; at least one once the window has begun
	ring [snapshots]Snapshot
}

// bucket returns the length of a bucket, in the window's unit.
func (w *Window) bucket() int64 { return (w.Size + buckets - 1) / buckets }

// begin empties the window: it looks back to now and no further.
func (w *Window) begin(now Time, t Totals) {
	*w = Window{Kind: w.Kind, Size: w.Size}
	w.push(Snapshot{w.number(now), t})
}

// number returns the number of the bucket that a time is in; 0 in count windows.
func (w *Window) number(now Time) int64 {
	if w.Kind == CountWindow {
		return 0
	}
	return int64(now) / w.bucket()
}

func (w *Window) base() Totals      { return w.ring[0].Totals }
func (w *Window) newest() *Snapshot { return &w.ring[w.n-1] }

// due reports whether the window must move before an outcome is counted. bad says whether that is a failure or slow.
func (w *Window) due(now Time, t Totals, bad bool) bool {
	switch {
	case w.Kind == TimeWindow:
		return w.isOver(now)
	case w.Watched:
		return t.Calls-w.newest().Calls >= uint64(w.bucket())
	}
	return bad || !w.clean(t)
}

// isOver reports whether the newest bucket of a time window has ended.
func (w *Window) isOver(now Time) bool {
	return w.Kind == TimeWindow && w.number(now) > w.newest().Bucket
}

// end returns when the newest bucket of a time window ends.
func (w *Window) end() Time { return Time((w.newest().Bucket + 1) * w.bucket()) }

// move takes a snapshot of the totals as the base of the bucket that has just begun, and drops what is out of sight.
// Where the totals do not fit the window it begins afresh.
func (w *Window) move(now Time, t Totals, bad bool) {
	_, ok := w.count(t)
	switch {
	case !ok:
		w.begin(now, t)
		w.Watched = bad && w.Kind == CountWindow
	case w.Kind == TimeWindow:
		w.moveTime(now, t)
	case w.Watched || !w.clean(t):
		w.moveCount(t)
		w.Watched = bad || !w.clean(t)
	default:
		w.watch(t)
	}
}

// isYoung reports whether the window has not looked back over its whole length yet. A count window without anything bad in it has all
// that matters.
func (w *Window) isYoung(now Time) bool {
	if w.Kind == TimeWindow {
		return w.number(now)-w.ring[0].Bucket < buckets
	}
	return w.Watched && w.newest().Calls-w.base().Calls < uint64(w.Size-w.bucket())
}

// clean reports whether nothing bad was counted since the window's base.
func (w *Window) clean(t Totals) bool {
	return t.Failures == w.base().Failures && t.SlowCalls == w.base().SlowCalls
}

// moveTime drops by bucket number. Everything between two snapshots happened in the first one's bucket, since every
// outcome moves the window before it is counted; so traffic before a pause is never seen after it.
func (w *Window) moveTime(now Time, t Totals) {
	number := w.number(now)
	i := 0
	for i < w.n && w.ring[i].Bucket < number-buckets {
		i++
	}
	w.drop(i)
	w.push(Snapshot{number, t})
}

// moveCount drops by total, not by position, since a burst crosses several boundaries at once.
func (w *Window) moveCount(t Totals) {
	i := 0
	for i+1 < w.n && w.ring[i+1].Calls+uint64(w.Size) <= t.Calls {
		i++
	}
	w.drop(i)
	if w.n == snapshots {
		w.merge(t)
	}
	w.push(Snapshot{0, t})
}

// merge makes one bucket of the two that have the fewest calls between them. Buckets shrink as calls are brought forward, and then
// eleven snapshots look back over less than the window.
func (w *Window) merge(t Totals) {
	ends := func(i int) uint64 {
		if i == w.n {
			return t.Calls
		}
		return w.ring[i].Calls
	}
	least := 1
	for i := 2; i < w.n; i++ {
		if ends(i+1)-ends(i-1) < ends(least+1)-ends(least-1) {
			least = i
		}
	}
	copy(w.ring[least:], w.ring[least+1:w.n])
	w.n--
	w.ring[w.n] = Snapshot{}
}

// watch begins to watch a count window that has nothing bad in it. Since all its calls were good, the snapshots at the
// boundaries that went by unwatched are known exactly.
func (w *Window) watch(t Totals) {
	base, bucket := w.base(), uint64(w.bucket())
	w.n, w.Watched = 0, true
	for back := uint64(w.Size); ; back -= min(back, bucket) {
		calls := base.Calls
		if t.Calls-base.Calls > back {
			calls = t.Calls - back
		}
		if w.n == 0 || calls > w.newest().Calls {
			w.push(Snapshot{0, Totals{calls, base.Failures, base.SlowCalls}})
		}
		if back == 0 {
			return
		}
	}
}

func (w *Window) push(s Snapshot) {
	if w.Kind == CountWindow {
		s.Bucket = int64(s.Calls)
	}
	if w.n == snapshots { // of a record that no worker wrote
		w.drop(1)
	}
	w.ring[w.n] = s
	w.n++
}

func (w *Window) drop(oldest int) {
	copy(w.ring[:], w.ring[oldest:w.n])
	clear(w.ring[w.n-oldest:])
	w.n -= oldest
}

// bring moves a slow call into the newest bucket: from now on no snapshot has it. mark is when it was counted; in count windows,
// how many calls there were before. It reports whether that changed anything.
func (w *Window) bring(mark uint64) (changed bool) {
	bucket := int64(mark) // a snapshot of a later one has the call
	if w.Kind == TimeWindow {
		bucket = w.number(Time(mark))
	}
	var last Totals
	for i := range w.ring[:w.n] {
		s := &w.ring[i]
		if was := s.Totals; s.Bucket > bucket {
			// Snapshots stay in order, also where one was taken just as the call was counted.
			s.Calls = max(last.Calls, was.Calls-min(was.Calls, 1))
			s.SlowCalls = max(last.SlowCalls, was.SlowCalls-min(was.SlowCalls, 1))
			changed = changed || s.Totals != was
		}
		last = s.Totals
	}
	return changed
}

// count returns what happened in the window; see [Totals.since].
func (w *Window) count(t Totals) (in Totals, ok bool) { return t.since(w.base()) }
