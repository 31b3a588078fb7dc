// Package breaker is a circuit breaker: closed, open, half-open.
//
//	           a trip condition holds
//	┌────────┐ ───────────────────────▶ ┌────────┐
//	│ closed │                          │  open  │ rejects until open-until
//	└────────┘ ◀──────┐        ┌──────▶ └────────┘
//	 counts calls     │        │ one trial   │ open-until is over:
//	 in a window      │        │ fails       │ the next request is the first trial
//	    success_threshold    ┌───────────┐   │
//	    trials succeed └──── │ half-open │ ◀─┘
//	                         └───────────┘ at most max_requests trials in flight
//
// It is built as a functional core and a thin shell. The core (policy.go, record.go, window.go, machine.go) is pure:
// given a [Policy], a [Record], the running totals of a tally and the time, it says what to do and what the next record
// is. It reads no clock, takes no lock and does no I/O. The shell ([Breaker]) runs it for many workers at once over
//
//   - a [Store], which holds the record and can compare and swap it: the truth;
//   - a [Tally], process-wide counters: every outcome adds to them, and the window in the record is a ring of snapshots
//     of their totals, so that no outcome has to write the record. One more counter, [Changes], is the bell: a worker
//     trusts its copy of the record for as long as that counter stands still;
//   - a [Clock].
//
// The shell's parts are breaker.go (what a program calls), view.go (what a worker knows of the record, and the bell),
// count.go (counting and judging), trials.go (half-open), probe.go and announce.go. PROTOCOL.md has the rules by which
// workers agree, by number; the code names them.
//
// A [Group] (group.go, list.go) admits requests for many breakers while all of them are closed, before anybody knows which one a
// request is for.
//
// Every request is admitted under the record's epoch, which moves on at every transition; an outcome from an older epoch
// changes nothing, so that answers to requests sent before a trip can neither close nor re-open the breaker.
//
// The scenario files under testdata show the machine at work, one behaviour each.
package breaker
