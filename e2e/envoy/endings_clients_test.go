package envoy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A caller is the client of a row, and the meeting point of that client with the upstream.
type caller struct {
	row     *row
	address string
	arrived chan struct{} // closed when the upstream has a request of the row
	arrive  func()
	saw     string
}

func newCaller(r *row) *caller {
	c := &caller{row: r, arrived: make(chan struct{})}
	c.arrive = sync.OnceFunc(func() { close(c.arrived) })
	return c
}

func (c *caller) call() {
	client := c.row.client
	if client == nil {
		client = get
	}
	c.saw = client(c)
}

// serveRow is the upstream of all rows.
func serveRow(callers map[string]*caller, w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if name == "authz" { // the server that ext_authz asks
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if row := r.Header.Get("row"); row != "" {
		name = row
	}
	c := callers[name]
	if c == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	c.arrive()
	if c.row.upstream != nil {
		c.row.upstream(w, r)
	}
}

// patience is how long a client waits for anything that is to happen.
const patience = 30 * time.Second

// Clients over HTTP/1.1 and HTTP/2, with a connection for each request.
var (
	overHTTP1 = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	overHTTP2 = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Protocols: onlyHTTP2()}}
)

func onlyHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

func httpClient(http2 bool) *http.Client {
	if http2 {
		return overHTTP2
	}
	return overHTTP1
}

func get(c *caller) string      { return c.fetch(overHTTP1, http.MethodGet, "", nil) }
func getHTTP2(c *caller) string { return c.fetch(overHTTP2, http.MethodGet, "", nil) }
func head(c *caller) string     { return c.fetch(overHTTP1, http.MethodHead, "", nil) }

// getTwice uses up what is there for one.
func getTwice(c *caller) string {
	c.fetch(overHTTP1, http.MethodGet, "first", nil)
	return get(c)
}

func post(size int, header ...string) func(*caller) string {
	return func(c *caller) string {
		return c.fetch(overHTTP1, http.MethodPost, "", bytes.NewReader(make([]byte, size)), header...)
	}
}

// fetch sends a request and tells what came of it: the status, and "broken" if the body broke off.
func (c *caller) fetch(client *http.Client, method, path string, body io.Reader, header ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.url()+path, body)
	if err != nil {
		return err.Error()
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	saw := fmt.Sprint(response.StatusCode)
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		saw += " broken"
	}
	return saw
}

func (c *caller) url() string { return "http://" + c.address + "/" + c.row.name + "/" }

// givesUp is a client that cancels when the upstream has had its request for a while.
func givesUp(http2 bool, after time.Duration) func(*caller) string {
	return func(c *caller) string {
		return c.cancelled(httpClient(http2), func() {
			<-c.arrived
			time.Sleep(after)
		})
	}
}

// waitsFor is a client that cancels after a while, whether or not the upstream has its request.
func waitsFor(d time.Duration) func(*caller) string {
	return func(c *caller) string { return c.cancelled(overHTTP1, func() { time.Sleep(d) }) }
}

func (c *caller) cancelled(client *http.Client, when func()) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		when()
		cancel()
	}()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, c.url(), nil)
	response, err := client.Do(request)
	switch {
	case errors.Is(err, context.Canceled):
		return "gone"
	case err != nil:
		return err.Error()
	}
	response.Body.Close()
	return fmt.Sprint(response.StatusCode)
}

// leavesBody is a client that goes away once the headers have come.
func leavesBody(http2 bool) func(*caller) string {
	return leaves(httpClient(http2), 0)
}

func leavesBodyAfter(d time.Duration) func(*caller) string { return leaves(overHTTP1, d) }

func leaves(client *http.Client, after time.Duration) func(*caller) string {
	return func(c *caller) string {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, c.url(), nil)
		response, err := client.Do(request)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		if _, err := response.Body.Read(make([]byte, 1)); err != nil {
			return err.Error()
		}
		time.Sleep(after)
		return fmt.Sprint(response.StatusCode, " gone")
	}
}

// raw sends text over a connection of its own and returns that.
func (c *caller) raw(text string) (net.Conn, error) {
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(conn, text)
	return conn, err
}

// rawStatus sends text and returns the status of the answer.
func (c *caller) rawStatus(text string) string {
	conn, err := c.raw(text)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(response.StatusCode)
}

func (c *caller) halfUpload() string {
	return "POST /" + c.row.name + "/ HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf"
}

// stallsUpload is a client that does not send the rest of its body.
func stallsUpload(c *caller) string { return c.rawStatus(c.halfUpload()) }

// leavesUpload is a client that goes away in the middle of its body.
func leavesUpload(c *caller) string {
	conn, err := c.raw(c.halfUpload())
	if err != nil {
		return err.Error()
	}
	<-c.arrived
	conn.Close()
	return "gone"
}

// noHost is a client whose request no filter gets to see.
func noHost(c *caller) string {
	return c.rawStatus("GET /" + c.row.name + "/ HTTP/1.1\r\n\r\n")
}
