package plane_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"envoy-circuit-breaker/e2e/plane"
)

// Elsewhere a machine has no 127.0.0.2 by itself.
func TestGetFrom(t *testing.T) {
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }))
	defer mirror.Close()
	if a := plane.GetFrom("127.0.0.2", mirror.URL); !strings.HasPrefix(a.Body, "127.0.0.2:") {
		t.Errorf("the answer: %+v", a)
	}
}

func TestProcess(t *testing.T) {
	p := plane.Start(t, "the shell", exec.Command("sh", "-c", "echo ready; exec sleep 600"))
	plane.Await(t, "its log", func() error { return p.Logged("ready") }, nil, p)
	if p.Logged("done") == nil {
		t.Error("it has logged what it has not")
	}
	p.Stop()
	p.Stop() // as the end of the test does
}
