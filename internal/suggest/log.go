// Package suggest searches the policies of the circuit breaker for those that would have served best in the past: that open in each
// outage of a log and in nothing else, keep as many calls as they can from an upstream that is down, and reject few requests that would
// have been answered. What a policy would have done is played by the breaker itself.
package suggest

import (
	"errors"
	"slices"
	"strings"

	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/replay"
)

// ErrFull says that a log has as many requests as it may.
var ErrFull = errors.New("as many requests as may be held")

// A Log has the requests to learn from, in memory.
type Log struct {
	most     int
	requests int
	counts   Counts
	clusters map[string]*cluster

	last   *replay.Tape // that of the last request, which most often has the next one too
	lastOf [2]string    // its instance and cluster
}

// Counts are the lines of a log.
type Counts struct {
	Lines           int64 `json:"lines"`
	Broken          int64 `json:"broken_lines"`     // could not be understood
	WithoutCluster  int64 `json:"without_cluster"`  // answered without an upstream
	AlreadyRejected int64 `json:"already_rejected"` // by a breaker, when the log was written: nobody knows how they would have ended
	OutOfTime       int64 `json:"out_of_time"`      // their times cannot be
}

// A cluster has the requests of one cluster: a tape for each Envoy, and so for each of its breakers.
type cluster struct {
	name  string
	tapes map[string]*replay.Tape // by instance
}

// NewLog returns a log that may have so many requests.
func NewLog(most int) *Log { return &Log{most: most, clusters: map[string]*cluster{}} }

// Add takes one line. It returns [ErrFull], and does not take it, where there are too many requests.
func (l *Log) Add(e *accesslog.Entry) error {
	switch replay.UseOf(e) {
	case replay.WithoutCluster:
		l.counts.WithoutCluster++
	case replay.AlreadyRejected:
		l.counts.AlreadyRejected++
	case replay.OutOfTime:
		l.counts.OutOfTime++
	default:
		if l.requests == l.most {
			return ErrFull
		}
		l.requests++
		l.tape(e).Add(e)
	}
	l.counts.Lines++
	return nil
}

// Broken takes a line that could not be understood.
func (l *Log) Broken() {
	l.counts.Lines++
	l.counts.Broken++
}

// Lines is how many there are.
func (l *Log) Lines() int64 { return l.counts.Lines }

// BrokenLines is how many of these could not be understood.
func (l *Log) BrokenLines() int64 { return l.counts.Broken }

// tape finds the tape that a request belongs to, or makes it.
func (l *Log) tape(e *accesslog.Entry) *replay.Tape {
	if of := [2]string{e.Instance, e.Cluster}; l.last == nil || of != l.lastOf {
		l.lastOf = of
		c := l.clusters[e.Cluster]
		if c == nil {
			c = &cluster{name: e.Cluster, tapes: map[string]*replay.Tape{}}
			l.clusters[e.Cluster] = c
		}
		l.last = c.tapes[e.Instance]
		if l.last == nil {
			l.last = replay.NewTape(e.Instance, e.Cluster)
			c.tapes[e.Instance] = l.last
		}
	}
	return l.last
}

// inOrder are the clusters by name.
func (l *Log) inOrder() []*cluster {
	all := make([]*cluster, 0, len(l.clusters))
	for _, c := range l.clusters {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *cluster) int { return strings.Compare(a.name, b.name) })
	return all
}
