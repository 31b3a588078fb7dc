package accesslog

import (
	"cmp"
	"container/heap"
	"fmt"
	"io"
	"runtime"
	"slices"
)

// Options say how logs are read. The zero value tells the format from each log's first lines.
type Options struct {
	Format         *Format   // nil: told from the first lines of each log
	Stdin          io.Reader // what the name - reads
	Cluster        string    // that of the lines whose format tells none; "": the upstream host's address takes its place
	FileIsInstance bool      // a log's name is the Instance of lines that tell none: each log is another Envoy's
	Workers        int       // goroutines that parse; 0: one for each core
}

// A Source is a log that was read.
type Source struct {
	Name   string
	Format string // "" where there were no lines
	Lines  int64  // blank ones aside; Broken included
	Broken int64
	seen   uint32
}

// A Broken is a line that could not be understood.
type Broken struct {
	File string
	Line int64
	Err  error
}

func (b *Broken) Error() string { return fmt.Sprintf("%s:%d: %v", b.File, b.Line, b.Err) }

func (b *Broken) Unwrap() error { return b.Err }

// Read reads logs, plain or compressed by gzip or zstd, and calls entry with each line in order: of several logs with the one that
// ended first, or is of the first log by name, so that those of several Envoys can be read together and those of one in any order.
// The entry is valid during the call only, its strings for as long as you like. Broken lines are told to broken, in order too, and do
// not end it. It ends with the first error that entry or broken returns, as it is, or that reading meets.
func Read(names []string, o Options, entry func(*Entry) error, broken func(*Broken) error) ([]Source, error) {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	m := merge{work: make(chan *block, o.Workers), stop: make(chan struct{}), entry: entry, broken: broken}
	defer close(m.stop)
	var waiting []*log
	defer func() {
		for _, l := range waiting {
			l.close()
		}
	}()
	for _, name := range names {
		l, err := openLog(name, &o)
		if err != nil {
			return nil, err
		}
		waiting = append(waiting, l)
	}
	for range o.Workers {
		p := &parser{options: &o}
		go p.run(m.work, m.stop)
	}
	sources := slices.Clone(waiting)
	slices.SortStableFunc(waiting, func(a, b *log) int { return cmp.Compare(a.source.Name, b.source.Name) })
	for i, l := range waiting {
		l.place = i
	}
	slices.SortStableFunc(waiting, func(a, b *log) int { return cmp.Compare(a.first, b.first) })
	size := blockSize
	if len(names) > 4 {
		size /= 8 // of many logs that are read at once, each shall hold less
	}
	for len(waiting) > 0 || len(m.logs) > 0 {
		for len(waiting) > 0 && (len(m.logs) == 0 || waiting[0].first <= m.logs[0].end) {
			l := waiting[0]
			if err := l.start(size, &m, &o); err != nil {
				return nil, err
			}
			waiting = waiting[1:]
			if err := m.add(l); err != nil {
				return nil, err
			}
		}
		if len(m.logs) == 0 {
			continue
		}
		until := int64(1<<63 - 1)
		if len(waiting) > 0 {
			until = waiting[0].first
		}
		if err := m.run(until); err != nil {
			return nil, err
		}
	}
	all := make([]Source, len(sources))
	for i, l := range sources {
		all[i] = l.source
	}
	return all, nil
}

// A merge takes the entries of several logs by their ends.
type merge struct {
	logs   []*log // that have entries, a heap by the end of the next one, then by place
	work   chan *block
	stop   chan struct{}
	entry  func(*Entry) error
	broken func(*Broken) error
}

// run takes entries until one ended after a time, or to the end of any log.
func (m *merge) run(until int64) error {
	l := m.logs[0]
	for l.end < until {
		if err := m.entry(&l.block.entries[l.next]); err != nil {
			return err
		}
		l.next++
		left, err := m.settle(l)
		switch {
		case err != nil:
			return err
		case !left:
			heap.Pop(m)
			return nil
		case len(m.logs) > 1:
			heap.Fix(m, 0)
			l = m.logs[0]
		}
	}
	return nil
}

// add begins a log.
func (m *merge) add(l *log) error {
	left, err := m.settle(l)
	if left && err == nil {
		heap.Push(m, l)
	}
	return err
}

// settle brings a log to its next entry, and tells the broken lines on the way there. It reports whether there is one.
func (m *merge) settle(l *log) (left bool, err error) {
	for {
		if l.block != nil {
			for l.nextBreak < len(l.block.broken) && l.block.brokenAt[l.nextBreak] <= l.next {
				l.nextBreak++
				if err := m.broken(&l.block.broken[l.nextBreak-1]); err != nil {
					return false, err
				}
			}
			if l.next < len(l.block.entries) {
				l.end = l.block.entries[l.next].End()
				return true, nil
			}
			if err := l.block.err; err != nil {
				return false, err
			}
			l.free <- l.block
			l.block = nil
		}
		b, ok := <-l.blocks
		if !ok {
			return false, nil
		}
		<-b.parsed
		l.block, l.next, l.nextBreak = b, 0, 0
		l.source.Lines += b.lines
		l.source.Broken += int64(len(b.broken))
		l.source.seen |= b.seen
	}
}

// heap.Interface, by the end of each log's next entry. What ended at one time has an order too, that no other line changes.

func (m *merge) Len() int { return len(m.logs) }
func (m *merge) Less(i, j int) bool {
	a, b := m.logs[i], m.logs[j]
	return a.end < b.end || a.end == b.end && a.place < b.place
}
func (m *merge) Swap(i, j int) { m.logs[i], m.logs[j] = m.logs[j], m.logs[i] }
func (m *merge) Push(l any)    { m.logs = append(m.logs, l.(*log)) }
func (m *merge) Pop() any {
	last := m.logs[len(m.logs)-1]
	m.logs = m.logs[:len(m.logs)-1]
	return last
}
