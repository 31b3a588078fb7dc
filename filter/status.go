//go:build wasip1

package main

import (
	"slices"
	"strings"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/reply"
	"envoy-circuit-breaker/filter/statuspage"
)

// The status page shows all breakers of a plugin's name, whichever worker or listener they belong to. So what it needs is
// in shared data: the registry of the clusters (registry.go), the policy of each, and its last transitions. They are written when a
// worker meets a cluster for the first time and when a breaker changes its state. A view reads one page of it, so it costs the
// same however many clusters there are.

// announce says that there is a breaker, and what it goes by. The policy loaded last is the one that is shown: announce reports whether
// nobody has shown it before.
func (p *plugin) announce(o owner, policy *breaker.Policy) bool {
	store := &sharedData{"policy", p.name, o.id()}
	for range 1000 {
		old, version := store.Load()
		if shown, ok := statuspage.ParsePolicy(old); ok && shown.Generation >= p.generation {
			return false
		}
		from := statuspage.Override{}
		if i := p.config.Match(o.name, o.route); i >= 0 && p.config.OwnRoute(o.name, o.route) == o.route { // or it is not asked: see retire
			p.markMatched(i)
			from = override(p.config, i)
		}
		if store.CompareAndSwap(statuspage.EncodePolicy(policy, from, p.generation), version) {
			return true
		}
	}
	return false
}

// remember adds a transition to the history of a breaker.
func remember(plugin, id string, m breaker.Transition, text string) {
	store, now := &sharedData{"history", plugin, id}, bridge.WallClock()
	for range 1000 {
		history, version := store.Load()
		if store.CompareAndSwap(statuspage.AddTransition(history, m.Epoch, now, text), version) {
			return
		}
	}
}

// answerStatus answers the request if it is for the status page, and reports whether it was.
func (p *plugin) answerStatus() bool {
	path, query, _ := strings.Cut(string(bridge.Header(bridge.RequestHeaders, ":path")), "?")
	if path != p.config.StatusPath {
		return false
	}
	if method := string(bridge.Header(bridge.RequestHeaders, ":method")); method != "GET" {
		p.reply(405, "text/plain", []byte("the status page answers GET only\n"), [2]string{"allow", "GET"})
		return true
	}
	if accept := string(bridge.Header(bridge.RequestHeaders, "accept")); !strings.Contains(accept, "application/json") {
		p.reply(200, "text/html; charset=utf-8", []byte(statuspage.HTML))
		return true
	}
	q, err := statuspage.ParseQuery(query)
	switch {
	case err != nil:
		p.reply(400, "text/plain", []byte(err.Error()+"\n"))
	case !p.readListing():
		p.reply(503, "text/plain", []byte("the names of the clusters are still being read\n"), [2]string{"retry-after", "1"})
	default:
		p.reply(200, "application/json", p.page(q))
	}
	return true
}

func (p *plugin) reply(status uint32, contentType string, body []byte, headers ...[2]string) {
	headers = append(headers, [2]string{"content-type", contentType}, [2]string{"cache-control", "no-store"},
		[2]string{"content-security-policy", statuspage.SecurityPolicy}, [2]string{"x-content-type-options", "nosniff"})
	bridge.SendLocalResponse(status, "circuit_breaker_status", body, reply.SerializeHeaders(headers), -1)
}

// page makes one page of the list.
func (p *plugin) page(q statuspage.Query) []byte {
	names := p.listing.names
	first, found := slices.BinarySearch(names, owner{q.After, q.AfterRoute}.id())
	if found {
		first++
	}
	last := min(first+q.Limit, len(names))
	if len(p.shown) > maxShown {
		p.shown = nil
	}
	if p.shown == nil {
		p.shown = map[string]*stats{}
	}
	head := statuspage.Head{Plugin: p.name, At: bridge.WallClock(), Total: len(names)}
	p.describeConfiguration(&head)
	now, page := clock{}.Now(), statuspage.BeginPage(p.pageBuffer, &head)
	for i, anew := first, 0; i < last; i++ {
		if p.shown[names[i]] == nil {
			if anew == maxAnew {
				last = i
				break
			}
			anew++
		}
		if c, ok := p.status(names[i], now); ok {
			page.Add(&c)
		}
	}
	next := ""
	if last < len(names) {
		o := ownerOf(names[last-1])
		next = statuspage.Query{After: o.name, AfterRoute: o.route, Limit: q.Limit}.String()
	}
	p.pageBuffer = page.End(next)
	return p.pageBuffer
}

const (
	// maxShown is about how many clusters the stats are kept of: those that are looked at again and again.
	maxShown = 4 * statuspage.MaxLimit
	// maxAnew is how many clusters of a page may be ones whose stats are not kept: Envoy takes its time to find them by their names,
	// and this worker's requests wait. The page ends before the next one.
	maxAnew = statuspage.MaxLimit / 2
)

// status reads the status of one breaker. It reports false if that cannot be read.
func (p *plugin) status(id string, now breaker.Time) (c statuspage.Cluster, ok bool) {
	o := ownerOf(id)
	c.Name, c.Route = o.name, o.route
	value, _ := (&sharedData{"policy", p.name, id}).Load()
	p.policyBuffer = append(p.policyBuffer[:0], value...) // which the next call of the host overwrites
	if c.Policy, ok = statuspage.ParsePolicy(p.policyBuffer); !ok {
		return c, false
	}
	s := p.shown[id]
	if s == nil {
		s = &stats{plugin: p, owner: o}
		p.shown[id] = s
	}
	if mode := c.Policy.Mode; mode != breaker.ForceOpen && mode != breaker.Disabled {
		c.Status, ok = breaker.ReadStatus(&sharedData{"record", p.name, id}, &sharedData{"counts", p.name, id}, s, now)
		if !ok {
			return c, false // it has just been announced, or its record is corrupt and will be made anew by the next request
		}
	}
	c.Rejected, c.Fallback = s.Value(breaker.Rejected), s.Value(breaker.FellBack)
	if c.Policy.Mode == breaker.Shadow { // to ask for a stat makes Envoy show it, and in other modes it cannot move
		c.ShadowRejected = s.Value(breaker.ShadowRejected)
	}
	c.History, _ = (&sharedData{"history", p.name, id}).Load()
	return c, true
}
