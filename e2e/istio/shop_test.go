//go:build istio

package istio_test

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"envoy-circuit-breaker/e2e/plane"
)

// A shop is a mesh with one ingress gateway, and services behind it.
type shop struct {
	*kubernetes
	whole                     *testing.T // processes live as long
	t                         *testing.T // the part that runs
	istiod, gateway           *plane.Process
	payments, backup, catalog *plane.Upstream
	plugin                    object // the WasmPlugin
}

const (
	paymentsHost    = "payments.example.com" // that of fallback.yaml
	catalogHost     = "catalog.example.com"
	paymentsCluster = "outbound|443||payments.shop.svc.cluster.local"
	pluginLabel     = "istio-ingress.circuit-breaker"
	pluginName      = pluginLabel + "~istio-translated-wasmplugin" // from Istio 1.30 on
)

// services are what a cluster has before deploy/istio comes to it.
func (g *shop) services() []object {
	var resources []object
	for _, namespace := range []string{"istio-system", "istio-ingress", "shop"} {
		resources = append(resources, object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": namespace}})
	}
	for i, s := range []struct {
		name string
		port int
		*plane.Upstream
	}{{"payments", 443, g.payments}, {"payments-backup", 80, g.backup}, {"catalog", 80, g.catalog}} {
		resources = append(resources, object{
			"apiVersion": "v1", "kind": "Service", "metadata": object{"name": s.name, "namespace": "shop"},
			"spec": object{"clusterIP": fmt.Sprintf("10.96.0.%d", 10+i), "ports": []object{{"name": "http", "port": s.port, "targetPort": s.Port()}}},
		}, object{
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
			"metadata":  object{"name": s.name + "-1", "namespace": "shop", "labels": object{"kubernetes.io/service-name": s.name}},
			"ports":     []object{{"name": "http", "port": s.Port(), "protocol": "TCP"}},
			"endpoints": []object{{"addresses": []string{"127.0.0.1"}, "conditions": object{"ready": true}}},
		})
	}
	return append(resources, object{
		"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": object{"name": "main", "namespace": "istio-ingress"},
		"spec": object{
			"selector": object{"istio": "ingressgateway"},
			"servers":  []object{{"hosts": []string{"*"}, "port": object{"number": 80, "name": "http", "protocol": "HTTP"}}},
		},
	}, object{
		"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": object{"name": "catalog", "namespace": "shop"},
		"spec": object{
			"hosts": []string{catalogHost}, "gateways": []string{"istio-ingress/main"},
			"http": []object{{"route": []object{{"destination": object{"host": "catalog.shop.svc.cluster.local"}}}}},
		},
	})
}

// config is the plugin's configuration, to be changed and applied.
func (g *shop) config() object { return plane.At(g.plugin, "spec", "pluginConfig") }

// override is the plugin's configuration for payments, likewise.
func (g *shop) override() object { return plane.At(g.config(), "clusters", 0) }

func (g *shop) getPayments(header ...string) plane.Answer {
	return plane.Get(public, append([]string{"host", paymentsHost}, header...)...)
}

func (g *shop) getCatalog() plane.Answer { return plane.Get(public, "host", catalogHost) }

// awaitReject sends requests that fail until one is not let through.
func (g *shop) awaitReject() (reject plane.Answer) {
	g.t.Helper()
	g.await("the breaker to open", func() error {
		if reject = g.getPayments(); reject.Header.Get("x-circuit-breaker") != "open" {
			return fmt.Errorf("%+v", reject)
		}
		return nil
	})
	return reject
}

// wantState compares the state of payments' breaker, by its gauge.
func (g *shop) wantState(want string) error {
	number := map[string]string{"closed": "0", "open": "1", "half_open": "2"}[want]
	gauge := "wasmcustom.circuit_breaker." + pluginName + ".cluster." + paymentsCluster + ".state: " + number + "\n"
	text, err := g.request("stats?filter=wasmcustom.circuit_breaker")
	if err != nil || !strings.Contains(text, gauge) {
		return fmt.Errorf("no %q in\n%s%v", gauge, text, err)
	}
	return nil
}

// wantMetric looks for a value in what Prometheus scrapes. Envoy sorts labels as it likes.
func (g *shop) wantMetric(stat, value string, labels ...string) error {
	a := plane.Get(metrics)
lines:
	for line := range strings.Lines(a.Body) {
		if !strings.HasPrefix(line, stat+"{") || !strings.HasSuffix(line, "} "+value+"\n") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(line, label) {
				continue lines
			}
		}
		return nil
	}
	return fmt.Errorf("no %s %s with the labels %q in\n%s", stat, value, labels, a.Body)
}

// request asks the gateway's Envoy as README.md says.
func (g *shop) request(path string) (string, error) {
	out, err := exec.Command(plane.Built+"pilot-agent", "request", "GET", path).Output()
	return string(out), err
}

// await polls until there is no error.
func (g *shop) await(what string, condition func() error) {
	g.t.Helper()
	plane.Await(g.t, what, condition, g.istiod, g.gateway)
}

// sendMeanwhile has four clients send requests to a healthy service, one after the other, until the returned function is called, which tells
// how many. Each that is not answered by that service is an error.
func (g *shop) sendMeanwhile() (stop func() int64) {
	var n atomic.Int64
	var clients sync.WaitGroup
	quit := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				if a := g.getCatalog(); a.Status != 200 {
					g.t.Errorf("a request that has nothing to do with it: %+v", a)
				}
				n.Add(1)
			}
		})
	}
	stop = sync.OnceValue(func() int64 {
		close(quit)
		clients.Wait()
		return n.Load()
	})
	g.t.Cleanup(func() { stop() })
	return stop
}
