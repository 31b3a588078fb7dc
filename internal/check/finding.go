// Package check finds configurations of the circuit breaker in the files that people keep them in, and says what is wrong with
// them, what is surely not meant, and what follows from them for a cluster. What a configuration must be is for package config to
// say; this one knows where it stands, and what is around it.
package check

import (
	"errors"
	"fmt"
	"strings"

	"envoy-circuit-breaker/filter/config"
)

// A Finding is one thing that is wrong in a file, or surely not meant.
type Finding struct {
	File    string
	Line    int // 0 if it is about the whole file
	Warning bool
	Text    string // the key, its value, and what is allowed
}

func (f Finding) String() string {
	at := f.File
	if f.Line > 0 {
		at += fmt.Sprintf(":%d", f.Line)
	}
	if f.Warning {
		at += ": warning"
	}
	return at + ": " + f.Text
}

func (f *File) add(line int, warning bool, text string) {
	f.Findings = append(f.Findings, Finding{f.Name, line, warning, text})
}

// HasErrors reports whether there is more than warnings.
func (f *File) HasErrors() bool {
	for _, finding := range f.Findings {
		if !finding.Warning {
			return true
		}
	}
	return false
}

// addErrors adds what is wrong with a plugin's configuration. at translates a line of a text.
func (f *File) addErrors(p *Plugin, err error, at func(inText int) int) {
	var all config.Errors
	errors.As(err, &all)
	for _, e := range all {
		if p.told[e.Path] && e.Path != "" {
			continue
		}
		if e.Line > 0 {
			// The line is told before the text.
			f.add(at(e.Line), false, strings.Replace(e.Text, fmt.Sprintf("line %d, ", e.Line), "", 1))
			continue
		}
		text := e.Error()
		if decimal, is := p.decimals[e.Path]; is {
			text = e.Path + ": " + decimal + " is a string to Envoy, whose YAML has whole numbers only in a Struct: " +
				"give the configuration as JSON text in a google.protobuf.StringValue"
		}
		f.add(p.line(e.Path), false, text)
	}
}
