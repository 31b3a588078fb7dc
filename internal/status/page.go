package status

import (
	"encoding/json"
	"strings"
	"time"
)

// A page is one page of an Envoy's JSON.
type page struct {
	Plugin        string    `json:"plugin"`
	Version       string    `json:"version"`
	At            time.Time `json:"at"`
	ConfigInvalid bool      `json:"config_invalid"`
	Total         int       `json:"total"`
	Clusters      []Breaker `json:"clusters"`
	Next          string    `json:"next"` // null reads as ""
}

// A Breaker is what a page says of one, in the same form, and since when and why it is as it is.
type Breaker struct {
	Cluster string  `json:"cluster"`
	Route   *string `json:"route"`
	State   string  `json:"state"`

	// Since is when it left closed, or for a closed one when it closed; null where no transition is known. It was earlier where the
	// transitions that the page remembers do not reach back so far.
	Since   *time.Time `json:"since"`
	Earlier bool       `json:"since_earlier"`
	Why     string     `json:"why"` // its reason, in the words of the log

	NextTry        float64         `json:"next_try_seconds"`
	Probing        bool            `json:"probing"`
	NextProbe      float64         `json:"next_probe_seconds"`
	Trips          uint64          `json:"trips"`
	Successes      uint64          `json:"successes"`
	TrialsInFlight uint64          `json:"trials_in_flight"`
	Calls          uint64          `json:"calls"`
	Failures       uint64          `json:"failures"`
	SlowCalls      uint64          `json:"slow_calls"`
	FailureRate    float64         `json:"failure_rate"`
	SlowRate       float64         `json:"slow_rate"`
	Rejected       uint64          `json:"rejected"`
	ShadowRejected uint64          `json:"shadow_rejected"`
	Fallback       uint64          `json:"fallback"`
	Policy         json.RawMessage `json:"policy"`
	Transitions    []Transition    `json:"transitions"`
}

// A Transition is a change of a breaker's state.
type Transition struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"` // as in the log: "FROM -> TO: why"
}

// The states of a breaker, in the order of the table.
const (
	opened     = "open"
	halfOpen   = "half_open"
	forcedOpen = "forced_open"
	disabled   = "disabled"
	closed     = "closed"
)

var states = []string{opened, halfOpen, forcedOpen, disabled, closed}

// tell finds out since when the breaker is as it is, and why.
func (b *Breaker) tell() {
	b.Since, b.Earlier, b.Why = nil, false, ""
	if b.State == forcedOpen || b.State == disabled {
		b.Why = "by its mode"
		return
	}
	for i := range b.Transitions { // the newest first
		m := &b.Transitions[i]
		from, to, why := m.parts()
		if b.State == closed {
			if to == closed {
				b.Since, b.Why = &m.At, why
			}
			return
		}
		if to == closed { // what came after it is not known
			return
		}
		b.Since, b.Earlier = &m.At, from != closed
		if to == opened {
			b.Why = why
		}
		if from == closed {
			return
		}
	}
}

// parts returns what the transition says, but for how long the breaker opens and whether that is in shadow.
func (m *Transition) parts() (from, to, why string) {
	change, why, _ := strings.Cut(m.Text, ": ")
	from, to, _ = strings.Cut(change, " -> ")
	why, _, _ = strings.Cut(why, "; open for ")
	why, _, _ = strings.Cut(why, " (shadow: ")
	return from, to, why
}

// policy is what the table needs to know of it.
type policy struct {
	Mode      string `json:"mode"`
	Threshold int    `json:"half_open_success_threshold"`
}

func (b *Breaker) policy() (p policy) {
	json.Unmarshal(b.Policy, &p) // what is not there is not told
	return p
}
