package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A report compares the two sides.
type report struct {
	opened, recovered time.Duration // from the first reject to the last error, of the side with the breaker
	without, with     summary
}

// A summary is one side of the report.
type summary struct {
	requests, errors, rejects int
	median, p99               time.Duration // of the requests from report.opened to report.recovered
	sickCalls                 int           // that reached the service while it was not healthy
	recovery                  time.Duration // from the service's return to the last error
}

// newReport returns the report on all but the calls of the sick service. Both sides' latencies are those of the same time.
func newReport(without, with []request) (*report, error) {
	r := &report{without: summarize(without), with: summarize(with)}
	if r.with.rejects == 0 {
		return nil, errors.New("the breaker never opened")
	}
	r.opened = math.MaxInt64
	for _, q := range with {
		if q.outcome == rejected {
			r.opened = min(r.opened, q.at)
		}
	}
	r.recovered = backAt() + r.with.recovery
	r.without.median, r.without.p99 = latencies(without, r.opened, r.recovered)
	r.with.median, r.with.p99 = latencies(with, r.opened, r.recovered)
	return r, nil
}

func summarize(requests []request) summary {
	s := summary{requests: len(requests)}
	for _, r := range requests {
		if r.outcome == answered {
			continue
		}
		s.errors++
		if r.outcome == rejected {
			s.rejects++
		}
		s.recovery = max(s.recovery, r.at-backAt())
	}
	return s
}

// latencies returns the median and the 99th percentile of the requests from one time to another.
func latencies(requests []request, from, to time.Duration) (median, p99 time.Duration) {
	var took []time.Duration
	for _, r := range requests {
		if r.at >= from && r.at <= to {
			took = append(took, r.took)
		}
	}
	return quantile(took, 0.5), quantile(took, 0.99)
}

// quantile returns the smallest value that a share q of all values does not exceed; 0 if there are none. It sorts values.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	rank := int(math.Ceil(q * float64(len(values))))
	return values[max(rank, 1)-1]
}

// String returns the table.
func (r *report) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', tabwriter.AlignRight)
	row := func(name string, value func(summary) string) {
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", name, value(r.without), value(r.with))
	}
	fmt.Fprintf(w, "\t%s\t%s\t\n", "without", "with the breaker")
	row("requests", func(s summary) string { return fmt.Sprint(s.requests) })
	row("user errors", func(s summary) string { return fmt.Sprint(s.errors) })
	row("of these rejected at once", func(s summary) string { return fmt.Sprint(s.rejects) })
	row("calls to the sick service", func(s summary) string { return fmt.Sprint(s.sickCalls) })
	row("median latency while open", func(s summary) string { return milliseconds(s.median) })
	row("99th percentile", func(s summary) string { return milliseconds(s.p99) })
	row("time to recover", func(s summary) string { return fmt.Sprintf("%.1f s", s.recovery.Seconds()) })
	w.Flush() // to a builder, which takes everything

	fmt.Fprintf(&out, "\n%.0f times fewer calls to the sick service, and a 99th percentile %.0f times lower.\n",
		ratio(r.without.sickCalls, r.with.sickCalls), ratio(r.without.p99, r.with.p99))
	out.WriteString("The errors remain: a breaker makes them quick, and spares the service.\n")
	fmt.Fprintf(&out, "Latencies are those of requests sent between the first opening (%.1f s) and\n"+
		"recovery (%.1f s), on both sides, as their users saw them. Time to recover is from\n"+
		"the service's return to the last error.\n",
		r.opened.Seconds(), r.recovered.Seconds())
	return out.String()
}

func ratio[N int | time.Duration](a, b N) float64 { return float64(a) / float64(b) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
