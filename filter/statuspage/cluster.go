// Package statuspage makes the page that shows all breakers: the list of them as JSON, page by page, and the HTML that draws it; and
// the line that tells of a transition there and in the log. Where the figures are read from is for others to know.
package statuspage

import "envoy-circuit-breaker/breaker"

// A Cluster is what the page says of the breaker of one cluster, or of one route to it.
type Cluster struct {
	Name   string
	Route  string // empty where it is the cluster's
	Policy Policy
	Status breaker.Status // zero where the policy's mode leaves the breaker alone

	Rejected, ShadowRejected, Fallback uint64 // ever

	History []byte // see [AddTransition]
}

func (c *Cluster) state() string {
	switch c.Policy.Mode {
	case breaker.ForceOpen:
		return "forced_open"
	case breaker.Disabled:
		return "disabled"
	}
	return c.Status.State.String()
}
