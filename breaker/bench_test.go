package breaker

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"
)

// The benchmarks put this breaker beside two others that do the same work under the same policy: ten buckets over ten
// seconds, tripping at 50 % failures of at least 20 requests, every feature that the others lack left off.
//
//   - Closed: one request is admitted, and its success reported.
//   - Open: one request is rejected. The breaker was opened by 20 failures, for longer than any benchmark runs.
//   - The Parallel twins do that from GOMAXPROCS goroutines at once, on one breaker.
//
// Everyone is used as its documentation says, through its fastest way to do this, and reads the real clock. All go through
// the same loop, which adds the same call of a function to each.
const (
	benchWindow   = 10 * time.Second
	benchRequests = 20
	benchOpen     = time.Hour
)

// A request goes through a breaker, successfully if it is admitted, and says whether it was.
type request func() bool

func benchmark(b *testing.B, r request, want bool) {
	b.ReportAllocs()
	for b.Loop() {
		if r() != want {
			b.Fatalf("admitted: %v", !want)
		}
	}
}

func benchmarkParallel(b *testing.B, r request, want bool) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if r() != want {
				b.Errorf("admitted: %v", !want)
				return
			}
		}
	})
}

// ours has the store and the tally in memory, and for its exact and its coarse clock the same one: time.Since reads just
// the monotonic clock.
func ours(tb testing.TB, open bool) request {
	p := DefaultPolicy() // has the window and the rate
	p.MinRequests = benchRequests
	p.OpenDuration, p.OpenMaxDuration, p.OpenJitter = benchOpen, benchOpen, 0
	start := time.Now()
	br, err := New(Config{
		Policy: &p, Store: new(MemoryStore), Tally: new(MemoryTally),
		Clock: ClockFunc(func() Time { return Time(time.Since(start)) }),
		Rand:  rand.Uint64,
	})
	if err != nil {
		tb.Fatal(err)
	}
	if open {
		for range benchRequests {
			br.Done(br.Acquire(), Outcome{Result: Failure})
		}
	}
	return func() bool {
		permit := br.Acquire()
		if !permit.Admitted() {
			return false
		}
		br.Done(permit, Outcome{})
		return true
	}
}

// sonys is github.com/sony/gobreaker. Its two-step API allocates a closure for each admitted request; Execute, which does
// the same around a function, does not and is faster.
func sonys(open bool) request {
	cb := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Interval:     benchWindow,
		BucketPeriod: benchWindow / buckets, // makes the window a rolling one
		Timeout:      benchOpen,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= benchRequests && 2*c.TotalFailures >= c.Requests
		},
	})
	if open {
		for range benchRequests {
			cb.Execute(func() (struct{}, error) { return struct{}{}, ErrCorrupt }) // any error
		}
	}
	success := func() (struct{}, error) { return struct{}{}, nil }
	return func() bool {
		_, err := cb.Execute(success)
		return err == nil
	}
}

// failsafes is the circuit breaker of github.com/failsafe-go/failsafe-go, used by itself: its executor would add a context
// and more to each request. Its time window always has ten buckets.
func failsafes(open bool) request {
	cb := circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(0.5, benchRequests, benchWindow).
		WithDelay(benchOpen).
		Build()
	if open {
		for range benchRequests {
			cb.TryAcquirePermit()
			cb.RecordFailure()
		}
	}
	return func() bool {
		if !cb.TryAcquirePermit() {
			return false
		}
		cb.RecordSuccess()
		return true
	}
}

// BenchmarkClosedOurs: this breaker, closed: Acquire, then Done with a success.
func BenchmarkClosedOurs(b *testing.B) { benchmark(b, ours(b, false), true) }

// BenchmarkClosedOursParallel: this breaker, closed: Acquire, then Done with a success, from many goroutines.
func BenchmarkClosedOursParallel(b *testing.B) { benchmarkParallel(b, ours(b, false), true) }

// BenchmarkClosedGobreaker: sony/gobreaker, closed: Execute around a function that returns no error.
func BenchmarkClosedGobreaker(b *testing.B) { benchmark(b, sonys(false), true) }

