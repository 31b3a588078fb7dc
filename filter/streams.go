//go:build wasip1

package main

import (
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
)

// A stream is a request in flight. The callbacks of streams (those that are exported in streams.go, admission.go, request.go,
// answer.go and outcome.go) go round the SDK's own dispatch, which would allocate a context for each.
type stream struct {
	id      uint32
	next    *stream // in the same bucket, or among those for reuse
	plugin  *plugin
	cluster *cluster // nil until the request has been admitted
	permit  breaker.Permit
	bodied  bool // the request has a body, as a gRPC request always has
	marked  bool // sent to a fallback
	told    bool // the breaker knows the verdict already

	began       breaker.Time  // when it was admitted; coarse unless it is a trial or has a deadline
	deadline    time.Duration // that the caller chose; 0 if none
	tryDeadline time.Duration // that the caller chose for each try; 0 if none
	sent        bool          // the request has come to its end
	sentAt      breaker.Time  // when; coarse where slow calls are off and there is no deadline

	answer answer

	queue          *queue  // of requests that wait for an answer, where it is in one
	earlier, later *stream // there
	released       bool    // a trial whose place has been given back
}

// The streams in flight are in a hash table. Ids come in sequence, so its buckets hold one each unless very many are in
// flight. A map of Go's is far more code, which each request would meet with cold caches.
var (
	buckets [1024]*stream
	free    *stream // the first one for reuse
)

func find(id uint32) *stream {
	s := buckets[id%uint32(len(buckets))]
	for s != nil && s.id != id {
		s = s.next
	}
	return s
}

//go:wasmexport proxy_on_context_create
func onContextCreate(id, pluginID uint32) {
	if pluginID == 0 {
		bridge.CreatePlugin(id)
		return
	}
	p := findPlugin(pluginID)
	if p == nil {
		return
	}
	s := free
	if s != nil {
		free = s.next
	} else {
		s = new(stream)
	}
	bucket := &buckets[id%uint32(len(buckets))]
	s.id, s.plugin, s.next = id, p, *bucket
	*bucket = s
	p.streams++
}

// forget ends a stream for the plugin: whatever Envoy still calls for it is of no interest.
func forget(s *stream) {
	link := &buckets[s.id%uint32(len(buckets))]
	for *link != s {
		link = &(*link).next
	}
	*link = s.next
	s.leaveQueue()
	s.plugin.dropTrial(s)
	s.plugin.streams--
	*s = stream{next: free}
	free = s
}
