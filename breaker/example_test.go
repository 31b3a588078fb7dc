package breaker_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"envoy-circuit-breaker/breaker"
)

// Calls to a service that is down, behind a breaker: it opens, turns calls away, and closes again when a trial succeeds.
func Example() {
	now := breaker.Time(0) // a program would use a steady clock: breaker.Time(time.Since(start))

	policy := breaker.DefaultPolicy()
	policy.MinRequests = 10             // no opinion on less
	policy.OpenJitter = 0               // for the sake of the output below
	policy.HalfOpenSuccessThreshold = 1 // one good trial is enough

	b, err := breaker.New(breaker.Config{
		Policy: &policy,
		Store:  new(breaker.MemoryStore), // breakers that share these two are one
		Tally:  new(breaker.MemoryTally),
		Clock:  breaker.ClockFunc(func() breaker.Time { return now }),
		Rand:   rand.Uint64,
		OnTransition: func(m breaker.Transition) {
			fmt.Printf("%v -> %v: %v\n", m.From, m.To, m.Reason)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	call := func(service func() error) error {
		permit := b.Acquire()
		if !permit.Admitted() {
			return fmt.Errorf("the breaker is %s, try again in %v", permit.State(), permit.RetryAfter)
		}
		err := service()
		outcome := breaker.Outcome{Result: breaker.Success}
		if err != nil {
			outcome.Result = breaker.Failure
		}
		b.Done(permit, outcome)
		return err
	}

	down := func() error { return errors.New("connection refused") }
	up := func() error { return nil }

	for range 10 {
		err = call(down)
	}
	fmt.Println(err)
	fmt.Println(call(down))

	now = now.Add(5 * time.Second)
	fmt.Println(call(up))

	// Output:
	// closed -> open: failure_rate
	// connection refused
	// the breaker is open, try again in 5s
	// open -> half_open: open_elapsed
	// half_open -> closed: recovered
	// <nil>
}

func ExamplePolicy_Validate() {
	policy := breaker.DefaultPolicy()
	policy.OpenMultiplier = 0.5
	fmt.Println(policy.Validate())
	// Output:
	// open.multiplier: 0.5 is not allowed: must be from 1 to 10
}
