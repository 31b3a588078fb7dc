package scenario

import (
	"bufio"
	"container/heap"
	"io"
	"strconv"
	"time"

	"envoy-circuit-breaker/internal/strictjson"
)

// WriteLog writes the requests of all instances as an access log in the format of envoy.yaml, in the order in which they end. Where
// there are several instances, each line tells its own as "instance". It holds only what is in flight. An error is the writer's.
func (s *Scenario) WriteLog(w io.Writer, seed uint64) error {
	var waiting beginnings
	for i := range s.Instances {
		a := s.arrivals(seed, i)
		if r, ok := a.next(); ok {
			waiting = append(waiting, beginning{r, i, a})
		}
	}
	heap.Init(&waiting)
	out := lineWriter{w: bufio.NewWriterSize(w, 64<<10), cluster: strictjson.AppendQuoted(nil, s.Cluster)}
	var flying flights
	for order := uint64(0); len(waiting) > 0; order++ {
		next := &waiting[0]
		for len(flying) > 0 && flying[0].end() <= next.start {
			if err := out.write(heap.Pop(&flying).(flight)); err != nil {
				return err
			}
		}
		heap.Push(&flying, flight{next.request, order, next.of.instance})
		if r, ok := next.of.next(); ok {
			next.request = r
			heap.Fix(&waiting, 0)
		} else {
			heap.Pop(&waiting)
		}
	}
	for len(flying) > 0 {
		if err := out.write(heap.Pop(&flying).(flight)); err != nil {
			return err
		}
	}
	return out.w.Flush()
}

// A lineWriter writes what Envoy would: its keys are in order, what there is none of is null, or - where it is text.
type lineWriter struct {
	w       *bufio.Writer
	cluster []byte // in quotes
	line    []byte
}

func (o *lineWriter) write(f flight) error {
	b := append(o.line[:0], `{"attempts":1,"circuit_breaker":null,"cluster":`...)
	b = append(b, o.cluster...)
	b = append(b, `,"details":"`...)
	b = append(b, detailsOf[f.outcome]...)
	b = append(b, `","duration_ms":`...)
	b = strconv.AppendInt(b, f.took.Milliseconds(), 10)
	b = append(b, `,"flags":"`...)
	if flags := flagsOf[f.outcome]; flags != "" {
		b = append(b, flags...)
	} else {
		b = append(b, '-')
	}
	b = append(b, `","grpc_status":null`...)
	if f.instance != "" {
		b = append(b, `,"instance":"`...)
		b = append(b, f.instance...)
		b = append(b, '"')
	}
	b = append(b, `,"method":"GET","path":"/","request_ms":0,"response_ms":`...)
	if response := f.response(); response >= 0 {
		b = strconv.AppendInt(b, response.Milliseconds(), 10)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"route":null,"status":`...)
	b = strconv.AppendInt(b, int64(statusOf[f.outcome]), 10)
	b = append(b, `,"time":"`...)
	b = time.Unix(0, f.start).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, "\"}\n"...)
	o.line = b
	_, err := o.w.Write(b)
	return err
}

// A beginning is the next request of an instance.
type beginning struct {
	request
	number int // of those that begin at the same time, the first instance is first
	of     *arrivals
}

// beginnings are a heap: the next of all is first.
type beginnings []beginning

func (h beginnings) Len() int { return len(h) }
func (h beginnings) Less(i, j int) bool {
	return h[i].start < h[j].start || h[i].start == h[j].start && h[i].number < h[j].number
}
func (h beginnings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *beginnings) Push(x any)   { *h = append(*h, x.(beginning)) }
func (h *beginnings) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// A flight is a request that is in flight.
type flight struct {
	request
	order    uint64 // of those that end at the same time, the one that began first is first
	instance string
}

// flights are a heap: the one that ends next is first.
type flights []flight

func (h flights) Len() int { return len(h) }
func (h flights) Less(i, j int) bool {
	x, y := h[i].end(), h[j].end()
	return x < y || x == y && h[i].order < h[j].order
}
func (h flights) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *flights) Push(x any)   { *h = append(*h, x.(flight)) }
func (h *flights) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
