//go:build wasip1

package main

import (
	"encoding/binary"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
)

// A stream is a request in flight. The callbacks of streams are exported here and go round the SDK's own dispatch, which
// would allocate a context for each.
type stream struct {
	id      uint32
	next    *stream // in the same bucket, or among those for reuse
	plugin  *plugin
	cluster *cluster // nil until the request has been admitted
	permit  breaker.Permit
	bodied  bool         // the request has a body, as a gRPC request always has
	marked  bool         // sent to a fallback
	began   breaker.Time // where slow calls are on
	headers breaker.Time // when response headers came, likewise
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
	s.plugin.streams--
	*s = stream{next: free}
	free = s
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id, _, endOfStream uint32) uint32 {
	s := find(id)
	if s == nil {
		return uint32(types.ActionContinue)
	}
	s.bodied = endOfStream == 0
	if s.plugin.config.StatusPath != "" && s.plugin.answerStatus() {
		forget(s)
		return uint32(types.ActionPause)
	}
	name := bridge.Property(clusterName)
	if len(name) == 0 {
		forget(s) // a direct response or redirect
		return uint32(types.ActionContinue)
	}
	c := s.plugin.cluster(name)
	if c == nil {
		forget(s)
		return uint32(types.ActionContinue)
	}
	permit := c.breaker.TryAcquire()
	if !permit.Admitted() {
		marked := fallBack(s, c)
		if !marked {
			c.breaker.Reject()
			c.reject(&permit, s.bodied)
			forget(s)
			return uint32(types.ActionPause)
		}
		c.breaker.FallBack()
		note("fallback", permit.State(), c.name, "", "")
		return uint32(types.ActionContinue)
	}
	s.cluster, s.permit = c, permit
	s.start()
	return uint32(types.ActionContinue)
}

// fallBack marks a request that its cluster does not take by a header, which changes its route. It reports false if no
// fallback is configured, or if the fallback's own breaker does not take the request either.
func fallBack(s *stream, c *cluster) bool {
	f := &c.rules.Fallback
	if f.Header == "" {
		return false
	}
	s.marked, s.cluster = true, c
	if f.Cluster != "" {
		to := s.plugin.cluster([]byte(f.Cluster))
		if to == nil {
			return false
		}
		if s.permit = to.breaker.TryAcquire(); !s.permit.Admitted() {
			return false
		}
		s.cluster = to
		s.start()
	}
	return bridge.SetHeader(bridge.RequestHeaders, f.Header, f.Value) == bridge.OK
}

// start takes the time, where slow calls are on.
func (s *stream) start() {
	if s.cluster.rules.Policy.SlowCallDuration > 0 {
		s.began = clock{}.Now()
	}
}

// onResponseHeaders takes the time where slow calls are on, and gives a trial its verdict where that is final already, so
// that a long download does not hold recovery up.
//
//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id, _, _ uint32) uint32 {
	s := find(id)
	if s == nil || s.cluster == nil {
		return uint32(types.ActionContinue)
	}
	if s.began != 0 {
		s.headers = clock{}.Now()
	}
	if s.permit.Trial() && final() {
		done(s)
	}
	return uint32(types.ActionContinue)
}

// final reports whether an answer's headers say all: those of the upstream's own, other than gRPC, whose status comes in
// the trailers.
func final() bool {
	const grpc = "application/grpc"
	contentType := bridge.Header(bridge.ResponseHeaders, "content-type")
	if len(contentType) >= len(grpc) && string(contentType[:len(grpc)]) == grpc {
		return false
	}
	return verdict.OriginOf(bridge.Property(codeDetails)) == verdict.Answered
}

//go:wasmexport proxy_on_log
func onLog(id uint32) {
	s := find(id)
	if s == nil {
		return
	}
	if s.cluster == nil {
		forget(s) // its request headers were never seen
		return
	}
	done(s)
}

// Paths of properties.
const (
	clusterName  = "xds\x00cluster_name"
	codeDetails  = "response\x00code_details"
	attemptCount = "upstream\x00request_attempt_count"
)

// done gives the verdict on a stream.
func done(s *stream) {
	e := s.ending()
	if s.began != 0 {
		end := s.headers
		if end == 0 {
			end = clock{}.Now()
		}
		e.Took = end.Sub(s.began)
		if e.Origin == verdict.ClientGone && !asked() {
			e.Origin = verdict.Elsewhere // it was a filter after this one that kept the client waiting
		}
	}
	if s.marked {
		served(s, e)
	} else {
		o, reason := s.cluster.judge(e)
		s.cluster.breaker.Done(s.permit, o)
		if o != (breaker.Outcome{}) || s.permit.State() != "closed" {
			noteOutcome(s, o, reason)
		}
	}
	forget(s)
}

