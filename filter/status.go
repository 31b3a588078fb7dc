//go:build wasip1

package main

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
)

// The status page shows all breakers of a plugin's name, whichever worker or listener they belong to. So what it needs is
// in shared data: a numbered list of the clusters, and the last transitions of each. Both are written when a breaker is
// made or changes its state, never by a request.

// list adds a cluster whose record has just been made.
func list(plugin, cluster string) {
	count := &sharedData{key: sharedKey("clusters", plugin, "")}
	for range 1000 {
		value, version := count.Load()
		n := max(0, number(value))
		if count.CompareAndSwap(strconv.AppendInt(nil, int64(n)+1, 10), version) {
			bridge.SetSharedData(sharedKey("clusters", plugin, strconv.Itoa(n)), []byte(cluster), 0)
			return
		}
	}
}

// listed returns the clusters that have a breaker, by name.
func listed(plugin string) []string {
	value, _ := bridge.SharedData(sharedKey("clusters", plugin, ""))
	var names []string
	for i := range max(0, number(value)) {
		// One that was counted just now may not be written yet.
		if name, _ := bridge.SharedData(sharedKey("clusters", plugin, strconv.Itoa(i))); name != nil {
			names = append(names, string(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names) // a record that was lost is made, and listed, again
}

// remembered is how many transitions of a cluster are kept.
const remembered = 5

// remember adds a transition to a cluster's history.
func remember(plugin, cluster, text string) {
	store := &sharedData{key: sharedKey("history", plugin, cluster)}
	for range 1000 {
		value, version := store.Load()
		past := append([]transitionLog{{time.Now(), text}}, parseHistory(value)...)
		next, err := json.Marshal(past[:min(len(past), remembered)])
		if err != nil || store.CompareAndSwap(next, version) {
			return
		}
	}
}

// parseHistory reads a cluster's history; none if it cannot be read.
func parseHistory(value []byte) (past []transitionLog) {
	if json.Unmarshal(value, &past) != nil {
		return nil
	}
	return past
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
	contentType, body := page(p.name, time.Now(), p.statuses(), accept)
	p.reply(200, contentType, body)
	return true
}

func (p *plugin) reply(status uint32, contentType, body string, headers ...[2]string) {
	headers = append(headers, [2]string{"content-type", contentType}, [2]string{"cache-control", "no-store"},
		[2]string{"content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"})
	bridge.SendLocalResponse(status, "circuit_breaker_status", []byte(body), appendHeaders(nil, headers), -1)
}

// statuses reads the status of every breaker of the plugin's name.
func (p *plugin) statuses() []clusterStatus {
	if p.shown == nil {
		p.shown = map[string]*stats{}
	}
	now := clock{}.Now()
	all := []clusterStatus{}
	for _, name := range listed(p.name) {
		s := p.shown[name]
		if s == nil {
			var err error
			if s, err = defineStats(p.name, name); err != nil {
				continue
			}
			p.shown[name] = s
		}
		st, ok := breaker.ReadStatus(recordStore(p.name, name), countsStore(p.name, name), s, now)
		if !ok {
			continue
		}
		history, _ := bridge.SharedData(sharedKey("history", p.name, name))
		all = append(all, clusterStatus{
			Cluster: name, State: st.State.String(), NextTry: st.OpenFor.Seconds(), Trips: st.Trips,
			Successes: st.Successes, Trials: st.Trials,
			Calls: st.Window.Calls, FailureRate: percent(st.Window.Failures, st.Window.Calls), SlowRate: percent(st.Window.SlowCalls, st.Window.Calls),
			Rejected: s.Value(breaker.Rejected), Transitions: parseHistory(history),
		})
	}
	return all
}

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
