package accesslog

import (
	"errors"
	"io"
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
	Format string
	Lines  int64 // blank ones aside; Broken included
	Broken int64
	seen   uint32
}

// A Broken is a line that could not be understood.
type Broken struct {
	File string
	Line int64
	Err  error
}

func (b *Broken) Error() string { return "" }

func (b *Broken) Unwrap() error { return b.Err }

// Read reads logs, plain or compressed by gzip or zstd, and calls entry with each line in order: of several logs with the one that
// ended first, so that those of several Envoys can be read together and those of one in any order. The entry is valid during the
// call only, its strings for as long as you like. Broken lines are told to broken, in order too, and do not end it. It ends with
// the first error that entry or broken returns, as it is, or that reading meets.
func Read(names []string, o Options, entry func(*Entry) error, broken func(*Broken) error) ([]Source, error) {
	return nil, errors.ErrUnsupported
}

// Lacks says, in sentences, what no line of the log has told, and what follows from that for verdicts.
func (s *Source) Lacks() []string { return nil }
