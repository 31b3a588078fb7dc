package main

import (
	"net"
	"net/http"
	"sync"
)

// A service is an upstream that can fall ill. It counts the requests that it gets while it is.
type service struct {
	address string
	server  *http.Server

	mu        sync.Mutex
	health    health
	changed   chan struct{} // closed at the next change of health, when requests that hang go on
	sickCalls int
}

func newService() (*service, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &service{address: listener.Addr().String(), changed: make(chan struct{})}
	s.server = &http.Server{Handler: s}
	go s.server.Serve(listener)
	return s, nil
}

func (s *service) close() { s.server.Close() }

// become sets the health.
func (s *service) become(h health) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health != h {
		s.health = h
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// sick returns how many requests arrived while the service was not healthy.
func (s *service) sick() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sickCalls
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	health, changed := s.health, s.changed
	if health != healthy {
		s.sickCalls++
	}
	s.mu.Unlock()
	if health == hanging {
		select {
		case <-changed: // to failing
		case <-r.Context().Done():
			return
		}
	}
	if health != healthy {
		w.WriteHeader(http.StatusInternalServerError)
	}
}
