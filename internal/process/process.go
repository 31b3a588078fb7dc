// Package process runs a child process that does not outlive its parent.
package process

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// grace is how long a process may take to end by itself after SIGTERM.
const grace = 10 * time.Second

// A Process is a running child. All methods may be called from several goroutines.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // why it ended; set before done is closed
}

// Start starts cmd in a process group of its own, so that a Ctrl-C at the terminal reaches the parent only, which can then
// end the child in order. On Linux the child is killed when the parent dies, however that comes about.
func Start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = attributes()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux takes the death of the thread that started a child for the death of its parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Done is closed when the process has ended and all its output has been written.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the process to end and says how it did: nil for exit status 0, as exec.Cmd.Wait does.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Stop asks the process to end, kills it when it does not, and waits until it has ended. To stop an ended process does
// nothing.
func (p *Process) Stop() {
	// An error means that it has ended already.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}
