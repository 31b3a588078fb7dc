package inprocess_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"envoy-circuit-breaker/internal/wasmcode"
)

// deadly are functions that must not be in the plugin. On Envoy 1.36 to 1.38 a Go timer kills the virtual machine at the
// next garbage collection (https://github.com/golang/go/issues/78513), and crypto/rand arms one.
var deadly = []string{"time.newTimer", "time.Sleep", "time.resetTimer", "crypto/internal/sysrand.Read", "crypto/rand.Read"}

// functions returns which of the names are functions of a module. Go's own table of functions has the name of each that
// the linker kept, closed by a NUL.
func functions(t *testing.T, module string, names ...string) (found []string) {
	t.Helper()
	b, err := os.ReadFile(module)
	if err != nil {
		t.Fatalf("%v: run make build", err)
	}
	for _, name := range names {
		if bytes.Contains(b, []byte("\x00"+name+"\x00")) {
			found = append(found, name)
		}
	}
	return found
}

// Nothing compiled into the plugin can arm a timer.
func TestNoTimersInPlugin(t *testing.T) {
	if found := functions(t, pluginFile, deadly...); len(found) != 0 {
		t.Errorf("the plugin has %v", found)
	}
	// The check would find them: it finds a function of ours, and timers in a program that has them.
	if found := functions(t, pluginFile, "main.onLog"); len(found) != 1 {
		t.Error("the plugin's functions cannot be found by name any more")
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	program := filepath.Join(dir, "timers.wasm")
	const text = `package main
import ("crypto/rand"; "time")
func main() { time.Sleep(1); <-time.After(1); b := make([]byte, 1); rand.Read(b) }`
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, source)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if found := functions(t, program, deadly...); len(found) < 4 {
		t.Errorf("a program with timers and crypto/rand has only %v of %v", found, deadly)
	}
}

// mostCode is what the plugin's code may come to, in bytes: every Envoy compiles it at its start, and keeps it. An empty Go plugin has
// 1.38 MB.
const mostCode = 1_900_000

// heavy is what was taken out of the plugin for its size: how the names of its functions begin, and what does the same here.
var heavy = map[string]string{
	"encoding/json.":     "internal/strictjson reads JSON, filter/statuspage writes it",
	"fmt.":               "internal/smallfmt makes texts, filter/internal/bridge logs them",
	"os.":                "filter/internal/bridge does without the SDK and runtime/debug, which bring it along",
	"reflect.Value.":     "type switches and generics do without",
	"html.":              "the status page is one text",
	"google.golang.org/": "filter/config/struct.go reads a Struct",
	"time.init":          "internal/time has durations, filter/verdict/date.go reads HTTP's dates, filter/statuspage writes times; embed brings it too",
}

// Nothing that was taken out of the plugin for its size comes back, and nothing as large comes in.
func TestCodeInPlugin(t *testing.T) {
	module, err := os.ReadFile(pluginFile)
	if err != nil {
		t.Fatalf("%v: run make build", err)
	}
	if size, err := wasmcode.Size(module); err != nil || size > mostCode {
		t.Errorf("the plugin has %d bytes of code, error %v; at most %d are allowed: make size tells where they are", size, err, mostCode)
	}
	for name, instead := range heavy {
		if bytes.Contains(module, []byte("\x00"+name)) {
			t.Errorf("%s… is in the plugin again: %s", name, instead)
		}
	}
}
