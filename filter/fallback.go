//go:build wasip1

package main

import (
	"encoding/binary"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/internal/time"
)

// A fallback's header is of no use where no route matches it: the request comes back to the cluster that refused it. That shows only
// when such a request has ended. From then on requests are rejected, in all workers, but for one now and then that tries whether
// there is a route now.

const (
	tryRouteEvery = 10 * time.Second
	// lookAtRoute is how long a worker believes what it has read of the route.
	lookAtRoute = time.Second
)

// A fallbackRoute is what a worker knows of the route that a cluster's fallback leads to.
type fallbackRoute struct {
	nextTry breaker.Time // when a request may try the missing route; 0 if it is not missing
	until   breaker.Time // when to read that again
}

func (c *cluster) routeStore() *sharedData {
	return &sharedData{kind: "route", plugin: c.plugin.name, rest: c.id}
}

func decodeRoute(b []byte) (nextTry breaker.Time) {
	if len(b) == 8 {
		nextTry = breaker.Time(binary.LittleEndian.Uint64(b))
	}
	return nextTry
}

// routeIsMissing reports whether a request need not try the fallback.
func (c *cluster) routeIsMissing() bool {
	now := clock{}.Coarse()
	if r := &c.fallback; now >= r.until || r.nextTry != 0 && now >= r.nextTry { // another worker may have tried
		value, _ := c.routeStore().Load()
		c.fallback = fallbackRoute{decodeRoute(value), now.Add(lookAtRoute)}
	}
	return now < c.fallback.nextTry
}

// mayTryRoute reports whether a request may go to the fallback: any while the route is there, and one of all workers when it is time to
// try a missing one.
func (c *cluster) mayTryRoute() bool {
	if c.fallback.nextTry == 0 {
		return true
	}
	old, isMine := c.setRoute(func(old breaker.Time) breaker.Time {
		if now := (clock{}).Now(); old != 0 && now >= old {
			return now.Add(tryRouteEvery)
		}
		return old
	})
	return old == 0 || isMine
}

// setRoute changes what all workers know of the route, and returns what they knew.
func (c *cluster) setRoute(f func(old breaker.Time) breaker.Time) (old breaker.Time, changed bool) {
	store := c.routeStore()
	for range 1000 {
		value, version := store.Load()
		old = decodeRoute(value)
		next := f(old)
		if next == old || store.CompareAndSwap(binary.LittleEndian.AppendUint64(nil, uint64(next)), version) {
			c.fallback = fallbackRoute{next, clock{}.Coarse().Add(lookAtRoute)}
			return old, next != old
		}
	}
	return old, false
}

// fellBack looks where a request has ended that was sent to the fallback of a cluster: whether it came back, and by Envoy's details.
func (c *cluster) fellBack(cameBack bool, details string) {
	missing := ""
	switch {
	case cameBack:
		missing = "no route matches it, and the request came back to where it was refused"
	case details == "route_not_found":
		missing = "no route matches it"
	case details == "cluster_not_found":
		missing = "its route leads to a cluster that does not exist"
	}
	if missing == "" {
		if c.fallback.nextTry != 0 {
			c.setRoute(func(breaker.Time) breaker.Time { return 0 })
		}
		return
	}
	c.stats.Add(fallbackMissed)
	old, changed := c.setRoute(func(old breaker.Time) breaker.Time {
		if old != 0 {
			return old
		}
		return clock{}.Now().Add(tryRouteEvery)
	})
	if changed && old == 0 {
		f := &c.rules.Fallback
		bridge.LogWarnf("%v: the fallback's header %s: %s does not help: %s. Requests are rejected until there is such a route; one in %v tries",
			c.owner, f.Header, f.Value, missing, tryRouteEvery)
	}
}