// ending reads how a stream ended.
func (s *stream) ending() verdict.Ending {
	e := verdict.Ending{Origin: verdict.OriginOf(bridge.Property(codeDetails)), GRPC: -1}
	e.Status = verdict.ParseStatus(bridge.Header(bridge.ResponseHeaders, ":status"))
	if e.Status == 200 && s.bodied && (e.Origin == verdict.Outlived || s.cluster.rules.FailureOn.AnyGRPC()) {
		e.GRPC = grpcStatus()
	}
	e.Tunnel = e.Status == 101 ||
		e.Status == 200 && e.Origin != verdict.Answered && string(bridge.Header(bridge.RequestHeaders, ":method")) == "CONNECT"
	return e
}

// noteOutcome makes what became of an admitted request readable for access logs.
func noteOutcome(s *stream, o breaker.Outcome, reason string) {
	decision := "admitted"
	if s.permit.Shadowed() {
		decision = "shadow_rejected"
	}
	outcome := [...]string{breaker.Success: "success", breaker.Failure: "failure", breaker.Neutral: "neutral"}[o.Result]
	if o.Slow {
		outcome += ",slow"
	}
	note(decision, s.permit.State(), s.cluster.name, outcome, reason)
}

// note sets the property that access logs and traces read as %FILTER_STATE(wasm.circuit_breaker:PLAIN)%. A plainly healthy
// request has none, and does not pay for it.
func note(decision, state, cluster, outcome, reason string) {
	b := append(notes[:0], "decision="...)
	b = append(b, decision...)
	b = append(append(b, " state="...), state...)
	b = append(append(b, " cluster="...), cluster...)
	if outcome != "" {
		b = append(append(b, " outcome="...), outcome...)
		b = append(append(b, " reason="...), reason...)
	}
	notes = b
	bridge.SetProperty("circuit_breaker", b)
}

// notes is the buffer of the last note.
var notes []byte

// served gives the verdict on a request that was marked for the fallback: it belongs to the cluster that served it, which
// is known by now. A fallback cluster that was asked and not used gets its permit back.
func served(s *stream, e verdict.Ending) {
	name := bridge.Property(clusterName)
	if s.permit.Admitted() {
		outcome := breaker.Outcome{Result: breaker.Neutral}
		if string(name) == s.cluster.name {
			outcome, _ = s.cluster.judge(e)
		}
		s.cluster.breaker.Done(s.permit, outcome)
		return
	}
	if len(name) == 0 {
		return // a direct response
	}
	if c := s.plugin.cluster(name); c != nil {
		o, _ := c.judge(e)
		c.breaker.Observe(o)
	}
}

// judge gives the verdict on a request as the cluster's and its reason, and adds the upstream's word on when to come back
// where that may be asked for.
func (c *cluster) judge(e verdict.Ending) (o breaker.Outcome, reason string) {
	o, reason = c.rules.Judge(e)
	if c.rules.HonorRetryAfter && e.Origin == verdict.Answered && o.Result == breaker.Failure {
		switch {
		case e.GRPC > 0:
			o.RetryAfter = verdict.ParsePushback(trailerOrHeader("grpc-retry-pushback-ms"))
		case e.Status == 429 || e.Status == 503:
			o.RetryAfter = verdict.ParseRetryAfter(bridge.Header(bridge.ResponseHeaders, "retry-after"), time.Now())
		}
	}
	return o, reason
}

// asked reports whether the request has been sent to the upstream at all.
func asked() bool {
	n := bridge.Property(attemptCount)
	return len(n) == 8 && binary.LittleEndian.Uint64(n) > 0
}

// grpcStatus returns -1 if there is none.
func grpcStatus() int { return verdict.ParseStatus(trailerOrHeader("grpc-status")) }

// trailerOrHeader reads what gRPC sends in trailers, or in the headers of a reply that has no more than them.
func trailerOrHeader(name string) []byte {
	if v := bridge.Header(bridge.ResponseTrailers, name); v != nil {
		return v
	}
	return bridge.Header(bridge.ResponseHeaders, name)
}
