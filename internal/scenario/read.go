package scenario

import (
	"fmt"
	"math"
	"time"

	"go.yaml.in/yaml/v3"

	"envoy-circuit-breaker/internal/text"
)

// The bounds of what makes sense, and of what is made in an acceptable time.
const (
	MostInstances = 100_000
	mostRate      = 10_000
	mostRequests  = 5_000_000 // of each Envoy: they are all held in memory at once
	mostPhases    = 100
	longestTime   = time.Hour // that a request takes
	longest       = 24 * time.Hour
)

// Read reads a scenario, in YAML or JSON. The error is one line for each thing that is wrong: the file's name and the line, the key,
// its value, and what is allowed.
func Read(name string, content []byte) (*Scenario, error) {
	r := &reader{file: name}
	s := &Scenario{Cluster: "service", Instances: 1, Timeout: 15 * time.Second}
	if root := r.root(content); root != nil {
		r.scenario(root, s)
	}
	if err := r.error(); err != nil {
		return nil, err
	}
	return s, nil
}

func (r *reader) scenario(o *object, s *Scenario) {
	o.name("cluster", &s.Cluster)
	if s.Cluster == "-" {
		o.fail("cluster", `another name, since "-" is none in a log`)
	}
	instances := float64(s.Instances)
	if o.number("instances", &instances, 1, MostInstances) {
		if s.Instances = int(instances); instances != math.Trunc(instances) {
			o.fail("instances", "a whole number")
		}
	}
	if o.duration("timeout", &s.Timeout, time.Millisecond, longestTime) && s.Timeout%time.Millisecond != 0 {
		o.fail("timeout", "whole milliseconds")
	}
	phases := o.phases("phases")
	if len(phases) > mostPhases {
		o.fail("phases", fmt.Sprintf("at most %d phases, and there are %d", mostPhases, len(phases)))
		return
	}
	o.end()
	names := map[string]string{}
	for i, node := range phases {
		var p, before Phase
		if i > 0 {
			before = s.Phases[i-1]
		}
		if o := r.object(fmt.Sprintf("phases[%d]", i), node, "a phase"); o != nil {
			o.phase(&p, before, i == 0)
			if first, taken := names[p.Name]; taken {
				o.fail("name", "another name, since "+first+" has it")
			} else if p.Name != "" {
				names[p.Name] = o.path
			}
		}
		s.Phases = append(s.Phases, p)
	}
	if len(r.wrong) == 0 {
		r.sums(phases, s)
	}
}

const latencyLike = `such as {"p50": "40ms", "p99": "200ms"}`

// phase reads a phase, after another unless it is the first.
func (o *object) phase(p *Phase, before Phase, isFirst bool) {
	o.required("name", "a text that no other phase has")
	o.name("name", &p.Name)
	o.required("duration", `a duration such as "5m"`)
	if o.duration("duration", &p.Duration, time.Second, longest) && p.Duration%time.Second != 0 {
		o.fail("duration", "whole seconds") // what is counted by the second is of one phase then
	}
	o.flag("gradual", &p.Gradual)
	if isFirst {
		if p.Gradual {
			o.fail("gradual", "false in the first phase, since there is nothing before it to go on from")
		}
		o.required("rate", "given in the first phase, such as 20")
		o.required("latency", "given in the first phase, "+latencyLike)
	}
	p.Rate, p.P50, p.P99 = before.Rate, before.P50, before.P99
	o.number("rate", &p.Rate, 0, mostRate)
	if l := o.object("latency", "an object, "+latencyLike); l != nil {
		l.required("p50", "given with p99")
		l.required("p99", "given with p50")
		ok := l.duration("p50", &p.P50, time.Microsecond, longestTime)
		if l.duration("p99", &p.P99, time.Microsecond, longestTime) && ok && p.P99 < p.P50 {
			l.fail("p99", "at least p50, which is "+p.P50.String())
		}
		l.end()
	}
	o.number("failures", &p.Failures, 0, 100)
	if o.number("hangs", &p.Hangs, 0, 100) && p.Failures+p.Hangs > 100 {
		o.fail("hangs", fmt.Sprintf("at most %v, since failures is %v and both together are at most 100", 100-p.Failures, p.Failures))
	}
	o.end()
}

// sums refuses what is too much only in all.
func (r *reader) sums(phases []*yaml.Node, s *Scenario) {
	var all time.Duration
	requests := 0.0
	for i := range s.Phases {
		all += s.Phases[i].Duration
		requests += s.expected(i)
		switch line := phases[i].Line; {
		case all > longest:
			r.tell(line, "phases", fmt.Sprintf("%v up to the end of phases[%d] is not allowed: must be at most 24h in all", all, i))
			return
		case requests > mostRequests:
			r.tell(line, "phases", fmt.Sprintf("%s requests of each Envoy up to the end of phases[%d] are not allowed: must be at most %s in all: "+
				"lower rate, or duration", text.Grouped(int64(requests)), i, text.Grouped(mostRequests)))
			return
		}
	}
}
