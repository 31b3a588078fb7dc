package plane

import (
	"io"
	"log"
	"net/http/httptest"
	"os/exec"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Built is where make puts what it builds, from the folder of a module below e2e.
const Built = "../../build/"

// PushImage pushes the plugin's image, envoy-circuit-breaker:1.0.0, to a registry as make push does, and returns the registry's address.
// The registry has no TLS, and runs until the test ends.
func PushImage(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	out, err := exec.Command(Built+"image", "-plugin", Built+"plugin.wasm", "-o", t.TempDir()+"/image.tar", "-version", "1.0.0",
		"-push", address+"/envoy-circuit-breaker:1.0.0").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return address
}
