//go:build istio

package istio_test

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

// An upstream answers with its name and whatever x-proof says. It notes the host that it was last probed by.
type upstream struct {
	*httptest.Server
	status, requests atomic.Int64
	probedAs         atomic.Value
}

func newUpstream(t *testing.T, name string) *upstream {
	u := new(upstream)
	u.status.Store(200)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			u.probedAs.Store(r.Host)
		}
		u.requests.Add(1)
		w.WriteHeader(int(u.status.Load()))
		io.WriteString(w, strings.TrimSpace(name+" "+r.Header.Get("x-proof")))
	}))
	t.Cleanup(u.Close)
	return u
}

// port is that of an upstream.
func (u *upstream) port() int { return u.Listener.Addr().(*net.TCPAddr).Port }

type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// want compares status and, where it is given, the body.
func (a answer) want(status int, body string) error {
	if a.err != nil || a.status != status || body != "" && a.body != body {
		return fmt.Errorf("got %d %q %v, want %d %q", a.status, a.body, a.err, status, body)
	}
	return nil
}

// get requests a URL, for a host that is not its own where one is given, over a connection of its own, so that requests spread over Envoy's
// workers.
func get(t *testing.T, url, host string, header ...string) answer {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return answer{err: err}
	}
	request.Host = host
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body), err}
}
