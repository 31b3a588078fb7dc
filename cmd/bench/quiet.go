//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A usage is how much of their time the cores have spent so far.
type usage struct {
	at    time.Time
	busy  time.Duration // on processes, and on those of other virtual machines
	ours  time.Duration // on this process, and its children that have ended
	cores int
}

// usage reads what the kernel has accounted for.
func (m *machine) usage() (usage, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}, err
	}
	u := usage{at: time.Now(), cores: m.cores.Count()}
	if u.busy, err = busyTime(string(text), m.cores.IsSet); err != nil {
		return usage{}, err
	}
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var r unix.Rusage
		if err := unix.Getrusage(who, &r); err != nil {
			return usage{}, err
		}
		u.ours += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return u, nil
}

// busyTime reads /proc/stat: for how long those cores have been busy with processes, or were taken by the host.
func busyTime(stat string, counts func(core int) bool) (busy time.Duration, err error) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all of Linux's machines
	// user, nice, system, steal. What interrupts take cannot be told from what our own requests do.
	columns := []int{1, 2, 3, 8}
	for line := range strings.Lines(stat) {
		fields := strings.Fields(line)
		number, isCore := strings.CutPrefix(fields[0], "cpu")
		core, err := strconv.Atoi(number)
		if !isCore || err != nil || !counts(core) || len(fields) <= columns[len(columns)-1] {
			continue
		}
		for _, c := range columns {
			ticks, err := strconv.ParseInt(fields[c], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/stat: %q: %w", line, err)
			}
			busy += time.Duration(ticks) * tick
		}
	}
	return busy, nil
}

// others returns the share of the cores that others had since before: processes that are not ours, and other virtual machines.
func (u usage) others(before usage) float64 {
	others := (u.busy - before.busy) - (u.ours - before.ours)
	return max(0, others.Seconds()/u.at.Sub(before.at).Seconds()/float64(u.cores))
}

// quiet is the share of the cores that a machine's own services may take, as exactly as the kernel's ticks tell.
const quiet = 0.05

// watchOthers runs a part, and notes what others did meanwhile.
func (b *bench) watchOthers(name string, part func() error) error {
	before, err := b.machine.usage()
	if err != nil {
		return err
	}
	if err := part(); err != nil {
		return err
	}
	after, err := b.machine.usage()
	if err != nil {
		return err
	}
	if share := after.others(before); share > quiet {
		b.disturbed = append(b.disturbed, fmt.Sprintf("%s %.0f %%", name, 100*share))
	}
	return nil
}
