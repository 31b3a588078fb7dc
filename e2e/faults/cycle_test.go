//go:build faults

package faults_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// Headers of a request.
const (
	clusterHeader = "x-cluster" // which cluster it is for, where routes go by it
	failHeader    = "x-fail"    // the upstream fails
	slowHeader    = "x-slow"    // the upstream takes so long
)

// asTold is an upstream that does what the request says.
func asTold(w http.ResponseWriter, r *http.Request) {
	if wait, err := time.ParseDuration(r.Header.Get(slowHeader)); err == nil {
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if r.Header.Get(failHeader) != "" {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// byHeader routes each request to the cluster that it names, and waits for longer than any fault lasts.
var byHeader = []envoy.Route{{Prefix: "/", Action: "cluster_header: " + clusterHeader + "\ntimeout: 180s"}}

// A customer asks for one cluster, whose breaker is to open and to close again.
type customer struct {
	*load
	url, cluster string
	bad          []string // headers of a request that goes wrong
}

func newCustomer(t *testing.T, e *envoytest.Envoy, cluster string, bad ...string) *customer {
	return &customer{newLoad(t), e.URL("/"), cluster, bad}
}

func (p *customer) good() envoytest.Answer { return p.get(p.url, clusterHeader, p.cluster) }

func (p *customer) sick() envoytest.Answer {
	return p.get(p.url, append([]string{clusterHeader, p.cluster}, p.bad...)...)
}

// keepAsking sends good requests until the load ends, by so many clients.
func (p *customer) keepAsking(clients int) {
	p.repeat(clients, 10*time.Millisecond, func() { p.good() })
}

// cycle lets the breaker open, which must take exactly so many bad requests, and close again.
func (p *customer) cycle(trip int) error {
	p.reason(true)
	for i := range trip {
		if a := p.sick(); a.Header.Get(answeredHeader) == "" {
			return fmt.Errorf("%s: bad request %d of %d did not reach the upstream: %+v", p.cluster, i+1, trip, a)
		}
	}
	for range 3 {
		if a := p.sick(); a.Header.Get("x-circuit-breaker") != "open" {
			return fmt.Errorf("%s: not open after %d bad requests: %+v", p.cluster, trip, a)
		}
	}
	good, deadline := 0, time.Now().Add(60*time.Second)
	for good < 10 {
		if a := p.good(); a.Status == http.StatusOK {
			good++
		} else if good = 0; time.Now().After(deadline) {
			return fmt.Errorf("%s: does not recover: %+v", p.cluster, a)
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.reason(false)
	for range 10 {
		if a := p.good(); a.Status != http.StatusOK {
			return fmt.Errorf("%s: after it has recovered: %+v", p.cluster, a)
		}
	}
	return nil
}
