package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What an Envoy may cost at most, broken ones included.
const (
	mostAtOnce    = 100      // Envoys that are read at the same time
	longestPage   = 4 << 20  // bytes: 50 breakers with long names and texts have a tenth of it
	longestPages  = 64 << 20 // bytes of all pages of one Envoy: some 60,000 breakers
	longestHeader = 64 << 10 // bytes
)

// A Reader reads the status pages of some Envoys, again and again over the same connections.
type Reader struct {
	urls    []*url.URL
	timeout time.Duration
	all     bool
	client  http.Client
}

// NewReader makes one. The timeout is for all pages of an Envoy together. With all, reports have the closed and disabled breakers too.
func NewReader(urls []*url.URL, timeout time.Duration, all bool) *Reader {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = len(urls)
	transport.MaxResponseHeaderBytes = longestHeader
	return &Reader{urls, timeout, all, http.Client{Transport: transport}}
}

// Read reads all pages of all Envoys.
func (r *Reader) Read(ctx context.Context) *Report {
	report := newReport(r.urls, r.all)
	places := make(chan struct{}, mostAtOnce)
	var reading sync.WaitGroup
	for i, u := range r.urls {
		places <- struct{}{}
		reading.Go(func() {
			defer func() { <-places }()
			e := &report.Envoys[i]
			board, err := r.board(ctx, u)
			if err != nil {
				text := r.explain(err)
				e.Error = &text
				return
			}
			e.Board = board
		})
	}
	reading.Wait()
	report.At = time.Now().UTC().Truncate(time.Millisecond)
	return report
}

// board reads all pages of an Envoy.
func (r *Reader) board(ctx context.Context, u *url.URL) (*Board, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	b, left, seen := &Board{States: map[string]int{}, Breakers: []Breaker{}}, longestPages, map[string]bool{}
	for {
		p, from, err := r.page(ctx, u, &left)
		if err != nil {
			return nil, err
		}
		b.add(p, r.all)
		if p.Next == "" {
			return b, nil
		}
		if seen[p.Next] {
			return nil, errors.New("its pages have no end: one comes again")
		}
		seen[p.Next] = true
		next := *from
		next.RawQuery = strings.TrimPrefix(p.Next, "?")
		u = &next
	}
}

// page reads one page, of which so many bytes are left. It returns what URL it is from, after redirects.
func (r *Reader) page(ctx context.Context, u *url.URL, left *int) (*page, *url.URL, error) {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, nil, err
		}
		request.Header.Set("accept", "application/json")
		response, err := r.client.Do(request)
		if err != nil {
			return nil, nil, err
		}
		most := min(longestPage, *left)
		body, err := io.ReadAll(io.LimitReader(response.Body, int64(most)+1))
		response.Body.Close()
		if err != nil {
			return nil, nil, err
		}
		*left -= len(body)
		switch {
		case len(body) > longestPage:
			return nil, nil, fmt.Errorf("one of its pages is longer than %d MB", longestPage>>20)
		case *left < 0:
			return nil, nil, fmt.Errorf("its pages are longer than %d MB together", longestPages>>20)
		}
		if seconds, err := strconv.Atoi(response.Header.Get("retry-after")); err == nil && response.StatusCode == http.StatusServiceUnavailable {
			// A worker that has just started does not know all names yet.
			if err := wait(ctx, time.Duration(max(seconds, 1))*time.Second); err != nil {
				return nil, nil, fmt.Errorf("503: %s: %w", firstLine(body), err)
			}
			continue
		}
		p := &page{}
		if response.StatusCode == http.StatusOK && json.Unmarshal(body, p) == nil && p.Clusters != nil && !p.At.IsZero() {
			return p, response.Request.URL, nil
		}
		return nil, nil, errors.New(hint(u, response, body))
	}
}

func wait(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return context.DeadlineExceeded
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// hint says what an answer is that is no page of JSON.
func hint(u *url.URL, response *http.Response, body []byte) string {
	status := fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))
	text := strings.TrimSpace(string(body))
	html := strings.HasPrefix(response.Header.Get("content-type"), "text/html") || strings.HasPrefix(text, "<")
	said := ""
	switch {
	case strings.Contains(text, "admin commands are:") || strings.Contains(text, "<title>Envoy Admin</title>"):
		said = "this is Envoy's admin interface, and the status page is not there: status.path needs a listener"
	case response.StatusCode == http.StatusNotFound:
		said = "404: there is no status page at this path: is it that of status.path in the configuration?"
	case html && response.StatusCode == http.StatusOK:
		said = "it answers HTML, not the JSON of a status page: is it another server, or behind a login?"
	case response.StatusCode == http.StatusOK && json.Valid(body):
		said = "it answers JSON, but not that of a status page"
	case response.StatusCode == http.StatusOK:
		said = "it does not answer with JSON: " + firstLine(body)
	case html || text == "":
		said = status
	default:
		said = status + ": " + firstLine(body)
	}
	if to := response.Request.URL; to.Host != u.Host || to.Path != u.Path {
		said = "redirected to " + to.Redacted() + ": " + said
	}
	return said
}

// firstLine is how a text begins.
func firstLine(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body[:min(len(body), 1000)])), "\n")
	return strconv.Quote(line[:min(len(line), 100)])
}

// explain says in few words why a page could not be read. They do not name the Envoy, so that those with the same trouble can be told together.
func (r *Reader) explain(err error) string {
	var (
		inURL     *url.Error
		operation *net.OpError
		call      *os.SyscallError
		lookup    *net.DNSError
	)
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		text := fmt.Sprintf("not read within %v", r.timeout)
		if before, found := strings.CutSuffix(err.Error(), ": "+context.DeadlineExceeded.Error()); found {
			text += ": " + before
		}
		return text
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "it closes the connection"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks no TLS: try http://"
	case errors.As(err, &lookup):
		return lookup.Err
	case errors.As(err, &call):
		return call.Err.Error()
	case errors.As(err, &operation):
		return operation.Err.Error()
	}
	return err.Error()
}
