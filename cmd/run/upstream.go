package main

import (
	"fmt"
	"net/http"
	"sync"
)

// An upstream is a demo service. Any request gets an answer that depends on its health; POST to /fail, /hang and /recover
// sets the health.
type upstream struct {
	name string

	mu       sync.Mutex
	requests int
	status   int           // of the answers
	changed  chan struct{} // closed at the next change of health, which lets requests that hang go on
	hanging  bool
}

func newUpstream(name string) http.Handler {
	u := &upstream{name: name, status: http.StatusOK, changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("POST /fail", u.become("fails every request", http.StatusInternalServerError, false))
	mux.Handle("POST /hang", u.become("lets every request hang", http.StatusOK, true))
	mux.Handle("POST /recover", u.become("is healthy", http.StatusOK, false))
	mux.HandleFunc("/", u.serve)
	return mux
}

// become returns a handler that sets the health.
func (u *upstream) become(health string, status int, hanging bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.status, u.hanging = status, hanging
		close(u.changed)
		u.changed = make(chan struct{})
		fmt.Fprintf(w, "%s %s now\n", u.name, health)
	}
}

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.requests++
	number, status, hanging, changed := u.requests, u.status, u.hanging, u.changed
	u.mu.Unlock()
	if hanging {
		select {
		case <-changed:
		case <-r.Context().Done():
		}
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, "%s: request %d, answered %d\n", u.name, number, status)
}
