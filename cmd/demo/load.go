package main

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// An outcome is what a user got for a request.
type outcome int

const (
	answered outcome = iota
	timedOut         // Envoy gave up waiting
	failed           // the service's own error, or none at all
	rejected         // by the breaker
	outcomes         // how many there are
)

// outcomeNames are for people.
var outcomeNames = [outcomes]string{"answered", "timed out", "failed", "rejected by the breaker"}

// A request is one that has ended.
type request struct {
	at      time.Duration // when it was due, since the start
	took    time.Duration // from then on, so that a client that lags behind does not look like a fast service
	outcome outcome
}

// A side is the service with or without a breaker before it, and what its users saw.
type side struct {
	url     string
	service *service
	client  *http.Client

	mu   sync.Mutex
	done []request // in the order in which they ended
}

func newSide() (*side, error) {
	s, err := newService()
	if err != nil {
		return nil, err
	}
	// Each side has as many connections as it has requests in flight, and keeps them.
	return &side{service: s, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: rate},
		Timeout:   5 * time.Second,
	}}, nil
}

// load sends requests at the steady rate to all sides alike, whether or not earlier ones have been answered, as many users do
// who know nothing of each other; and lets the services fall ill and recover as the phases say. It returns when all requests
// have ended, and says how far behind its time the latest one was sent.
func load(ctx context.Context, start time.Time, sides ...*side) (lag time.Duration) {
	var inFlight sync.WaitGroup
	defer inFlight.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for at := time.Duration(0); at < wholeLength(); at += time.Second / rate {
		timer.Reset(time.Until(start.Add(at)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return lag
		}
		lag = max(lag, time.Since(start)-at)
		phase, _ := phaseAt(at)
		for _, s := range sides {
			s.service.become(phase.health)
			inFlight.Go(func() { s.send(ctx, start, at) })
		}
	}
	return lag
}

func (s *side) send(ctx context.Context, start time.Time, at time.Duration) {
	o := s.outcomeOf(ctx)
	r := request{at, time.Since(start) - at, o}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, r)
}

func (s *side) outcomeOf(ctx context.Context) outcome {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return failed
	}
	response, err := s.client.Do(r)
	if err != nil {
		return failed
	}
	defer response.Body.Close()
	// The connection is used again only if the body was read.
	_, err = io.Copy(io.Discard, response.Body)
	switch {
	case err != nil:
		return failed
	case response.Header.Get("x-circuit-breaker") != "":
		return rejected
	case response.StatusCode == http.StatusOK:
		return answered
	case response.StatusCode == http.StatusGatewayTimeout:
		return timedOut
	}
	return failed
}

// requests returns those that have ended.
func (s *side) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.done)
}

// A second is what users got within one second.
type second struct {
	outcomes [outcomes]int
	median   time.Duration
}

// lastSecond returns what users got in the second before at.
func (s *side) lastSecond(at time.Duration) second {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sec second
	var took []time.Duration
	// They are at the end, with hardly a second's load of others.
	for _, r := range s.done[max(0, len(s.done)-5*rate):] {
		if ended := r.at + r.took; ended > at-time.Second && ended <= at {
			sec.outcomes[r.outcome]++
			took = append(took, r.took)
		}
	}
	sec.median = quantile(took, 0.5)
	return sec
}
