//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	hardware "envoy-circuit-breaker/internal/machine"
)

// A machine is what the benchmark runs on.
type machine struct {
	cpu, envoy, golang string

	cores     unix.CPUSet // all that may be used
	envoyCore int         // Envoy has this one to itself
	loadCore  int         // and this one is for load generator and upstream
}

func inspect(envoy string) (*machine, error) {
	m := &machine{golang: strings.TrimPrefix(runtime.Version(), "go"), cpu: hardware.CPU()}
	if err := unix.SchedGetaffinity(0, &m.cores); err != nil {
		return nil, err
	}
	if m.cores.Count() < 2 {
		return nil, errors.New("two cores are needed: one for Envoy, one for the load")
	}
	// The first and the last one are not two threads of one core, unless there is only one core.
	m.loadCore, m.envoyCore = -1, -1
	for core := range maxCores {
		if m.cores.IsSet(core) {
			if m.loadCore < 0 {
				m.loadCore = core
			}
			m.envoyCore = core
		}
	}
	out, err := exec.Command(envoy, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", envoy, err)
	}
	// "PATH  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL"
	_, version, _ := strings.Cut(string(out), "version: ")
	parts := strings.Split(version, "/")
	if len(parts) < 2 {
		return nil, fmt.Errorf("%s --version says %q", envoy, out)
	}
	m.envoy = parts[1]
	return m, nil
}

// maxCores is how many a CPUSet has room for.
const maxCores = 1024

func (m *machine) String() string {
	return fmt.Sprintf("%s, %d cores, Linux; Envoy %s, --concurrency 1, on one core, load generator and upstream on another; Go %s",
		m.cpu, m.cores.Count(), m.envoy, m.golang)
}

// envoyCores is the list, for taskset(1), of Envoy's one core.
func (m *machine) envoyCores() string { return strconv.Itoa(m.envoyCore) }

func (m *machine) allCores() string {
	var list []string
	for core := range maxCores {
		if m.cores.IsSet(core) {
			list = append(list, strconv.Itoa(core))
		}
	}
	return strings.Join(list, ",")
}

// leaveEnvoyAlone keeps this process to the load's core.
func (m *machine) leaveEnvoyAlone() error {
	var one unix.CPUSet
	one.Set(m.loadCore)
	return runOn(&one)
}

// useAllCores undoes that.
func (m *machine) useAllCores() error { return runOn(&m.cores) }

func runOn(cores *unix.CPUSet) error {
	// A thread that starts meanwhile is found the next time.
	for range 3 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, cores); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
	return nil
}

// raiseFileLimit lets this process, and the Envoys that it starts, have as many open files as they may.
func raiseFileLimit() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < manyClusters+2000 {
		return fmt.Errorf("at most %d open files are allowed (ulimit -Hn); %d clusters need a connection each", limit.Max, manyClusters)
	}
	return nil
}
