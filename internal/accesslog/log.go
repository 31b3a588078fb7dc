package accesslog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// peekSize is how many bytes of a log its format is told from.
const peekSize = 64 << 10

// mostWindow is the memory that a zstd file may ask for: what zstd gives one that it was not told more for.
const mostWindow = 128 << 20

// A log is one that is read.
type log struct {
	source Source
	name   string
	place  int // among the logs that are read together, by name
	format *Format
	first  int64 // when its first entry ended

	file *os.File // nil for standard input, and for one that is closed until its turn comes
	text io.Reader
	done func() // closes what text is read through

	blocks    chan *block // in order
	free      chan *block // to be used again
	block     *block      // the one that is being taken
	next      int         // its next entry
	nextBreak int         // its next broken line
	end       int64       // when the next entry ended
}

// openLog opens a log, and reads its first lines. A file is closed until start opens it again, so that many can be waiting.
func openLog(name string, o *Options) (*log, error) {
	l := &log{name: name, source: Source{Name: name}, format: o.Format}
	if name == "-" {
		l.source.Name = "stdin"
	}
	if err := l.open(o.Stdin); err != nil {
		return nil, err
	}
	peeked := make([]byte, peekSize)
	n, err := io.ReadFull(l.text, peeked)
	peeked = peeked[:n]
	if err := l.tell(peeked, o); err != nil {
		l.close()
		return nil, err
	}
	if l.file != nil {
		if info, err := l.file.Stat(); err == nil && info.Mode().IsRegular() {
			l.close()
			return l, nil
		}
	}
	// A pipe cannot be read again.
	l.text = io.MultiReader(bytes.NewReader(peeked), l.text)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		l.text = io.MultiReader(bytes.NewReader(peeked), failing{err})
	}
	return l, nil
}

// A failing reader has failed.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// open opens the file, and what it is compressed by.
func (l *log) open(stdin io.Reader) (err error) {
	from := stdin
	if l.name != "-" {
		if l.file, err = os.Open(l.name); err != nil {
			return err
		}
		from = l.file
	}
	l.done = func() {}
	buffer := bufio.NewReaderSize(from, peekSize)
	begins, _ := buffer.Peek(4) // what there is
	switch {
	case bytes.HasPrefix(begins, []byte{0x1f, 0x8b}):
		l.text, err = gzip.NewReader(buffer)
	case bytes.HasPrefix(begins, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var z *zstd.Decoder
		z, err = zstd.NewReader(buffer, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(mostWindow))
		if err == nil {
			l.text, l.done = z, z.Close
		}
	default:
		l.text = buffer
	}
	if err != nil {
		l.close()
		return fmt.Errorf("%s: %w", l.source.Name, err)
	}
	return nil
}

// close is for a log that is open or not.
func (l *log) close() {
	if l.done != nil {
		l.done()
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.text, l.done = nil, nil, nil
}

// tell tells the format from the first lines, unless it is given, and when the first entry ended.
func (l *log) tell(text []byte, o *Options) error {
	p := parser{options: o}
	l.first = math.MinInt64
	var refused error
	n := 0
	for line := range bytes.Lines(text) {
		n++
		complete := bytes.HasSuffix(line, []byte("\n")) || len(text) < peekSize
		if line = bytes.TrimSpace(line); len(line) == 0 || !complete {
			continue
		}
		candidates := []*Format{istioText, envoyText}
		switch {
		case l.format != nil:
			candidates = []*Format{l.format}
		case line[0] == '{':
			candidates = []*Format{defaultJSON}
		}
		for _, f := range candidates {
			var e Entry
			err := p.entry(f, line, &e)
			if err == nil {
				l.format, l.source.Format, l.first = f, f.name, e.End()
				return nil
			}
			if refused == nil {
				refused = fmt.Errorf("line %d %w", n, err)
			}
		}
	}
	switch {
	case l.format != nil:
		l.source.Format = l.format.name
	case refused == nil: // it has no lines
		l.format = defaultJSON
	default:
		return fmt.Errorf("%s: none of the first %d lines is of a format that is known: as JSON or text of Envoy's or Istio's default, %w; "+
			"name the format if its lines come later, or the keys of another JSON's fields", l.source.Name, n, refused)
	}
	return nil
}
