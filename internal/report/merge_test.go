package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// written is a report's JSON. It has a log, as each of a part has.
func written(t *testing.T, r *Report) []byte {
	t.Helper()
	if len(r.Logs) == 0 {
		r.AddLog(Log{Format: "json", Lines: 1, Lacks: []string{}})
	}
	r.Complete()
	var text bytes.Buffer
	if err := r.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

func merged(t *testing.T, parts ...*Report) *Report {
	t.Helper()
	var m Merger
	for i, part := range parts {
		if err := m.Add(fmt.Sprint("part ", i), written(t, part)); err != nil {
			t.Fatal(err)
		}
	}
	return m.Report()
}

// mergedBoth is the report of two parts, whose order does not matter.
func mergedBoth(t *testing.T, a, b func() *Report) *Report {
	t.Helper()
	out, other := merged(t, a(), b()), merged(t, b(), a())
	if !reflect.DeepEqual(out, other) {
		t.Errorf("the order matters: %+v, and %+v", out, other)
	}
	return out
}

func policies(more ...Breaker) []Policy {
	return []Policy{{Name: "now", MaxBreakers: 2, Breakers: more}}
}

func TestMergeCounts(t *testing.T) {
	r := mergedBoth(t, func() *Report {
		return &Report{From: noon, To: noon.Add(time.Minute), Lines: 10, Broken: 1, WithoutCluster: 2, AlreadyRejected: 3, TooLate: 4, LatestBy: 70, HeldFor: 9, Policies: policies()}
	}, func() *Report {
		return &Report{From: noon.Add(-time.Second), To: noon.Add(time.Second), Lines: 100, Broken: 10, WithoutCluster: 20, AlreadyRejected: 30, TooLate: 40, LatestBy: 65,
			HeldFor: 8, Policies: policies()}
	})
	want := Report{From: noon.Add(-time.Second), To: noon.Add(time.Minute), Lines: 110, Broken: 11, WithoutCluster: 22, AlreadyRejected: 33, TooLate: 44, LatestBy: 70, HeldFor: 8}
	for _, note := range []string{"33 requests had been rejected", "11 lines could not be understood", "22 requests went to no", "44 lines came too late", "up to 1m10s before", "shrank to 8s"} {
		if !strings.Contains(strings.Join(r.Notes, "\n"), note) {
			t.Errorf("the notes do not say that %s: %q", note, r.Notes)
		}
	}
	r.Logs, r.Policies, r.Notes = nil, nil, nil
	if !reflect.DeepEqual(*r, want) {
		t.Errorf("%+v\nwant %+v", *r, want)
	}
}

// A part none of whose lines could be replayed has no times, and one whose horizon did not shrink none that it shrank to.
func TestMergeNothing(t *testing.T) {
	some := func() *Report {
		return &Report{From: noon, To: noon.Add(time.Minute), Lines: 10, HeldFor: 3, Policies: policies(Breaker{Cluster: "a"})}
	}
	none := func() *Report { return &Report{Lines: 5, WithoutCluster: 5, Policies: policies()} }
	if r := mergedBoth(t, some, none); !r.From.Equal(noon) || !r.To.Equal(noon.Add(time.Minute)) || r.Lines != 15 || r.HeldFor != 3 || len(r.Policies[0].Breakers) != 1 {
		t.Errorf("%+v", r)
	}
	if r := merged(t, none(), &Report{Lines: 6, WithoutCluster: 6, Policies: policies()}); !r.From.IsZero() || !r.To.IsZero() || r.Policies[0].Breakers == nil {
		t.Errorf("%+v", r)
	}
}

func TestMergeBrokenLines(t *testing.T) {
	part := func(file string, n int64) *Report {
		r := &Report{Broken: n, Policies: policies()}
		for i := range min(n, MostBroken) {
			r.BrokenLines = append(r.BrokenLines, BrokenLine{file, i + 1, "no \xfftime"})
		}
		return r
	}
	r := merged(t, part("b", 5), part("a", 30), part("c", 3))
	var got []string
	for _, b := range r.BrokenLines {
		got = append(got, fmt.Sprint(b.File, b.Line))
	}
	if len(got) != MostBroken || got[0] != "b1" || got[4] != "b5" || got[5] != "a1" || got[19] != "a15" || r.Broken != 38 {
		t.Errorf("%d lines, of which %q are listed", r.Broken, got)
	}
}

// A format lacks what no line of any log of it tells; the notes say so once.
func TestMergeLogs(t *testing.T) {
	part := func(logs ...Log) func() *Report {
		return func() *Report {
			r := &Report{Policies: policies()}
			for _, l := range logs {
				r.AddLog(l)
			}
			return r
		}
	}
	r := mergedBoth(t,
		part(Log{"json", 5, []string{"request", "grpc", "route"}}, Log{"json", 2, []string{"request", "service", "route", "instance"}}, Log{"", 0, []string{"time", "route"}}),
		part(Log{"json", 3, []string{"request", "route", "breaker"}}, Log{"envoy", 4, []string{"grpc", "route"}}, Log{"json", 0, []string{}}))
	if want := []Log{{"envoy", 4, []string{"grpc", "route"}}, {"json", 10, []string{"request", "route"}}}; !reflect.DeepEqual(r.Logs, want) {
		t.Errorf("the logs are %+v, want %+v", r.Logs, want)
	}
	notes := strings.Join(r.Notes, "\n")
	for operator, times := range map[string]int{"%ROUTE_NAME%": 1, "%GRPC_STATUS_NUMBER%": 1, "%REQUEST_DURATION%": 1, "%DURATION%": 0} {
		if n := strings.Count(notes, "("+operator+")"); n != times {
			t.Errorf("%s is in the notes %d times, want %d: %s", operator, n, times, notes)
		}
	}
}

func TestMergePolicies(t *testing.T) {
	half, whole := 0.5, 1.0
	trip := func(noticed *float64) []Transition {
		return []Transition{{At: noon, From: "closed", To: "open", Noticed: noticed}}
	}
	r := mergedBoth(t, func() *Report {
		p := policies(Breaker{Cluster: "b", Counts: Counts{Requests: 5, Trips: 1, OpenFor: 0.1}, Transitions: trip(&half)}, Breaker{Cluster: "c", Instance: "x"})
		p[0].Unmatched, p[0].WithoutBreaker = []string{"4", "3", "1"}, 7
		return &Report{Policies: p}
	}, func() *Report {
		p := policies(Breaker{Cluster: "a", Counts: Counts{Requests: 6, Trips: 2, OpenFor: 0.2}, Transitions: trip(&whole)}, Breaker{Cluster: "b", Instance: "x"})
		p[0].Unmatched, p[0].WithoutBreaker = []string{"4", "2", "1"}, 70
		return &Report{Policies: p}
	})
	p := &r.Policies[0]
	var names []string
	for i := range p.Breakers {
		names = append(names, p.Breakers[i].name())
	}
	if want := []string{"a", "b", "b on x", "c on x"}; !slices.Equal(names, want) {
		t.Errorf("the breakers are %q, want %q", names, want)
	}
	if want := []string{"4", "1"}; !slices.Equal(p.Unmatched, want) || p.WithoutBreaker != 77 {
		t.Errorf("unmatched are %q, want %q; %d without a breaker", p.Unmatched, want, p.WithoutBreaker)
	}
	middle := 0.75
	if want := (Counts{Requests: 11, Trips: 3, OpenFor: 0.3, NoticedMedian: &middle, NoticedMax: &whole}); !reflect.DeepEqual(p.Total, want) {
		t.Errorf("the total is %+v, want %+v", p.Total, want)
	}
}

// What is written breaker by breaker is what encoding/json writes, whatever the names.
func TestWriteJSON(t *testing.T) {
	r := &Report{Policies: []Policy{
		{Name: "\n      \"breakers\": []", Unmatched: []string{"<&>\u2028"}},
		{Name: "two", MaxBreakers: 2, Breakers: []Breaker{{Cluster: "\n      \"breakers\": []", Transitions: []Transition{{At: noon, Text: "<"}, {At: noon}}}, {Cluster: "b", Route: "支払い"}}},
		{Name: "none\xff"},
	}}
	got := written(t, r)
	body, sum, _ := strings.Cut(string(got), ",\n  \"digest\": ")
	if want := fmt.Sprintf("\"%x\"\n}\n", sha256.Sum256([]byte(body))); sum != want {
		t.Errorf("the digest is %s, want %s", sum, want)
	}
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil || body+"\n}\n" != want.String() {
		t.Errorf("%v: %s\nwant %s", err, got, &want)
	}
	if err := (&Merger{}).Add("it", got); err != nil {
		t.Error(err)
	}
}

// Whatever is changed in a report is noticed, but for blanks around it.
func TestMergeChanged(t *testing.T) {
	text := written(t, &Report{From: noon, To: noon, Version: "1", MadeWith: "-x", Policies: policies(Breaker{Cluster: "a", State: "open", Transitions: []Transition{{At: noon}}})})
	for i := range len(text) - 1 {
		for _, by := range []string{"", string(text[i:i+1]) + " ", "0", " "} {
			changed := slices.Concat(text[:i], []byte(by), text[i+1:])
			err := (&Merger{Version: "1"}).Add("it", changed)
			if same := bytes.Equal(bytes.TrimSpace(changed), bytes.TrimSpace(text)); (err == nil) != same {
				t.Fatalf("%v for %s", err, changed)
			}
		}
	}
	if err := (&Merger{Version: "1"}).Add("it", slices.Concat([]byte("\n"), text, []byte(" \r\n"))); err != nil {
		t.Error(err)
	}
	if err := (&Merger{Version: "2"}).Add("it", text); err == nil || err.Error() != "it was made by breakerctl 1, and this is 2: make it again, by this one" {
		t.Error(err)
	}
}

// The same report twice is one part twice, unless nothing in it counts.
func TestMergeTwice(t *testing.T) {
	for lines, says := range map[int64]string{0: "", 5: "second is the same report as first, whose lines would count twice"} {
		text := written(t, &Report{Lines: lines, WithoutCluster: lines, Policies: policies()})
		var m Merger
		if err := m.Add("first", text); err != nil {
			t.Fatal(err)
		}
		if err := m.Add("second", text); says == "" && err != nil || says != "" && (err == nil || !strings.HasPrefix(err.Error(), says)) {
			t.Errorf("%d lines: %v", lines, err)
		}
	}
}

// Names are from logs and files, and may have what a terminal obeys.
func TestMergeErrorsArePrintable(t *testing.T) {
	const evil = "\x1b[31m"
	part := func(change func(*Report)) *Report {
		r := &Report{Lines: 1, Policies: []Policy{{Name: "now" + evil, MaxBreakers: 1, Breakers: []Breaker{{Cluster: "a" + evil, Instance: "x" + evil}}}}}
		change(r)
		return r
	}
	for says, change := range map[string]func(*Report){
		"both have the breaker of a": func(r *Report) { r.Lines = 2 },
		"more breakers of x":         func(r *Report) { r.Policies[0].Breakers[0].Cluster = "b" },
		"policy 1 is now":            func(r *Report) { r.Policies[0].Name = "other" },
		"now\uFFFD[31m is another":   func(r *Report) { r.Policies[0].Fingerprint = "other" },
		"the other with \uFFFD":      func(r *Report) { r.MadeWith = evil },
		"made by breakerctl \uFFFD":  func(r *Report) { r.Version = evil },
	} {
		var m Merger
		if err := m.Add("first", written(t, part(func(*Report) {}))); err != nil {
			t.Fatal(err)
		}
		err := m.Add("second", written(t, part(change)))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %q", says, err)
		}
	}
}
