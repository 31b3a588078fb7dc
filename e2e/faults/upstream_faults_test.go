//go:build faults

package faults_test

import (
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// A fault is one way for an upstream to fail, or to be odd and yet right.
type fault struct {
	name  string
	http2 bool // spoken to it

	// What it does: it has gone, serves connections by hand, or greets and answers streams of HTTP/2.
	killed bool
	conn   func(net.Conn)
	greet  func(*http2Conn)
	begin  func(*http2Conn, uint32) // when a request has a body
	stream func(*http2Conn, uint32) // when one has come whole

	client *visit   // how clients ask; nil is a GET, and patience
	opens  bool     // it is the upstream's failure, so the breaker opens
	sees   []string // what clients see of it: a status, with "broken" where the answer broke off, or "gave up"
}

// A visit is a client that is not like the others.
type visit struct {
	upload   int           // bytes of its body
	upgrade  bool          // it asks for a WebSocket
	leavesAt int           // gives up after so many bytes of the answer
	leaves   time.Duration // gives up after so long
}

var (
	leaving   = &visit{leavesAt: 1000}
	uploading = &visit{upload: 50_000_000, leaves: time.Second} // more than fits in between
	posting   = &visit{upload: 10}
)

const (
	ms = time.Millisecond

	good       = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
	chunked    = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
	hints      = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
	continues  = "HTTP/1.1 100 Continue\r\n\r\n"
	chunkOf1KB = "400\r\n"
)

func http1Faults() []fault {
	kilobyte := strings.Repeat("x", 1024)
	many := strings.Repeat("x-many: 1\r\n", 500)
	failed, broken, refused := []string{"503"}, []string{"200 broken"}, []string{"502"}
	return []fault{
		{name: "killed", killed: true, opens: true, sees: failed},
		{name: "stopped", conn: stops, opens: true, sees: []string{"504"}},
		{name: "stops-reading", conn: readsLate, client: uploading, sees: []string{"gave up"}},
		{name: "rst-at-once", conn: reset, opens: true, sees: failed},
		{name: "rst-before-headers", conn: answersAndResets(""), opens: true, sees: failed},
		{name: "rst-in-headers", conn: answersAndResets("HTTP/1.1 200 OK\r\ncontent-"), opens: true, sees: []string{"502", "503"}},
		{name: "rst-in-body", conn: answersAndResets("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), opens: true, sees: broken},
		{name: "closed-before-headers", conn: answers(""), opens: true, sees: failed},
		{name: "headers-dripped", conn: dripsBytes(good), sees: []string{"200"}},
		{name: "headers-dripped-for-ever", conn: drips("HTTP/1.1 200 OK\r\nx-a: ", "z", 0, 10*ms, ""), opens: true, sees: []string{"504"}},
		{name: "body-dripped", conn: drips(chunked, "1\r\nx\r\n", 20, 2*ms, "0\r\n\r\n"), sees: []string{"200"}},
		{name: "status-malformed", conn: answers("HTTP/1.1 abc OK\r\n\r\n"), opens: true, sees: refused},
		{name: "header-malformed", conn: answers("HTTP/1.1 200 OK\r\nx-a: \x00\r\ncontent-length: 0\r\n\r\n"), opens: true, sees: refused},
		{name: "chunk-malformed", conn: answers(chunked + "zz\r\n"), opens: true, sees: broken},
		{name: "body-too-short", conn: answers("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), opens: true, sees: broken},
		{name: "body-too-long", conn: answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nfar more"), sees: []string{"200"}},
		{name: "body-endless", conn: drips(chunked, chunkOf1KB+kilobyte+"\r\n", 0, 2*ms, ""), client: leaving, sees: []string{"gave up"}},
		{name: "103-then-200", conn: answers(hints + good), sees: []string{"200"}},
		{name: "100-endless", conn: drips("", continues, 0, 10*ms, ""), opens: true, sees: []string{"504"}},
		{name: "204-with-body", conn: answers("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello"), opens: true, sees: refused},
		{name: "headers-huge", conn: answers("HTTP/1.1 200 OK\r\nx-a: " + strings.Repeat("z", 100_000) + "\r\n\r\n"), opens: true, sees: []string{"502", "503"}},
		{name: "headers-many", conn: answers("HTTP/1.1 200 OK\r\n" + many + "\r\n"), opens: true, sees: []string{"502", "503"}},
		{name: "speaks-tls", conn: answers("\x15\x03\x01\x00\x02\x02\x46"), opens: true, sees: refused},
		{name: "speaks-ssh", conn: drips("SSH-2.0-OpenSSH_9.6\r\n", "", 1, ms, ""), opens: true, sees: refused},
		{name: "upgrade-refused", conn: answers("HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"), client: &visit{upgrade: true}, sees: []string{"403"}},
		{name: "upgrade-unasked", conn: answers("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), sees: []string{"101"}},
	}
}

func http2Faults() []fault {
	failed, broken, ok := []string{"503"}, []string{"200 broken"}, []string{"200"}
	goAway := func(last uint32, code http2.ErrCode) func(*http2Conn) {
		return func(h *http2Conn) { h.goAway(last, code) }
	}
	closes := func(h *http2Conn, _ uint32) { h.Close() }
	good := head(false, ":status", "200")
	rows := []fault{
		{name: "killed", killed: true, opens: true, sees: failed},
		{name: "stopped", conn: stops, opens: true, sees: []string{"504"}},
		{name: "silent", stream: func(*http2Conn, uint32) {}, opens: true, sees: []string{"504"}},
		{name: "stops-reading", greet: settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}), begin: opensLate, client: uploading, sees: []string{"gave up"}},
		{name: "closed-before-headers", stream: closes, opens: true, sees: failed},
		{name: "goaway-graceful", stream: func(h *http2Conn, id uint32) { h.goAway(everyStream, http2.ErrCodeNo); answerWell(h, id) }, sees: ok},
		{name: "goaway-at-once", greet: greetsAnd(goAway(0, http2.ErrCodeNo)), opens: true, sees: failed},
		{name: "goaway-in-answer", stream: func(h *http2Conn, id uint32) {
			h.write(good(id))
			h.goAway(everyStream, http2.ErrCodeNo)
			h.write(data(id, true, "ok"))
		}, sees: ok},
		{name: "goaway-of-stream-0", stream: func(h *http2Conn, id uint32) { h.write(good(id)); h.goAway(0, http2.ErrCodeEnhanceYourCalm) }, opens: true, sees: append(broken, "503")},
		{name: "refused-stream", stream: sends(rst(http2.ErrCodeRefusedStream)), opens: true, sees: failed},
		{name: "internal-error", stream: sends(rst(http2.ErrCodeInternal)), opens: true, sees: failed},
		{name: "cancel", stream: sends(rst(http2.ErrCodeCancel)), opens: true, sees: failed},
		{name: "enhance-your-calm", stream: sends(rst(http2.ErrCodeEnhanceYourCalm)), opens: true, sees: failed},
		{name: "rst-in-body", stream: sends(good, body(false, "half"), rst(http2.ErrCodeInternal)), opens: true, sees: broken},
		{name: "rst-storm", stream: repeats(200, 0, rst(http2.ErrCodeCancel)), opens: true, sees: failed},
		{name: "headers-dripped", stream: dripsHeaders, sees: ok},
		{name: "body-dripped", stream: dripsData, sees: ok},
		{name: "hpack-malformed", stream: sends(rawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, "\xff\xff\xff\xff\xff\xff")), opens: true, sees: []string{"502", "503"}},
		{name: "frame-malformed", stream: sends(connFrame(http2.FramePing, 0, "abc")), opens: true, sees: []string{"502", "503"}},
		{name: "data-before-headers", stream: sends(body(true, "early")), opens: true, sees: []string{"502", "503"}},
		{name: "body-too-short", stream: sends(head(false, ":status", "200", "content-length", "9"), body(true, "half")), opens: true, sees: broken},
		{name: "body-too-long", stream: sends(head(false, ":status", "200", "content-length", "2"), body(true, "far more")), opens: true, sees: broken},
		{name: "body-endless", stream: then(sends(good), repeats(0, 2*ms, body(false, strings.Repeat("x", 1024)))), client: leaving, sees: []string{"gave up"}},
		{name: "trailers-only", stream: sends(head(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")), client: posting, sees: ok},
		{name: "trailers-only-unavailable", stream: sends(head(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "14")), client: posting, opens: true, sees: ok},
		{name: "103-then-200", stream: then(sends(head(false, ":status", "103", "link", "</a>")), answerWell), sees: ok},
		{name: "103-endless", stream: repeats(0, 10*ms, head(false, ":status", "103")), opens: true, sees: []string{"504"}},
		{name: "headers-huge", stream: sends(head(true, ":status", "200", "x-a", strings.Repeat("z", 16_000), "x-b", strings.Repeat("z", 100))), sees: ok},
		{name: "continuation-endless", stream: then(
			sends(rawFrame(http2.FrameHeaders, 0, string(headerBlock(":status", "200")))),
			repeats(0, 2*ms, rawFrame(http2.FrameContinuation, 0, string(headerBlock("x-a", strings.Repeat("z", 1000)))))), opens: true, sees: []string{"502", "503", "504"}},
		{name: "ping-flood", stream: then(repeats(500, 0, connFrame(http2.FramePing, 0, "12345678")), answerWell), sees: ok},
		{name: "settings-flood", stream: then(repeats(200, 0, connFrame(http2.FrameSettings, 0, "")), answerWell), sees: ok},
		{name: "push-promise", stream: sends(rawFrame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, "\x00\x00\x00\x02\x88")), opens: true, sees: []string{"502", "503"}},
		{name: "speaks-http1", conn: drips("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", "", 1, ms, ""), opens: true, sees: []string{"502", "503"}},
	}
	for i := range rows {
		rows[i].http2 = true
	}
	return rows
}
