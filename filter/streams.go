//go:build wasip1

package main

import (
	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/verdict"
)

// A stream is a request in flight. The callbacks of streams (those that are exported in streams.go, admission.go, request.go,
// answer.go and outcome.go) find theirs by its id.
type stream struct {
	id      uint32
	next    *stream // in the same bucket, or among those for reuse
	plugin  *plugin
	cluster *cluster // nil until the request has been admitted; where all is calm, until it is asked for its cluster
	permit  breaker.Permit
	calm    bool     // admitted without being asked for its cluster
	bodied  bool     // the request has a body, as a gRPC request always has
	marked  *cluster // which did not take the request, so that it was sent to the fallback; nil else
	told    bool     // the breaker knows the verdict already

	began     breaker.Time // when it was admitted; coarse unless it is a trial
	deadlines verdict.Deadlines
	sent      bool         // the request has come to its end
	sentAt    breaker.Time // when; coarse where slow calls are off

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
		plugins[id] = newPlugin(id)
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
