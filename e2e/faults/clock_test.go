//go:build faults

package faults_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A wallClock is the wall clock of one Envoy, by a library that is preloaded: nobody else's is touched.
type wallClock struct {
	t            *testing.T
	library, off string
}

func newWallClock(t *testing.T) *wallClock {
	t.Helper()
	folder := t.TempDir()
	c := &wallClock{t, filepath.Join(folder, "wallclock.so"), filepath.Join(folder, "offset")}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", c.library, "testdata/wallclock.c", "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("a C compiler is needed: %v: %s", err, out)
	}
	c.set(0)
	return c
}

func (c *wallClock) env() []string {
	return []string{"LD_PRELOAD=" + c.library, "WALL_CLOCK_OFFSET=" + c.off}
}

// set moves the clock. The file stays the same, since Envoy has it mapped.
func (c *wallClock) set(off time.Duration) {
	c.t.Helper()
	f, err := os.OpenFile(c.off, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(off/time.Second)), 0); err != nil {
		c.t.Fatal(err)
	}
}

// awaitDate waits until Envoy's answers are dated so far from the true time.
func awaitDate(t *testing.T, p *customer, off time.Duration) {
	t.Helper()
	envoytest.Eventually(t, 20*time.Second, func() error {
		a := p.good()
		date, err := http.ParseTime(a.Header.Get("date"))
		if err != nil {
			return err
		}
		if error := time.Until(date) - off; error.Abs() > time.Minute {
			return fmt.Errorf("dated %v, want %v off", date, off)
		}
		return nil
	})
}

// A wall clock that jumps by an hour, either way, opens no breaker and keeps none open for a second more or less.
func TestWallClock(t *testing.T) {
	t.Parallel()
	const openFor = 3 * time.Second
	upstream, clock := envoytest.NewUpstream(t), newWallClock(t)
	upstream.Handle(accounted(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil // so that Envoy dates the answer
		asTold(w, r)
	}))
	e := envoytest.StartWith(t, envoy.Options{Workers: 2, Env: clock.env(), Bootstrap: envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "healthy", Address: upstream.Address}, {Name: "sick", Address: upstream.Address}},
		Listeners: []envoy.Listener{{Routes: byHeader, Plugin: &envoy.Plugin{Config: fmt.Sprintf(
			`{"min_requests": 10, "open": {"duration": %q, "multiplier": 1, "jitter": 0}}`, openFor)}}},
	}})
	healthy, sick := newCustomer(t, e, "healthy"), newCustomer(t, e, "sick", failHeader, "1")
	healthy.keepAsking(2)
	jumps := []time.Duration{time.Hour, -time.Hour, 0}
	var longest time.Duration
	for _, off := range jumps {
		sick.reason(true)
		tripping := time.Now()
		for sick.sick().Header.Get("x-circuit-breaker") == "" {
		}
		tripped := time.Now()
		clock.set(off)
		awaitDate(t, sick, off)
		healthy.await(50)
		for sick.good().Header.Get("x-circuit-breaker") != "" {
			time.Sleep(20 * time.Millisecond)
		}
		if open := time.Since(tripping); open < openFor {
			t.Errorf("at %v: open for %v, want %v", off, open, openFor)
		}
		longest = max(longest, time.Since(tripped))
		awaitState(t, e, "sick", breaker.HalfOpen)
		for e.Breaker("sick").State() != breaker.Closed {
			sick.good()
		}
		sick.reason(false)
		for range 20 {
			sick.good()
		}
	}
	h, s := healthy.end(), sick.end()
	if h.Upstream != h.Requests || s.Wrong != 0 || s.Lost() != 0 {
		t.Errorf("healthy: %v\nsick: %v", h, s)
	}
	if longest > 10*openFor {
		t.Errorf("open for %v, want %v", longest, openFor)
	}
	wantSum(t, e, "healthy", h.Requests)
	report(t, row{"Envoy", "the wall clock jumps by an hour: on, back by two, on", h.plus(s), len(jumps),
		fmt.Sprintf("a breaker that opens for %v is open for no more than %.1f s", openFor, longest.Seconds())})
}
