package plane

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Process runs until it is stopped or the test ends. Its log is shown if the test has failed.
type Process struct {
	Name    string
	Log     Output
	Stop    func() // asks it to end, and kills it and whatever it has left after a minute at most
	command *exec.Cmd
	ended   chan struct{}
}

// An Output is what a process has written.
type Output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *Output) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Output) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Start starts a program that make has built. It gets a process group of its own.
func Start(t *testing.T, name string, command *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Name: name, command: command, ended: make(chan struct{})}
	command.Stdout, command.Stderr = &p.Log, &p.Log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatalf("%s: %v; run the tests by make, which builds it", name, err)
	}
	go func() {
		command.Wait()
		close(p.ended)
	}()
	p.Stop = sync.OnceFunc(func() {
		command.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(time.Minute):
			t.Errorf("%s does not stop", name)
		}
		syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // and whatever it has left
		if t.Failed() {
			t.Logf("the log of %s:\n%s", name, p.Log.String())
		}
	})
	t.Cleanup(p.Stop)
	return p
}

// Logged is an error unless the process has logged a text.
func (p *Process) Logged(text string) error {
	if !strings.Contains(p.Log.String(), text) {
		return fmt.Errorf("%s has not logged %q", p.Name, text)
	}
	return nil
}

// Memory returns the resident memory of the process, in MB.
func (p *Process) Memory(t *testing.T) (mb int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, err := fmt.Sscanf(line, "VmRSS: %d kB", &mb); n == 1 && err == nil {
			return mb / 1024
		}
	}
	t.Fatalf("no VmRSS in %s", text)
	return 0
}

// Await polls until there is no error, for four minutes: it takes a busy machine one to compile the plugin. It fails the test at once when
// one of the processes has ended by itself; those that are nil do not run yet.
func Await(t *testing.T, what string, condition func() error, processes ...*Process) {
	t.Helper()
	deadline := time.Now().Add(4 * time.Minute)
	for {
		err := condition()
		if err == nil {
			return
		}
		for _, p := range processes {
			if p == nil {
				continue
			}
			select {
			case <-p.ended:
				t.Fatalf("waiting for %s: %s has ended", what, p.Name)
			default:
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
