//go:build linux

// Command benchreplay measures how fast breakerctl replays an access log, and in how much memory. It writes the log itself, in the
// format of envoy.yaml: three clusters of which one fails and another hangs from time to time.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"envoy-circuit-breaker/internal/command"
	"envoy-circuit-breaker/internal/machine"
)

func main() {
	tool := flag.String("breakerctl", "build/breakerctl", "breakerctl's binary")
	lines := flag.Int("lines", 10_000_000, "how many lines the log has, 270 bytes each")
	rate := flag.Int("rate", 5000, "requests a second in it: those of the horizon's minute are held in memory")
	rounds := flag.Int("rounds", 3, "how many times to measure; the median counts")
	folder := flag.String("folder", "build", "where the log is written, and removed again")
	command.Main("benchreplay", func(ctx context.Context) error {
		log, policy := filepath.Join(*folder, "bench-replay.log"), filepath.Join(*folder, "bench-replay.json")
		defer os.Remove(log)
		defer os.Remove(policy)
		if err := os.WriteFile(policy, []byte(`{"slow_call": {"duration": "1s", "rate": 50}, "open": {"duration": "5s"}}`), 0o600); err != nil {
			return err
		}
		size, err := writeLog(ctx, log, *lines, *rate)
		if err != nil {
			return err
		}
		fmt.Printf("%d lines, %.1f GB, %d requests a second, on %s\n", *lines, float64(size)/1e9, *rate, machine.CPU())
		rows := []row{{name: "1 core", cores: 1}, {name: "2 cores", cores: 2}, {name: "1 core each for two logs", cores: 1, beside: true}}
		for range *rounds {
			for i := range rows {
				r, err := rows[i].measure(ctx, *tool, policy, log)
				if err != nil {
					return err
				}
				rows[i].runs = append(rows[i].runs, r)
			}
		}
		fmt.Printf("%-24s  %9s  %14s  %17s  %11s\n", "", "lines/s", "processors had", "per processor's s", "peak memory")
		for _, row := range rows {
			slices.SortFunc(row.runs, func(a, b run) int { return int(a.took - b.took) })
			r := row.runs[len(row.runs)/2]
			done := float64(*lines)
			if row.beside {
				done *= 2
			}
			fmt.Printf("%-24s  %9.0f  %14.2f  %17.0f  %8d MB\n", row.name, done/r.took.Seconds(), r.busy.Seconds()/r.took.Seconds(), done/r.busy.Seconds(), r.memory>>20)
		}
		return nil
	})
}

// A row is a way to replay the log.
type row struct {
	name   string
	cores  int
	beside bool // two processes at the same time: what the machine's two cores have to give
	runs   []run
}

func (r *row) measure(ctx context.Context, tool, policy, log string) (run, error) {
	if !r.beside {
		return measure(ctx, tool, r.cores, policy, log)
	}
	var runs [2]run
	var errs [2]error
	var both sync.WaitGroup
	for i := range runs {
		both.Go(func() { runs[i], errs[i] = measure(ctx, tool, r.cores, policy, log) })
	}
	both.Wait()
	return run{max(runs[0].took, runs[1].took), runs[0].busy + runs[1].busy, max(runs[0].memory, runs[1].memory)}, errors.Join(errs[:]...)
}

// A run is one measurement.
type run struct {
	took, busy time.Duration // on the clock, and of processors
	memory     int64         // at most, bytes
}

func measure(ctx context.Context, tool string, cores int, policy, log string) (run, error) {
	c := exec.CommandContext(ctx, tool, "replay", "-config", policy, log)
	c.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(cores))
	c.Stderr = os.Stderr
	began := time.Now()
	out, err := c.Output()
	if err != nil {
		return run{}, err
	}
	took := time.Since(began)
	if !strings.Contains(string(out), "closed -> open") {
		return run{}, fmt.Errorf("no breaker has opened:\n%s", out)
	}
	usage := c.ProcessState.SysUsage().(*syscall.Rusage)
	return run{took, c.ProcessState.UserTime() + c.ProcessState.SystemTime(), usage.Maxrss << 10}, nil
}

// longest is how long a request lasts at most, in milliseconds.
const longest = 3000

// writeLog writes a log in the order in which requests end, and returns its size.
func writeLog(ctx context.Context, file string, lines, rate int) (size int64, err error) {
	f, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	begin := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 1))
	var ending [longest + 1][]byte // lines of requests that end in a millisecond, as a ring
	flush := func(ms int) {
		slot := &ending[ms%len(ending)]
		w.Write(*slot)
		*slot = (*slot)[:0]
	}
	ms := 0
	for i := range lines {
		for now := i * 1000 / rate; ms < now; ms++ {
			flush(ms)
			if ms%1000 == 0 && ctx.Err() != nil {
				return 0, ctx.Err()
			}
		}
		cluster := [...]string{"payments", "catalog", "search"}[i%3]
		took, status, details, flags, answered := 1+int(random.ExpFloat64()*20), 200, "via_upstream", "-", ""
		took = min(took, longest)
		answered = strconv.Itoa(took)
		switch s := ms / 1000; {
		case i%3 == 0 && s%300 >= 100 && s%300 < 120:
			status = 503
		case i%3 == 1 && s%400 >= 200 && s%400 < 215:
			took, status, details, flags, answered = longest, 504, "response_timeout", "UT", "null"
		}
		slot := &ending[(ms+took)%len(ending)]
		*slot = fmt.Appendf(*slot, `{"time":%q,"method":"GET","path":"/%s/items/%d","status":%d,"details":%q,"grpc_status":null,"flags":%q,"cluster":%q,`+
			`"route":"%s-items","attempts":1,"request_ms":0,"response_ms":%s,"duration_ms":%d,"circuit_breaker":null}`+"\n",
			begin.Add(time.Duration(ms)*time.Millisecond).Format("2006-01-02T15:04:05.000Z"), cluster, i, status, details, flags, cluster, cluster, answered, took)
	}
	for range ending {
		flush(ms)
		ms++
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	at, err := f.Seek(0, 1)
	return at, err
}
