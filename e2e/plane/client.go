package plane

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An Upstream is a service behind the gateway. It answers with its name and whatever a request's x-proof says, which is what a change of
// the listener is seen by.
type Upstream struct {
	*httptest.Server
	Status   atomic.Int64 // that it answers with; 200 at first
	Requests atomic.Int64 // that it has had, probes included
	ProbedAs atomic.Value // the host, a string, of the last request for /healthz
}

// NewUpstream starts a service that runs until the test ends.
func NewUpstream(t *testing.T, name string) *Upstream {
	u := new(Upstream)
	u.Status.Store(http.StatusOK)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			u.ProbedAs.Store(r.Host)
		}
		u.Requests.Add(1)
		w.WriteHeader(int(u.Status.Load()))
		io.WriteString(w, strings.TrimSpace(name+" "+r.Header.Get("x-proof")))
	}))
	t.Cleanup(u.Close)
	return u
}

// Port is the one that it listens at, on 127.0.0.1.
func (u *Upstream) Port() int { return u.Listener.Addr().(*net.TCPAddr).Port }

// An Answer is what a client got: a response, or an error.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Err    error
}

// Want is an error unless the answer has this status and, where it is not empty, this body.
func (a Answer) Want(status int, body string) error {
	if a.Err != nil || a.Status != status || body != "" && a.Body != body {
		return fmt.Errorf("got %d %q %v, want %d %q", a.Status, a.Body, a.Err, status, body)
	}
	return nil
}

// Get requests a URL with these names and values of headers, of which host may be one. It does so over a connection of its own, so that
// requests spread over Envoy's workers, and waits for a minute at most.
func Get(url string, header ...string) Answer {
	return GetFrom("127.0.0.1", url, header...)
}

// GetFrom is Get from another address of this machine.
func GetFrom(from, url string, header ...string) Answer {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return Answer{Err: err}
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	request.Host = request.Header.Get("host") // where it is empty the URL says it
	response, err := client.Do(request)
	if err != nil {
		return Answer{Err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, string(body), err}
}
