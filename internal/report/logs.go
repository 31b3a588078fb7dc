package report

import (
	"cmp"
	"slices"

	"envoy-circuit-breaker/internal/accesslog"
)

// A Log is what is known of the logs of one format together.
type Log struct {
	Format string   `json:"format"`
	Lines  int64    `json:"lines"` // broken ones included
	Lacks  []string `json:"lacks"` // fields that none of these lines tells, in the order of [accesslog.FieldNames]
}

// AddLog adds what is known of one more log. One without lines lacks nothing.
func (r *Report) AddLog(l Log) {
	if l.Lines == 0 {
		return
	}
	at, known := slices.BinarySearchFunc(r.Logs, l, func(a, b Log) int { return cmp.Compare(a.Format, b.Format) })
	if !known {
		r.Logs = slices.Insert(r.Logs, at, l)
		return
	}
	all := &r.Logs[at]
	all.Lines += l.Lines
	all.Lacks = both(all.Lacks, l.Lacks)
}

// both are the texts that are in both lists, in the order of the first.
func both(a, b []string) []string {
	kept := make([]string, 0, len(a))
	in := make(map[string]bool, len(b))
	for _, text := range b {
		in[text] = true
	}
	for _, text := range a {
		if in[text] {
			kept = append(kept, text)
		}
	}
	return kept
}

// consequences are what follows from what the logs of any format lack, each once.
func (r *Report) consequences() (texts []string) {
	for i := range r.Logs {
		for _, text := range accesslog.Consequences(r.Logs[i].Lacks) { // mostly the same of all formats
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
	}
	return texts
}
