//go:build wasip1

package main

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/reply"
	"envoy-circuit-breaker/filter/statuspage"
)

// The status page shows all breakers of a plugin's name, whichever worker or listener they belong to. So what it needs is
// in shared data: a numbered list of the clusters, the policy of each, and its last transitions. They are written when a
// worker meets a cluster for the first time and when a breaker changes its state.

// announce says that a cluster has a breaker, and what it goes by. The policy loaded last is the one that is shown.
func (p *plugin) announce(cluster string, policy *breaker.Policy) {
	store := &sharedData{"policy", p.name, cluster}
	for range 1000 {
		old, version := store.Load()
		if len(old) > 4 && binary.LittleEndian.Uint32(old) >= p.generation {
			return
		}
		text, err := json.Marshal(statuspage.NewPolicy(policy))
		if err != nil {
			return // cannot happen: there is nothing in it that JSON cannot write
		}
		if store.CompareAndSwap(append(binary.LittleEndian.AppendUint32(nil, p.generation), text...), version) {
			return
		}
	}
}

// listed returns the clusters that have a breaker, by name.
func (p *plugin) listed() []string {
	p.registry.read()
	return slices.Sorted(maps.Keys(p.registry.places))
}

// remember adds a transition to a cluster's history.
func remember(plugin, cluster string, m breaker.Transition, text string) {
	store := &sharedData{"history", plugin, cluster}
	t := statuspage.Transition{At: time.Now(), Text: text}
	for range 1000 {
		history, version := store.Load()
		next, err := statuspage.AddTransition(history, m.Epoch, t)
		if err != nil || store.CompareAndSwap(next, version) {
			return
		}
	}
}

// answerStatus answers the request if it is for the status page, and reports whether it was.
func (p *plugin) answerStatus() bool {
	path, _, _ := strings.Cut(string(bridge.Header(bridge.RequestHeaders, ":path")), "?")
	if path != p.config.StatusPath {
		return false
	}
	if method := string(bridge.Header(bridge.RequestHeaders, ":method")); method != "GET" {
		p.reply(405, "text/plain", "the status page answers GET only\n", [2]string{"allow", "GET"})
		return true
	}
	accept := string(bridge.Header(bridge.RequestHeaders, "accept"))
	contentType, body := statuspage.Render(p.name, time.Now(), p.statuses(), accept)
	p.reply(200, contentType, body)
	return true
}

func (p *plugin) reply(status uint32, contentType, body string, headers ...[2]string) {
	headers = append(headers, [2]string{"content-type", contentType}, [2]string{"cache-control", "no-store"},
		[2]string{"content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
		[2]string{"x-content-type-options", "nosniff"})
	bridge.SendLocalResponse(status, "circuit_breaker_status", []byte(body), reply.SerializeHeaders(headers), -1)
}

// statuses reads the status of every breaker of the plugin's name.
func (p *plugin) statuses() []statuspage.Cluster {
	if p.shown == nil {
		p.shown = map[string]*stats{}
	}
	now := clock{}.Now()
	all := []statuspage.Cluster{}
	for _, name := range p.listed() {
		if c, ok := p.status(name, now); ok {
			all = append(all, c)
		}
	}
	return all
}

// status reads the status of one cluster's breaker. It reports false if that cannot be read.
func (p *plugin) status(cluster string, now breaker.Time) (c statuspage.Cluster, ok bool) {
	c.Name = cluster
	value, _ := (&sharedData{"policy", p.name, cluster}).Load()
	if len(value) < 4 || json.Unmarshal(value[4:], &c.Policy) != nil {
		return c, false
	}
	s := p.shown[cluster]
	if s == nil {
		s = &stats{plugin: p.name, cluster: cluster}
		p.shown[cluster] = s
	}
	switch c.Policy.Mode {
	case breaker.ForceOpen.String():
		c.State = "forced_open"
	case breaker.Disabled.String():
		c.State = "disabled"
	default:
		st, ok := breaker.ReadStatus(&sharedData{"record", p.name, cluster}, &sharedData{"counts", p.name, cluster}, s, now)
		if !ok {
			return c, false // it has just been announced, or its record is corrupt and will be made anew by the next request
		}
		c.SetStatus(st)
	}
	c.Rejected, c.ShadowRejected, c.Fallback = s.Value(breaker.Rejected), s.Value(breaker.ShadowRejected), s.Value(breaker.FellBack)
	value, _ = (&sharedData{"history", p.name, cluster}).Load()
	c.Transitions = statuspage.Transitions(value)
	return c, true
}
