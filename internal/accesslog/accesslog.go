// Package accesslog reads Envoy's access logs: what each line says of a request, whatever the format.
package accesslog

import "time"

// An Entry is what one line says of a request. Durations are in Envoy's precision, milliseconds, and -1 where the line does not
// tell.
type Entry struct {
	File string // its log's name, as shown to users
	Log  int    // its log's place among those that are read together, by name: of what happened at one time the first log's goes first
	Line int64  // its number there, from 1

	Start    int64         // Unix nanoseconds: when the request's headers came
	Duration time.Duration // from there to the end of the answer (%DURATION%)
	Request  time.Duration // … to the end of the request (%REQUEST_DURATION%)
	Response time.Duration // … to the answer's headers (%RESPONSE_DURATION%); -1 also where the upstream sent none
	Unsent   bool          // the line says that the request was never sent whole; else Request of -1 is one that is not told

	Status   int // HTTP; 0 where nothing was answered
	GRPC     int // -1 where there is none
	Attempts int // requests sent upstream, retries included; -1 where the line does not tell

	Method   string // "" where no request headers came, as for a TCP connection
	Details  string // response code details; where the line has none, as Envoy would name what its response flags say
	Flags    string // response flags, comma separated; "" for none
	Cluster  string // "" where the request had none, or was none of HTTP; by the breaker's own note the one that was asked for, whatever served it then
	Route    string // its name; "" for none
	Instance string // which Envoy; "" where nothing says
	Decision string // what the breaker's own note says of it, such as rejected; "" for none
}

// End is when the answer ended, Unix nanoseconds. Lines are written in the order of their ends.
func (e *Entry) End() int64 { return e.Start + int64(max(0, e.Duration)) }
