package inprocess_test

import (
	"bytes"
	"os"
	"testing"
)

// What makes a build for tests crash is not in the plugin.
func TestNoFaultsInPlugin(t *testing.T) {
	for file, want := range map[string]bool{"../../build/plugin.wasm": false, "../../filter/faulty.go": true} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(text, []byte("x-test-only-")); got != want {
			t.Errorf("the name of a header that is for tests only is in %s: %v, want %v", file, got, want)
		}
	}
}
