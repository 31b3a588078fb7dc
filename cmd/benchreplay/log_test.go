//go:build linux

package main

import (
	"path/filepath"
	"testing"

	"envoy-circuit-breaker/internal/accesslog"
)

func TestWriteLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	size, err := writeLog(t.Context(), file, 50_000, 200)
	if err != nil {
		t.Fatal(err)
	}
	n, failed, hung, last := 0, 0, 0, int64(0)
	_, err = accesslog.Read([]string{file}, accesslog.Options{}, func(e *accesslog.Entry) error {
		n++
		switch e.Status {
		case 503:
			failed++
		case 504:
			hung++
		}
		if e.End() < last {
			t.Fatalf("line %d ends before the one before it", n)
		}
		last = e.End()
		return nil
	}, func(b *accesslog.Broken) error { return b })
	if err != nil || n != 50_000 || failed < 1000 || hung < 900 || size/50_000 < 250 || size/50_000 > 300 {
		t.Errorf("%d lines of %d bytes, %d failed and %d hung: %v", n, size, failed, hung, err)
	}
}
