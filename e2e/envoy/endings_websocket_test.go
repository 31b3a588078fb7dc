package envoy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/websocket"
)

func echo(conn io.ReadWriteCloser) {
	defer conn.Close()
	_, _ = io.Copy(conn, conn)
}

// echoWebSocket sends back every message.
func echoWebSocket(w http.ResponseWriter, r *http.Request) {
	websocket.Server{Handler: func(ws *websocket.Conn) { echo(ws) }}.ServeHTTP(hijackable{w}, r)
}

// dropsWebSocket closes the connection after the first message, without a word.
func dropsWebSocket(w http.ResponseWriter, r *http.Request) {
	websocket.Server{Handler: func(ws *websocket.Conn) {
		_, _ = io.CopyN(ws, ws, int64(len(greeting)))
		ws.Close()
	}}.ServeHTTP(hijackable{w}, r)
}

// hijackable is for what does not know http.ResponseController.
type hijackable struct{ http.ResponseWriter }

func (w hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

const greeting = "hello"

// webSocket is a client that gets a message echoed, waits, and gets another one echoed.
func webSocket(wait time.Duration) func(*caller) string {
	return func(c *caller) string {
		ws, conn, saw := c.dialWebSocket()
		if conn != nil {
			defer conn.Close()
		}
		if ws == nil {
			return saw
		}
		return saw + converse(ws, wait)
	}
}

// dialWebSocket returns a WebSocket and the connection below it, or none of the former and the status of the refusal.
// To close the connection leaves at once; to close the WebSocket would let either side be the first.
func (c *caller) dialWebSocket() (ws *websocket.Conn, conn net.Conn, saw string) {
	config, err := websocket.NewConfig("ws://"+c.address+"/"+c.row.name+"/", "http://test")
	if err != nil {
		return nil, nil, err.Error()
	}
	if conn, err = c.raw(""); err != nil {
		return nil, conn, err.Error()
	}
	var answer bytes.Buffer // as the library keeps the status to itself
	ws, err = websocket.NewClient(config, readWriteCloser{io.TeeReader(conn, &answer), conn, conn})
	if fields := strings.Fields(answer.String()); len(fields) > 1 {
		return ws, conn, fields[1]
	}
	return ws, conn, fmt.Sprint(err)
}

type readWriteCloser struct {
	io.Reader
	io.Writer
	io.Closer
}

// converse returns " broken" if something was not echoed. An hour is for what will not last.
func converse(conn io.ReadWriter, wait time.Duration) string {
	for i := range 2 {
		if i == 1 && wait == time.Hour {
			_, _ = conn.Read(make([]byte, 1))
		} else if i == 1 {
			time.Sleep(wait)
		}
		reply := make([]byte, len(greeting))
		if _, err := io.WriteString(conn, greeting); err != nil {
			return " broken"
		}
		if _, err := io.ReadFull(conn, reply); err != nil || string(reply) != greeting {
			return " broken"
		}
	}
	return ""
}

// tunnel is a client that connects through Envoy to a TCP server that echoes.
func tunnel(wait time.Duration) func(*caller) string {
	return func(c *caller) string {
		conn, err := c.raw("CONNECT test:80 HTTP/1.1\r\nhost: test:80\r\n\r\n")
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(response.StatusCode) + converse(readWriteCloser{reader, conn, conn}, wait)
	}
}
