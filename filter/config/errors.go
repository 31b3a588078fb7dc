package config

import (
	"strings"

	"envoy-circuit-breaker/internal/smallfmt"
)

// An Error is one thing that is wrong with a configuration. A warning is one too: what is valid, and surely not meant.
type Error struct {
	Path string // of the key, such as "clusters[0].open.duration" (see [Join]); empty where it is about the whole
	Text string // the value, and what is allowed
	Line int    // in a text that is no JSON; else 0

	shown string // the path with its key cut, if that is long; else empty
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Text
	}
	path := e.shown
	if path == "" {
		path = e.Path
	}
	return path + ": " + e.Text
}

// Twice is the error of a key that is given once more, with a value: one of the two would be ignored.
func Twice(path string, value any) *Error {
	return &Error{Path: path, Text: show(value) + " is not allowed: the key is given twice"}
}

// under puts a key or an index before the path. Only on the way out an error gets its path, so that values without one need none.
func (e *Error) under(step string) {
	if e.Path != "" && e.Path[0] != '[' {
		step += "."
	}
	e.Path = step + e.Path
}

// Errors are all that is wrong with a configuration.
type Errors []*Error

// Error tells the first of them in one line, which is as much as a log should have.
func (e Errors) Error() string {
	const most = 20
	var s strings.Builder
	for i, one := range e {
		if i == most {
			s.WriteString(smallfmt.Sprintf("; and %d more", len(e)-most))
			break
		}
		if i > 0 {
			s.WriteString("; ")
		}
		s.WriteString(one.Error())
	}
	return s.String()
}

// A report collects what is wrong while a configuration is read, and goes on.
type report struct {
	errors, warnings Errors
	at               map[string]bool // the paths of errors: what follows from an error is not told
}

// mostErrors are more than anybody reads. A worker has neither time nor memory for one that has nothing but errors.
const mostErrors = 1000

// mostTwice is how many of them can be keys that are given twice, which are found first.
const mostTwice = 100

func (r *report) isFull() bool { return len(r.errors) > mostErrors }

func (r *report) error(path, text string) { r.add(&Error{Path: path, Text: text}) }

func (r *report) add(e *Error) {
	if r.at[e.Path] || r.isFull() {
		return
	}
	if len(r.errors) == mostErrors {
		e = &Error{Text: "more is wrong"}
	}
	if r.at == nil {
		r.at = map[string]bool{}
	}
	r.at[e.Path] = true
	r.errors = append(r.errors, e)
}

func (r *report) warn(path, format string, args ...any) {
	r.warnings = append(r.warnings, &Error{Path: path, Text: smallfmt.Sprintf(format, args...)})
}
