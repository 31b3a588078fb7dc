package statuspage

import (
	"encoding/json"
	"slices"
	"time"
)

// A Transition is one line of a cluster's history.
type Transition struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// A pastTransition is what a cluster's history keeps of a transition.
type pastTransition struct {
	Transition
	Epoch uint64 `json:"epoch"`
}

// remembered is how many transitions a history keeps.
const remembered = 5

// AddTransition returns a history with one more transition, that to the epoch. A history is JSON, and nil at first. Workers
// may come here in another order than they made their transitions.
func AddTransition(history []byte, epoch uint64, t Transition) ([]byte, error) {
	past, i := parseHistory(history), 0
	for i < len(past) && past[i].Epoch > epoch {
		i++
	}
	past = slices.Insert(past, i, pastTransition{t, epoch})
	return json.Marshal(past[:min(len(past), remembered)])
}

// Transitions returns the transitions of a history, the newest first; none if it cannot be read.
func Transitions(history []byte) []Transition {
	all := []Transition{} // which JSON writes as a list, other than nil
	for _, past := range parseHistory(history) {
		all = append(all, past.Transition)
	}
	return all
}

func parseHistory(history []byte) (past []pastTransition) {
	if json.Unmarshal(history, &past) != nil {
		return nil
	}
	return past
}
