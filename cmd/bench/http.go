//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// The upstream's paths.
const (
	okPath   = "/ok"
	failPath = "/fail"
	halfPath = "/half" // every other request fails

	messagePath = "/message" // has a body
)

var (
	okAnswer   = []byte("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nok\n")
	failAnswer = []byte("HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nno\n")
)

// request is a request for a path, to a cluster of that number where Envoy's routes go by this header.
func request(path string, cluster int) []byte {
	method, body := "GET", ""
	if path == messagePath {
		method, body = "POST", message
	}
	r := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nhost: bench\r\nuser-agent: bench\r\naccept: */*\r\n%s: c%d\r\n", method, path, clusterHeader, cluster)
	if body != "" {
		r = fmt.Appendf(r, "content-length: %d\r\n", len(body))
	}
	return fmt.Appendf(r, "\r\n%s", body)
}

// message is the body of a request that has one. It ends as heads do, so that the upstream need not read lengths.
const message = "message\r\n\r\n"

const clusterHeader = "x-cluster"

var headEnd = []byte("\r\n\r\n")

// wholeRequest reports whether a request has come to its end.
func wholeRequest(r []byte) bool {
	if bytes.HasPrefix(r, []byte("POST")) {
		return bytes.HasSuffix(r, []byte(message))
	}
	return bytes.HasSuffix(r, headEnd)
}

// parseAnswer reads an HTTP/1.1 response as far as the load needs it. It reports false if it is not complete yet.
func parseAnswer(b []byte) (status int, whole bool, err error) {
	head := bytes.Index(b, headEnd)
	if head < 0 {
		return 0, false, nil
	}
	const length = "\r\ncontent-length: "
	at := bytes.Index(b[:head], []byte(length))
	if at < 0 || len(b) < len("HTTP/1.1 200") {
		return 0, false, fmt.Errorf("unexpected answer:\n%s", b)
	}
	body := 0
	for _, c := range b[at+len(length):] {
		if c < '0' || c > '9' {
			break
		}
		body = 10*body + int(c-'0')
	}
	if status, err = strconv.Atoi(string(b[9:12])); err != nil || status >= 600 {
		return 0, false, fmt.Errorf("unexpected answer:\n%s", b)
	}
	return status, len(b) >= head+len(headEnd)+body, nil
}
