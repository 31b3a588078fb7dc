package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	blockSize = 128 << 10 // bytes that are parsed at once
	mostLine  = 1 << 20   // bytes of a line
)

var errTooLong = fmt.Errorf("is longer than %d bytes", mostLine)

// A block is some lines of a log, and what they say.
type block struct {
	log    *log
	text   []byte
	first  int64 // the number of its first line
	long   bool  // it is one line that is too long, without its text
	err    error // that ends the log
	parsed chan struct{}

	entries  []Entry
	broken   []Broken
	brokenAt []int // how many entries are before each
	lines    int64 // blank ones aside
	seen     uint32
}

// start reads a log from its beginning, in blocks of about a size.
func (l *log) start(size int, m *merge, o *Options) error {
	if l.text == nil {
		if err := l.open(o.Stdin); err != nil {
			return err
		}
	}
	n := o.Workers + 2 // one is being read, and one taken
	l.blocks, l.free = make(chan *block, n), make(chan *block, n)
	for range n {
		l.free <- &block{log: l, parsed: make(chan struct{}, 1)}
	}
	go l.split(size, m)
	return nil
}

// split reads blocks until the log ends, or nobody wants them.
func (l *log) split(size int, m *merge) {
	defer l.close()
	defer close(l.blocks)
	s := splitter{log: l, size: size, line: 1}
	for more := true; more; {
		var b *block
		select {
		case b = <-l.free:
		case <-m.stop:
			return
		}
		more = s.fill(b)
		l.blocks <- b
		select {
		case m.work <- b:
		case <-m.stop:
			return
		}
	}
}

// A splitter cuts a log into blocks of whole lines.
type splitter struct {
	log  *log
	size int
	rest []byte // the begin of a line
	line int64  // the next one's number
	skip bool   // up to the next line: this one is too long
}

// fill reads a block, and reports whether there may be more.
func (s *splitter) fill(b *block) (more bool) {
	b.text = append(b.text[:0], s.rest...)
	b.first, b.long, b.err = s.line, false, nil
	s.rest = s.rest[:0]
	var err error
	for size := s.size; err == nil; {
		b.text = slices.Grow(b.text, max(0, size-len(b.text)))
		for err == nil && len(b.text) < size {
			var n int
			n, err = s.log.text.Read(b.text[len(b.text):size])
			b.text = b.text[:len(b.text)+n]
		}
		if s.skip {
			i := bytes.IndexByte(b.text, '\n')
			if i < 0 {
				b.text = b.text[:0]
				continue
			}
			b.text = slices.Delete(b.text, 0, i+1)
			s.skip = false
		}
		if i := bytes.LastIndexByte(b.text, '\n'); err == nil && i >= 0 {
			s.rest = append(s.rest, b.text[i+1:]...)
			b.text = b.text[:i+1]
			break
		}
		if size = 2 * max(size, len(b.text)); err == nil && size > 2*mostLine {
			b.long, s.skip = true, true
			b.text = b.text[:0]
			s.line++
			return true
		}
	}
	s.line += int64(bytes.Count(b.text, []byte("\n")))
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = fmt.Errorf("%s: after line %d: %w", s.log.source.Name, s.line-1, err)
	}
	return err == nil
}

// run parses blocks until nobody wants them.
func (p *parser) run(work <-chan *block, stop <-chan struct{}) {
	for {
		select {
		case b := <-work:
			p.block(b)
			b.parsed <- struct{}{}
		case <-stop:
			return
		}
	}
}

// block parses a block's lines.
func (p *parser) block(b *block) {
	l := b.log
	b.entries, b.broken, b.brokenAt, b.lines = b.entries[:0], b.broken[:0], b.brokenAt[:0], 0
	p.seen = 0
	number := b.first
	fail := func(err error) {
		b.broken = append(b.broken, Broken{l.source.Name, number, err})
		b.brokenAt = append(b.brokenAt, len(b.entries))
	}
	if b.long {
		b.lines = 1
		fail(errTooLong)
	}
	for line := range bytes.Lines(b.text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			b.lines++
			b.entries = append(b.entries, Entry{})
			e := &b.entries[len(b.entries)-1]
			if err := p.entry(l.format, line, e); err != nil {
				b.entries = b.entries[:len(b.entries)-1]
				fail(err)
			} else {
				e.File, e.Log, e.Line = l.source.Name, l.place, number
				if e.Instance == "" && p.options.FileIsInstance {
					e.Instance = l.source.Name
				}
			}
		}
		number++
	}
	b.seen = p.seen
}
