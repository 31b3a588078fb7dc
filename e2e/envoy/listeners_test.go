package envoy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A dynamicShop is a shop whose listeners come from a file that Envoy watches (LDS), and whose plugins may come from others (ECDS).
// Beside them it has a static listener, without the plugin.
type dynamicShop struct {
	*shop
	folder    string
	listeners map[string]envoy.Listener
	pushes    int
}

// dynamic opens a shop. Each filter is an item of http_filters, by the name of its listener.
func dynamic(t *testing.T, folder string, filters map[string]string) *dynamicShop {
	t.Helper()
	s := &dynamicShop{
		shop:   &shop{t: t, payments: envoytest.NewUpstream(t), catalog: envoytest.NewUpstream(t)},
		folder: folder, listeners: map[string]envoy.Listener{},
	}
	for name, filter := range filters {
		s.listeners[name] = envoy.Listener{Name: name, FiltersBefore: filter}
	}
	s.write()
	s.Envoy = envoytest.Start(t, envoy.Bootstrap{
		Clusters:  s.clusters(),
		Listeners: []envoy.Listener{{Name: "static"}},
		Extra:     fmt.Sprintf("dynamic_resources: { lds_config: { path_config_source: { path: %q }, resource_api_version: V3 } }", s.file()),
	})
	return s
}

func (s *dynamicShop) file() string { return filepath.Join(s.folder, "lds.json") }

func (s *dynamicShop) clusters() []envoy.Cluster {
	return []envoy.Cluster{{Name: "payments", Address: s.payments.Address}, {Name: "catalog", Address: s.catalog.Address}}
}

// write has Envoy read all listeners, in the order of their names: where a plugin starts first that is not refused, the code of all is
// compiled once.
func (s *dynamicShop) write() {
	s.t.Helper()
	all := envoy.Bootstrap{Clusters: s.clusters()}
	for _, name := range slices.Sorted(maps.Keys(s.listeners)) {
		all.Listeners = append(all.Listeners, s.listeners[name])
	}
	text, err := all.YAML()
	if err != nil {
		s.t.Fatal(err)
	}
	var bootstrap struct {
		Static struct{ Listeners []object } `json:"static_resources"`
	}
	if err := yaml.Unmarshal([]byte(text), &bootstrap); err != nil {
		s.t.Fatal(err)
	}
	for _, l := range bootstrap.Static.Listeners {
		l["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener"
	}
	s.pushes++
	envoytest.MoveIntoPlace(s.t, s.file(), toJSON(s.t, object{"version_info": fmt.Sprint(s.pushes), "resources": bootstrap.Static.Listeners}))
}

// set gives a listener another filter.
func (s *dynamicShop) set(listener, filter string) {
	s.t.Helper()
	l := s.listeners[listener]
	l.FiltersBefore = filter
	s.change(l)
}

// rename gives a listener another "server" header, which shows which of them answers.
func (s *dynamicShop) rename(listener, server string) {
	s.t.Helper()
	l := s.listeners[listener]
	l.ConnectionManager = fmt.Sprintf("server_name: %q", server)
	s.change(l)
}

func (s *dynamicShop) change(l envoy.Listener) {
	s.t.Helper()
	s.listeners[l.Name] = l
	s.write()
}

// awaitServer waits until a listener answers by that "server" header.
func (s *dynamicShop) awaitServer(listener, want string) {
	s.t.Helper()
	envoytest.Eventually(s.t, time.Minute, func() error {
		if a := s.get(listener, "/payments"); a.Header.Get("server") != want {
			return fmt.Errorf("%s answers as %q (%d %v), want %q", listener, a.Header.Get("server"), a.Status, a.Err, want)
		}
		return nil
	})
}

// address finds the address of a listener; "" if there is none.
func (s *dynamicShop) address(listener string) string {
	s.t.Helper()
	var answer struct {
		Statuses []struct {
			Name    string
			Address struct {
				Socket struct {
					Address string
					Port    int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(s.Admin(http.MethodGet, "/listeners?format=json")), &answer); err != nil {
		s.t.Fatal(err)
	}
	for _, l := range answer.Statuses {
		if l.Name == listener {
			return fmt.Sprintf("%s:%d", l.Address.Socket.Address, l.Address.Socket.Port)
		}
	}
	return ""
}

// get requests a path of a listener.
func (s *dynamicShop) get(listener, path string) envoytest.Answer {
	s.t.Helper()
	address := s.address(listener)
	if address == "" {
		return envoytest.Answer{Err: errors.New("no such listener")}
	}
	return getFrom(address, path)
}

func getFrom(address, path string) envoytest.Answer {
	request, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return envoytest.Answer{Err: err}
	}
	return envoytest.Do(request)
}

// awaitLog waits until the log has that many lines with a text: what Envoy logs comes through a pipe.
func (s *shop) awaitLog(text string, lines int) {
	s.t.Helper()
	envoytest.Eventually(s.t, time.Minute, func() error {
		if n := strings.Count(s.Log(), text); n != lines {
			return fmt.Errorf("%d lines of the log have %q, want %d", n, text, lines)
		}
		return nil
	})
}

// A load sends requests to listeners until it is stopped.
type load struct {
	stop     chan struct{}
	clients  sync.WaitGroup
	requests atomic.Int64
}

// startLoad has two clients for each listener, which check each answer.
func (s *dynamicShop) startLoad(path string, check func(envoytest.Answer) error, listeners ...string) *load {
	s.t.Helper()
	l := &load{stop: make(chan struct{})}
	for _, listener := range listeners {
		address := s.address(listener)
		for range 2 {
			l.clients.Go(func() {
				for {
					select {
					case <-l.stop:
						return
					default:
					}
					l.requests.Add(1)
					if err := check(getFrom(address, path)); err != nil {
						s.t.Errorf("a request to %s: %v", listener, err)
					}
				}
			})
		}
	}
	return l
}

// end stops the load, and returns how many requests there were.
func (l *load) end() int64 {
	close(l.stop)
	l.clients.Wait()
	return l.requests.Load()
}
