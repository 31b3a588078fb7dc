// Package check finds configurations of the circuit breaker in the files that people keep them in, and says what is wrong with
// them, what is surely not meant, and what follows from them for a cluster. What a configuration must be is for package config to
// say; this one knows where it stands, and what is around it.
package check

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
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
func (f *File) addErrors(p *Plugin, err error, text []byte, at func(inText int) int) {
	var all config.Errors
	errors.As(err, &all)
	for _, e := range all {
		decimal, isDecimal := p.decimals[e.Path]
		switch {
		case e.Line > 0:
			line, said := notJSON(text, e)
			f.add(at(line), false, said)
		case e.Path != "" && p.told[e.Path]:
		case isDecimal:
			e.Text = decimal + " is a string to Envoy, whose YAML has whole numbers only in a Struct: " +
				"give the configuration as JSON text in a google.protobuf.StringValue"
			f.add(p.line(e.Path), false, e.Error())
		default:
			f.add(p.line(e.Path), false, e.Error()+more(e.Text))
		}
	}
}

// notJSON returns the line and the text of an error in a text that is no JSON, with what to do that the plugin has no room for.
func notJSON(text []byte, e *config.Error) (line int, said string) {
	said = strings.Replace(e.Text, fmt.Sprintf("line %d, ", e.Line), "", 1) // the line is told before the text
	switch {
	case braces.Match(text) && strings.HasSuffix(e.Text, "'{' looking for beginning of object key string"):
		return e.Line, "not valid JSON: " + template
	case strings.HasSuffix(e.Text, "unexpected end of JSON input"):
		// The error is where nothing is any more.
		return 1 + bytes.Count(bytes.TrimRight(text, " \t\r\n"), []byte("\n")), "not valid JSON: it ends too soon: a quote, ] or } is missing"
	case strings.HasSuffix(e.Text, "after object key:value pair"), strings.HasSuffix(e.Text, "after array element"):
		return e.Line, said + ": a comma is missing before it"
	}
	return e.Line, said
}

// more returns what to do that the plugin has no room for.
func more(text string) string {
	value, allowed, _ := strings.Cut(text, " is not allowed: must be ")
	_, err := strconv.ParseFloat(value, 64)
	if isNumber := err == nil; allowed == "a string" && (isNumber || value == "true" || value == "false") {
		return " in quotes"
	}
	return ""
}

const template = "this is a template: check what it renders to"

// braces are what a template of Helm's, or of Go's, has.
var braces = regexp.MustCompile(`\{\{[^{}]*\}\}`)
