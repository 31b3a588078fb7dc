package envoytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// An Entry is a line of Envoy's access log: one request that has ended.
type Entry struct {
	Method     string
	Path       string
	Status     int    // 0 when no response was sent
	Details    string // response code details, such as via_upstream
	Flags      string // response flags, comma separated; "-" when there are none
	Cluster    string // empty when the request had none
	Attempts   int    // requests sent upstream, retries included
	GRPCStatus *int   `json:"grpc_status"` // nil when the request was not gRPC
	DurationMS int    `json:"duration_ms"`
	Breaker    string // what the breaker noted of it; empty for a plainly healthy request
}

// AccessLogFile returns the name of the file that the access log is written to.
func (e *Envoy) AccessLogFile() string { return e.accessLog }

// AccessLog returns the requests that have ended, oldest first. Envoy writes them down within 50 ms.
func (e *Envoy) AccessLog() []Entry {
	e.t.Helper()
	text, err := os.ReadFile(e.accessLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.t.Fatal(err)
	}
	var entries []Entry
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // Envoy is about to write the rest
		}
		var entry Entry
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			e.t.Fatalf("access log: %v in %s", err, line)
		}
		entries = append(entries, entry)
	}
	return entries
}

// Logged waits for a request with the given path to end, and returns its entry: the first one, if there are several.
func (e *Envoy) Logged(path string) Entry {
	e.t.Helper()
	var found Entry
	Eventually(e.t, 10*time.Second, func() error {
		for _, entry := range e.AccessLog() {
			if entry.Path == path {
				found = entry
				return nil
			}
		}
		return fmt.Errorf("%s is not in the access log", path)
	})
	return found
}
