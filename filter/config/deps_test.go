package config_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The SDK is of use in the plugin only; and what other programs import shall not bring it along.
func TestNoSDK(t *testing.T) {
	const sdk = "github.com/tetratelabs/proxy-wasm-go-sdk"
	brings := func(pkg string) bool {
		t.Helper()
		list := exec.Command("go", "list", "-deps", pkg)
		list.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm") // as in the plugin; elsewhere it is no more
		deps, err := list.Output()
		if err != nil {
			t.Fatalf("listing what %s imports: %v", pkg, err)
		}
		return strings.Contains(string(deps), sdk)
	}
	for _, pkg := range []string{"config", "verdict", "reply", "statuspage"} {
		if brings("envoy-circuit-breaker/filter/" + pkg) {
			t.Errorf("package %s imports the SDK", pkg)
		}
	}
	if !brings("envoy-circuit-breaker/filter") {
		t.Error("the plugin seems to do without the SDK: this test does not find it any more")
	}
}
