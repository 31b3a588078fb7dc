//go:build gateway

package gateway_test

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

// An upstream answers with its name and whatever x-proof says.
type upstream struct {
	*httptest.Server
	status, requests atomic.Int64
}

func newUpstream(t *testing.T, name string) *upstream {
	u := new(upstream)
	u.status.Store(200)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.requests.Add(1)
		w.WriteHeader(int(u.status.Load()))
		io.WriteString(w, strings.TrimSpace(name+" "+r.Header.Get("x-proof")))
	}))
	t.Cleanup(u.Close)
	return u
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// want compares the status and, where it is given, the name of the upstream that answered.
func (a answer) want(status int, upstream string) error {
	if name, _, _ := strings.Cut(a.body, " "); a.err != nil || a.status != status || upstream != "" && name != upstream {
		return fmt.Errorf("got %d %q %v, want %d %q", a.status, a.body, a.err, status, upstream)
	}
	return nil
}

// get requests a path over a connection of its own, so that requests spread over Envoy's workers.
func get(t *testing.T, address, path string, header ...string) answer {
	return getFrom(t, "127.0.0.1", address, path, header...)
}

// getFrom is get from another address of this machine.
func getFrom(t *testing.T, from, address, path string, header ...string) answer {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext,
	}}
	request, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return answer{err: err}
	}
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
