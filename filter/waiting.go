//go:build wasip1

package main

import (
	"slices"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
	"envoy-circuit-breaker/internal/time"
)

// A request that hangs is noticed while it hangs: each tick looks for those that have waited for an answer for too long, and for
// trials that hold a place for too long.

// A queue has the requests that wait for an answer, in the order in which they came to their end, of all clusters with the same
// limit to a slow call. So a tick looks at the oldest and mostly at no more. Requests that have not been asked for their cluster are in
// the queue with the least limit, until they have waited for that long.
type queue struct {
	slow           time.Duration // slow_call.duration
	oldest, newest *stream
	held           *queue // of those that a filter after this one keeps from the upstream
}

// join puts a stream in its place, which is mostly the last.
func (q *queue) join(s *stream) {
	before := q.newest
	for before != nil && before.sentAt > s.sentAt {
		before = before.earlier
	}
	s.queue, s.earlier, s.later = q, before, q.oldest
	if before != nil {
		s.later, before.later = before.later, s
	} else {
		q.oldest = s
	}
	if s.later != nil {
		s.later.earlier = s
	} else {
		q.newest = s
	}
}

// leaveQueue does nothing for a stream that is in none.
func (s *stream) leaveQueue() {
	q := s.queue
	if q == nil {
		return
	}
	if s.earlier != nil {
		s.earlier.later = s.later
	} else {
		q.oldest = s.later
	}
	if s.later != nil {
		s.later.earlier = s.earlier
	} else {
		q.newest = s.earlier
	}
	s.queue, s.earlier, s.later = nil, nil, nil
}

// queueOf finds the queue for a limit, or makes it; nil where slow calls are off.
func (p *plugin) queueOf(slow time.Duration) *queue {
	if slow == 0 {
		return nil
	}
	for _, q := range p.queues {
		if q.slow == slow {
			return q
		}
	}
	q := &queue{slow: slow, held: &queue{}}
	p.queues = append(p.queues, q)
	return q
}

// lookAtWaiting gives the verdict on requests that have waited for longer than a call may take.
func (p *plugin) lookAtWaiting(now breaker.Time) {
	looked := false
	for _, q := range p.queues {
		for s, next := q.held.oldest, (*stream)(nil); s != nil; s = next {
			next, looked = s.later, true
			bridge.SetEffectiveContext(s.id)
			if asked() {
				s.leaveQueue()
				q.join(s)
			} else {
				s.sentAt = now // the upstream's time has not begun
			}
		}
		for s := q.oldest; s != nil && now.Sub(s.sentAt) > q.slow; s = q.oldest {
			s.leaveQueue()
			looked = true
			bridge.SetEffectiveContext(s.id)
			var next *queue
			switch {
			case !s.findCluster():
			case s.cluster.queue != q:
				next = s.cluster.queue // it has just been asked for its cluster, whose calls may take longer
			case asked():
				s.tellSlow()
			default:
				s.sentAt, next = now, q.held
			}
			if next != nil {
				next.join(s)
			}
		}
	}
	if looked {
		bridge.SetEffectiveContext(p.id)
	}
}

// tellSlow gives the verdict on a request that still waits.
func (s *stream) tellSlow() {
	isTrial := s.permit.Trial()
	s.permit = s.cluster.breaker.StillWaiting(s.permit)
	if isTrial {
		noteOutcome(s, breaker.Outcome{Slow: true}, "waiting")
		s.told = true
		s.plugin.dropTrial(s)
	}
}

// lookAtTrials gives back the place of a trial whose client takes its time over the request, and the verdict on one whose answer has
// begun well and goes on for longer than its permit does: a stream of gRPC's is not over when it works.
func (p *plugin) lookAtTrials(now breaker.Time) {
	for _, s := range slices.Clone(p.trials) { // which telling changes
		old := now.Sub(s.began)
		if !s.sent && !s.released && old >= verdict.Patience {
			s.released = true
			s.permit = s.cluster.breaker.Release(s.permit)
		}
		a := &s.answer
		if a.at != 0 && a.origin == verdict.Answered && a.status == 200 && old >= s.cluster.rules.Policy.HalfOpenPermitTimeout-2*tick {
			bridge.SetEffectiveContext(s.id)
			s.tell()
			bridge.SetEffectiveContext(p.id)
		}
	}
}

// dropTrial does nothing for what is not among the trials.
func (p *plugin) dropTrial(s *stream) {
	if len(p.trials) == 0 {
		return
	}
	if i := slices.Index(p.trials, s); i >= 0 {
		p.trials = slices.Delete(p.trials, i, i+1)
	}
}