// BenchmarkClosedGobreakerParallel: sony/gobreaker, closed: Execute around a function that returns no error, from many
// goroutines.
func BenchmarkClosedGobreakerParallel(b *testing.B) { benchmarkParallel(b, sonys(false), true) }

// BenchmarkClosedFailsafe: failsafe-go, closed: TryAcquirePermit, then RecordSuccess.
func BenchmarkClosedFailsafe(b *testing.B) { benchmark(b, failsafes(false), true) }

// BenchmarkClosedFailsafeParallel: failsafe-go, closed: TryAcquirePermit, then RecordSuccess, from many goroutines.
func BenchmarkClosedFailsafeParallel(b *testing.B) { benchmarkParallel(b, failsafes(false), true) }

// BenchmarkOpenOurs: this breaker, open: Acquire, which counts the rejection.
func BenchmarkOpenOurs(b *testing.B) { benchmark(b, ours(b, true), false) }

// BenchmarkOpenOursParallel: this breaker, open: Acquire, which counts the rejection, from many goroutines.
func BenchmarkOpenOursParallel(b *testing.B) { benchmarkParallel(b, ours(b, true), false) }

// BenchmarkOpenGobreaker: sony/gobreaker, open: Execute returns its error without calling the function.
func BenchmarkOpenGobreaker(b *testing.B) { benchmark(b, sonys(true), false) }

// BenchmarkOpenGobreakerParallel: sony/gobreaker, open: Execute returns its error without calling the function, from many
// goroutines.
func BenchmarkOpenGobreakerParallel(b *testing.B) { benchmarkParallel(b, sonys(true), false) }

// BenchmarkOpenFailsafe: failsafe-go, open: TryAcquirePermit says no.
func BenchmarkOpenFailsafe(b *testing.B) { benchmark(b, failsafes(true), false) }

// BenchmarkOpenFailsafeParallel: failsafe-go, open: TryAcquirePermit says no, from many goroutines.
func BenchmarkOpenFailsafeParallel(b *testing.B) { benchmarkParallel(b, failsafes(true), false) }

// TestAllocations: neither a request to a healthy breaker nor one to an open breaker allocates.
func TestAllocations(t *testing.T) {
	for _, mode := range []Mode{Enforce, Shadow} {
		w := newWorld(t)
		p := DefaultPolicy()
		p.Mode, p.ConsecutiveFailures = mode, benchRequests
		b := w.worker(p)
		request := func() { b.Done(b.Acquire(), Outcome{}) }
		if n := testing.AllocsPerRun(100, request); n != 0 {
			t.Errorf("closed, %v: %v allocations", mode, n)
		}
		for range benchRequests {
			b.Done(b.Acquire(), Outcome{Result: Failure})
		}
		if n := testing.AllocsPerRun(100, request); n != 0 || w.record().State != Open {
			t.Errorf("%v, %v: %v allocations", w.record().State, mode, n)
		}
	}
}

// TestLooksAtTheClock: a healthy request looks at the clock when it ends, for the window. When it is admitted it looks for the age of what
// is known of the record (rule 1), unless that cannot be wrong while the bell holds still.
func TestLooksAtTheClock(t *testing.T) {
	type anyTally struct{ *MemoryTally }
	for _, c := range []struct {
		tally          Tally
		admitted, done int
	}{{new(MemoryTally), 0, 1}, {anyTally{new(MemoryTally)}, 1, 1}} {
		looks, policy := 0, DefaultPolicy()
		b, err := New(Config{
			Policy: &policy, Store: new(MemoryStore), Tally: c.tally, Rand: rand.Uint64,
			Clock: ClockFunc(func() Time { looks++; return 0 }),
		})
		if err != nil {
			t.Fatal(err)
		}
		b.Done(b.Acquire(), Outcome{}) // makes the record
		looks = 0
		p := b.Acquire()
		admitted := looks
		b.Done(p, Outcome{})
		if done := looks - admitted; admitted != c.admitted || done != c.done {
			t.Errorf("%T: %d looks when it is admitted, %d when it has ended; want %d and %d", c.tally, admitted, done, c.admitted, c.done)
		}
	}
}
