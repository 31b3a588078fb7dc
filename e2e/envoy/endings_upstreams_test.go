package envoy_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

func readAll(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// chunks answers with so many chunks of that size.
func chunks(n, size int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for range n {
			_, _ = w.Write(make([]byte, size))
			flush(w)
		}
	}
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("trailer", "x-end")
	_, _ = io.WriteString(w, "body")
	w.Header().Set("x-end", "now")
}

func earlyHints(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(code)
	}
}

// redirects to another path of the row.
func redirects(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/") {
		w.Header().Set("location", "http://"+r.Host+r.URL.Path+"target")
		w.WriteHeader(http.StatusFound)
	}
}

// failsFirst answers 503 so many times, then 200.
func failsFirst(n int32) http.HandlerFunc {
	var requests atomic.Int32
	return func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) <= n {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

// says sends some bytes in the place of an answer, and closes the connection.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, text)
	}
}

func breaksChunks(w http.ResponseWriter, _ *http.Request) {
	chunks(3, 10)(w, nil)
	panic(http.ErrAbortHandler)
}

// breaksDownload promises 100 MB and sends half of them.
func breaksDownload(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("content-length", "100000000")
	chunks(50, 1_000_000)(w, nil)
	panic(http.ErrAbortHandler)
}

// stalls sends headers and the beginning of a body, and no more.
func stalls(w http.ResponseWriter, r *http.Request) { lasts(time.Hour)(w, r) }

// lasts sends headers and the beginning of a body at once, and the rest later.
func lasts(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		chunks(1, 10)(w, r)
		sleep(r.Context(), d)
	}
}

// waits answers late: with a status, or by closing the connection if that is 0.
func waits(d time.Duration, code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sleep(r.Context(), d)
		if code == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(code)
	}
}

func waitsAndStalls(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sleep(r.Context(), d)
		stalls(w, r)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
