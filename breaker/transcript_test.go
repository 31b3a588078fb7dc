package breaker

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write what the breaker does into testdata/*.txt; read the diff before you keep it")

// TestTranscripts runs the scenarios in testdata. A line that starts in the first column is a command; the indented lines
// below it are what must come of it. The commands are:
//
//	policy KEY=VALUE ...      load a policy: the defaults, but for the keys given, which are those of the configuration.
//	                          Loaded again, it is a change of configuration; with on=N, for that worker only
//	workers N                 have so many workers; requests go to them in turn, or with on=N to that one
//	random 0.5                let the dice show this from now on, for jitter and ramp; 0 unless told
//	advance 5s                let time go by
//	request [N|NAME] [on=N]   ask for one request, or N of them, and keep it in flight
//	end [N|NAME] OUTCOME      end the oldest request in flight, the N oldest ones or the named one; the outcome is success,
//	                          failure, slow, slow_failure, neutral or unanswered (neutral, though the upstream had had the
//	                          request for long); failure,20s is one that asks to be left alone for 20 s
//	waits [N|NAME]            tell of the oldest requests in flight, or the named one, that they have waited for longer than
//	                          slow_call.duration; of those only that have not been told of already
//	release [N|NAME]          give the place of the oldest trials in flight, or of the named one, to others
//	requests N OUTCOME ...    N requests one after another, which end at once; several outcomes take turns
//	probe [on=N]              ask whether to probe the upstream now, and begin if so
//	end_probe good|bad        end the oldest probe that was begun
//	print                     show the record, with the window as it would be judged now
//	stats                     show the counters that are not zero
//	corrupt                   damage the record
//	reset                     set all counters to zero, as Envoy's /reset_counters does
//	mute [NAME ...]           let all counters, or these, read zero from now on, as a stats_matcher does that excludes them
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			if !strings.HasPrefix(want[0], "# ") {
				t.Error("a transcript opens with a paragraph on what it shows")
			}
			got := runTranscript(t, want)
			if *rewrite {
				if err := os.WriteFile(file, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for i := range max(len(got), len(want)) {
				if g, w := at(got, i), at(want, i); g != w {
					t.Fatalf("%s:%d:\n got %s\nwant %s", file, i+1, g, w)
				}
			}
		})
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end of file)"
}

// runTranscript returns the lines with the output below each command as it really is.
func runTranscript(t *testing.T, lines []string) (out []string) {
	s := &transcript{world: newWorld(t), policy: DefaultPolicy()}
	s.generation = 0
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, " "):
			continue // what is expected of the command above
		case line != "" && line[0] != '#':
			out = append(out, line)
			for _, result := range s.run(i+1, strings.Fields(line)) {
				out = append(out, "  "+result)
			}
			continue
		}
		out = append(out, line)
	}
	return out
}

type transcript struct {
	*world
	line    int
	policy  Policy
	workers []*Breaker
	next    int // worker
	flights []flight
	probes  []probeUnderWay
	first   uint64 // epoch
	out     []string
}

// flight is a request in flight.
type flight struct {
	name   string
	worker *Breaker
	permit Permit

	waits, released bool // has been told of
}

type probeUnderWay struct {
	worker *Breaker
	probe  Probe
}

func (s *transcript) fatal(format string, args ...any) {
	s.t.Helper()
	s.t.Fatal(fmt.Sprintf("line %d: ", s.line) + fmt.Sprintf(format, args...))
}

func (s *transcript) run(line int, words []string) []string {
	s.line, s.out = line, nil
	command, args := words[0], words[1:]
	on := 0
	if n := len(args); n > 0 && strings.HasPrefix(args[n-1], "on=") {
		on = s.number(args[n-1][3:])
		args = args[:n-1]
	}
	switch command {
	case "policy":
		s.load(args, on)
	case "workers":
		for n := s.number(args[0]); len(s.workers) < n; {
			s.workers = append(s.workers, s.worker(s.policy))
		}
	case "random":
		s.rnd = random(s.float(args[0]))
	case "advance":
		s.now = s.now.Add(s.duration(args[0]))
	case "request":
		n, name := s.subject(args)
		for range n {
			s.request(name, on)
		}
	case "end":
		n, name := s.subject(args[:len(args)-1])
		before := s.counters()
		for range n {
			s.end(name, s.outcome(args[len(args)-1]))
		}
		s.say("%s", s.since(before))
	case "waits":
		n, name := s.subject(args)
		before := s.counters()
		for range n {
			f := s.find(name, func(f *flight) bool { return name != "" || !f.waits })
			f.permit, f.waits = f.worker.StillWaiting(f.permit), true
			s.tell()
		}
		s.say("%s", s.since(before))
	case "release":
		n, name := s.subject(args)
		for range n {
			f := s.find(name, func(f *flight) bool { return name != "" || f.permit.Trial() && !f.released })
			f.permit, f.released = f.worker.Release(f.permit), true
		}
	case "requests":
		for i := range s.number(args[0]) {
			if s.request("(now)", on) {
				s.end("(now)", s.outcome(args[1+i%(len(args)-1)]))
			}
		}
	case "probe":
		s.probe(on)
	case "end_probe":
		s.probes[0].worker.EndProbe(s.probes[0].probe, args[0] == "good")
		s.probes = s.probes[1:]
		s.tell()
	case "print":
		s.print()
	case "stats":
		s.say("%s", strings.ReplaceAll(s.since([NumStats]uint64{}), "+", ""))
	case "corrupt":
		value, version := s.store.Load()
		value = append([]byte(nil), value...)
		value[RecordSize/2] ^= 1
		s.store.CompareAndSwap(value, version)
	case "reset":
		for stat := range NumStats {
			if !stat.Gauge() {
				s.tally.Set(stat, 0)
			}
		}
	case "mute":
		for stat := range NumStats {
			s.mute[stat] = len(args) == 0 || slices.Contains(args, stat.String())
		}
	default:
		s.fatal("unknown command %q", command)
	}
	if value, _ := s.store.Load(); s.first == 0 && value != nil {
		s.first = s.record().Epoch
	}
	return collapse(s.out)
}

// collapse makes one line of lines that are the same.
func collapse(lines []string) (out []string) {
	for i := 0; i < len(lines); {
		n := 1
		for i+n < len(lines) && lines[i+n] == lines[i] {
			n++
		}
		if line := lines[i]; n > 1 {
			out = append(out, fmt.Sprintf("%d x %s", n, line))
		} else {
			out = append(out, line)
		}
		i += n
	}
	return out
}

// load replaces all workers, or one, by such that run on another policy.
func (s *transcript) load(args []string, on int) {
	s.generation++
	p := DefaultPolicy()
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "mode":
			for i, mode := range Modes {
				if mode == value {
					p.Mode = Mode(i)
				}
			}
		case "window.duration":
			p.WindowDuration = s.duration(value)
		case "window.requests":
			p.WindowDuration, p.WindowRequests = 0, s.number(value)
			p.MinRequests = min(p.MinRequests, p.WindowRequests)
		case "min_requests":
			p.MinRequests = s.number(value)
		case "failure_rate":
			p.FailureRate = s.float(value)
		case "consecutive_failures":
			p.ConsecutiveFailures = s.number(value)
		case "slow_call.duration":
			p.SlowCallDuration = s.duration(value)
		case "slow_call.rate":
			p.SlowCallRate = s.float(value)
		case "open.duration":
			p.OpenDuration = s.duration(value)
		case "open.multiplier":
			p.OpenMultiplier = s.float(value)
		case "open.max_duration":
			p.OpenMaxDuration = s.duration(value)
		case "open.jitter":
			p.OpenJitter = s.float(value)
		case "half_open.max_requests":
			p.HalfOpenMaxRequests = s.number(value)
		case "half_open.success_threshold":
			p.HalfOpenSuccessThreshold = s.number(value)
		case "half_open.permit_timeout":
			p.HalfOpenPermitTimeout = s.duration(value)
		case "ramp":
			p.Ramp = s.duration(value)
		case "probe.interval":
			p.ProbeInterval = s.duration(value)
		case "probe.timeout":
			p.ProbeTimeout = s.duration(value)
		case "probe.on_success":
			p.ProbeCloses = value == "close"
		default:
			s.fatal("unknown key %q", key)
		}
	}
	if err := p.Validate(); err != nil {
		s.generation--
		s.say("refused: %v", err)
		return
	}
	switch {
	case on > 0:
		s.workers[on-1] = s.worker(p)
		return
	case s.workers == nil:
		s.workers = []*Breaker{nil}
	}
	s.policy = p
	for i := range s.workers {
		s.workers[i] = s.worker(p)
	}
}

// subject reads the number of requests, or a name for one.
func (s *transcript) subject(args []string) (n int, name string) {
	if len(args) == 0 {
		return 1, ""
	}
	if n, err := strconv.Atoi(args[0]); err == nil {
		return n, ""
	}
	return 1, args[0]
}

func (s *transcript) request(name string, on int) bool {
	if on == 0 {
		on = s.next%len(s.workers) + 1
		s.next++
	}
	f := flight{name: name, worker: s.workers[on-1]}
	expired := s.tally.Value(PermitsExpired)
	f.permit = f.worker.Acquire()
	s.tell()
	if n := s.tally.Value(PermitsExpired) - expired; n > 0 {
		s.say("permits expired: %d", n)
	}
	p := f.permit
	why := strings.ReplaceAll(p.State(), "_", "-")
	if p.RetryAfter > 0 {
		why += fmt.Sprintf(", retry after %v", p.RetryAfter)
	}
	switch p.kind {
	case refused:
		s.say("rejected: %s", why)
		return false
	case shadowed:
		s.say("admitted, but would have been rejected: %s", why)
	case trial:
		s.say("admitted as a trial")
	case doubtful:
		s.say("admitted in doubt")
	default:
		s.say("admitted")
	}
	s.flights = append(s.flights, f)
	return true
}

func (s *transcript) probe(on int) {
	if on == 0 {
		on = 1
	}
	b := s.workers[on-1]
	if probe, ok := b.BeginProbe(); ok {
		s.probes = append(s.probes, probeUnderWay{b, probe})
		s.say("to be probed")
		return
	}
	s.say("no probe now")
}

func (s *transcript) end(name string, o Outcome) {
	f := *s.find(name, func(*flight) bool { return true })
	i := slices.Index(s.flights, f)
	s.flights = slices.Delete(s.flights, i, i+1)
	f.worker.Done(f.permit, o)
	s.tell()
}

// find returns the named request, or the oldest, of those in flight for which something holds.
func (s *transcript) find(name string, is func(*flight) bool) *flight {
	for i := range s.flights {
		if f := &s.flights[i]; (name == "" || f.name == name) && is(f) {
			return f
		}
	}
	s.fatal("no such request %q in flight", name)
	return nil
}

// tell says which transitions there were.
func (s *transcript) tell() {
	for _, m := range s.moves {
		line := fmt.Sprintf("%v -> %v: %v", m.From, m.To, m.Reason)
		switch m.Reason {
		case FailureRate:
			line += fmt.Sprintf(", %d of %d failed", m.Window.Failures, m.Window.Calls)
		case SlowCallRate:
			line += fmt.Sprintf(", %d of %d slow", m.Window.SlowCalls, m.Window.Calls)
			if m.Waiting > 0 {
				line += fmt.Sprintf(", %d of them still waiting", m.Waiting)
			}
		case HalfOpenFailure:
			if m.Expired > 0 {
				line += fmt.Sprintf(", trials in a row that expired: %d", m.Expired)
			}
		case Consecutive:
			line += fmt.Sprintf(", %d in a row", m.Streak)
		case Recovered, Probed:
			line += fmt.Sprintf(", successes: %d", m.Successes)
		}
		if m.To == Open {
			line += fmt.Sprintf("; trip %d", m.Trips)
			if m.Ramp {
				line += " (in the ramp)"
			}
			line += fmt.Sprintf(", open for %v", m.OpenFor)
		}
		s.say("%s", line)
	}
	s.moves = nil
}

func (s *transcript) print() {
	value, _ := s.store.Load()
	if value == nil {
		s.say("no record yet")
		return
	}
	var r Record
	if err := r.UnmarshalBinary(value); err != nil {
		s.say("%v", err)
		return
	}
	line := fmt.Sprintf("%v, epoch %d", r.State, r.Epoch-s.first)
	if r.Epoch-s.first >= uint64(time.Millisecond) {
		line = fmt.Sprintf("%v, in a fresh record", r.State)
	}
	switch b := s.workers[0]; r.State {
	case Closed:
		t := b.totals(r.StoredTally)
		if r.Window.due(s.now, t, true) {
			r.Window.move(s.now, t, true)
		}
		in, ok := r.Window.count(t)
		if ok {
			line += fmt.Sprintf("; in the window: calls %d, failures %d, slow %d", in.Calls, in.Failures, in.SlowCalls)
		} else {
			line += "; the window does not fit the counters"
		}
		if b.policy.ConsecutiveFailures > 0 {
			value, _ := b.streaks.Load()
			streak := decodeStreak(value)
			if streak.epoch != r.Epoch || streak.good != b.goodEnds(r.StoredTally) {
				streak.failures = 0
			}
			line += fmt.Sprintf("; failures in a row: %d", streak.failures)
		}
		if n := b.stillWaiting(); n > 0 {
			line += fmt.Sprintf("; still waiting: %d", n)
		}
		if b.policy.ramping(&r, s.now) {
			line += fmt.Sprintf("; the ramp admits %.0f %%", 100*b.policy.admitShare(&r, s.now))
		}
	case Open:
		line += fmt.Sprintf("; for another %v", r.OpenUntil.Sub(s.now))
	case HalfOpen:
		line += fmt.Sprintf("; permits out: %d; successes: %d", r.live, r.Successes)
		if r.Expired > 0 {
			line += fmt.Sprintf("; expired in a row: %d", r.Expired)
		}
	}
	if r.Trips > 0 {
		line += fmt.Sprintf("; trips: %d", r.Trips)
	}
	if r.StoredTally {
		line += "; tally in the store"
	}
	s.say("%s", line)
}

// counters are those that say how requests ended.
func (s *transcript) counters() (c [NumStats]uint64) {
	for _, stat := range [...]Stat{
		Calls, Late, Neutrals, Rejected, Errors, Failures, SlowCalls, ShadowRejected, Opened, PermitsExpired,
	} {
		c[stat] = s.tally.Value(stat)
	}
	return c
}

func (s *transcript) since(before [NumStats]uint64) string {
	var moved []string
	for stat, n := range s.counters() {
		if n -= before[stat]; n > 0 {
			moved = append(moved, fmt.Sprintf("%v +%d", Stat(stat), n))
		}
	}
	return strings.Join(moved, ", ")
}

func (s *transcript) say(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); line != "" {
		s.out = append(s.out, line)
	}
}

func (s *transcript) number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		s.fatal("%v", err)
	}
	return n
}

func (s *transcript) float(word string) float64 {
	f, err := strconv.ParseFloat(word, 64)
	if err != nil {
		s.fatal("%v", err)
	}
	return f
}

func (s *transcript) duration(word string) time.Duration {
	d, err := time.ParseDuration(word)
	if err != nil {
		s.fatal("%v", err)
	}
	return d
}

func (s *transcript) outcome(word string) Outcome {
	word, retryAfter, _ := strings.Cut(word, ",")
	o, ok := map[string]Outcome{
		"success": {}, "failure": {Result: Failure}, "slow": {Slow: true}, "slow_failure": {Result: Failure, Slow: true},
		"neutral": {Result: Neutral}, "unanswered": {Result: Neutral, Unanswered: true},
	}[word]
	if !ok {
		s.fatal("unknown outcome %q", word)
	}
	if retryAfter != "" {
		o.RetryAfter = s.duration(retryAfter)
	}
	return o
}
