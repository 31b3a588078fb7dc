// Package envoy runs an Envoy, for tests and for programs that measure or show something with it: it writes the bootstrap,
// starts the process, finds the ports that Envoy has chosen, and asks its admin interface.
package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"envoy-circuit-breaker/internal/process"
)

// startTimeout is how long Envoy may take to serve, with several plugins to compile on a slow and busy machine.
const startTimeout = 5 * time.Minute

// Options are what an Envoy is started with.
type Options struct {
	Binary     string
	Bootstrap  Bootstrap
	ConfigFile string // used in place of Bootstrap where it is set

	Workers int
	Cores   string   // that it may run on, as taskset(1) lists them; "" is all
	Folder  string   // where it runs, which relative paths in its configuration start from; "" is this process's own
	Flags   []string // more of Envoy's flags, such as log levels
	Env     []string // more of its environment, as KEY=value

	Restart *Restart // nil switches hot restart off, so that Envoys run side by side

	// Stdout and Stderr get Envoy's output if both are set. Otherwise it is kept, for Log.
	Stdout, Stderr io.Writer
}

// A Restart is an Envoy's place in a row of hot restarts: each one takes over the listeners of the one before, which then ends. For that
// their ports have to be given.
type Restart struct {
	BaseID int // the same for all of the row, and only for them
	Epoch  int // 0 is the first
}

// An Envoy is a running one. All methods may be called from several goroutines.
type Envoy struct {
	PID       int
	Listeners map[string]netip.AddrPort // addresses by name
	First     string                    // name of the first listener

	process *process.Process
	folder  string // its files
	log     buffer
	admin   string // address
}

// A StartError tells why an Envoy does not serve.
type StartError struct {
	Err     error
	Refused bool   // Envoy has exited with an error, as it does when it refuses its configuration
	Log     string // "" where Envoy's output was not kept
}

func (e *StartError) Error() string {
	text := fmt.Sprintf("envoy does not serve: %v", e.Err)
	if e.Log != "" {
		text += "; its log:\n" + e.Log
	}
	return text
}

func (e *StartError) Unwrap() error { return e.Err }

// Start starts an Envoy and waits until it serves. The error is a [StartError] if Envoy has run but does not serve.
func Start(ctx context.Context, o Options) (*Envoy, error) {
	folder, err := os.MkdirTemp("", "circuit-breaker-")
	if err != nil {
		return nil, err
	}
	e := &Envoy{folder: folder}
	addressFile := filepath.Join(folder, "admin")
	if err := e.launch(o, addressFile); err != nil {
		return nil, errors.Join(fmt.Errorf("starting envoy: %w", err), os.RemoveAll(folder))
	}
	if err := e.await(ctx, addressFile); err != nil {
		refused := e.Ended() && e.process.Err() != nil
		_ = e.Stop() // which also completes the log
		return nil, &StartError{err, refused, e.Log()}
	}
	return e, nil
}

// launch starts Envoy's process, which writes the address of its admin port to a file.
func (e *Envoy) launch(o Options, addressFile string) error {
	configFile := o.ConfigFile
	if configFile == "" {
		configFile = filepath.Join(e.folder, "envoy.yaml")
		config, err := o.Bootstrap.YAML()
		if err != nil {
			return err
		}
		if err := os.WriteFile(configFile, []byte(config), 0o600); err != nil {
			return err
		}
	}
	command := []string{o.Binary, "--config-path", configFile, "--concurrency", strconv.Itoa(o.Workers),
		"--admin-address-path", addressFile,
		"--file-flush-interval-msec", "50"} // or the access log would lag by up to 10 s
	if o.Restart != nil {
		command = append(command, "--base-id", strconv.Itoa(o.Restart.BaseID), "--restart-epoch", strconv.Itoa(o.Restart.Epoch))
	} else {
		command = append(command, "--disable-hot-restart")
	}
	command = append(command, o.Flags...)
	if o.Cores != "" {
		command = append([]string{"taskset", "--cpu-list", o.Cores}, command...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = o.Folder
	if o.Env != nil {
		cmd.Env = append(os.Environ(), o.Env...)
	}
	cmd.Stdout, cmd.Stderr = &e.log, &e.log
	if o.Stdout != nil && o.Stderr != nil {
		cmd.Stdout, cmd.Stderr = relay{o.Stdout}, relay{o.Stderr}
	}
	var err error
	if e.process, err = process.Start(cmd); err != nil {
		return err
	}
	e.PID = cmd.Process.Pid
	return nil
}

// await polls until Envoy is ready, and learns the ports that it has chosen.
func (e *Envoy) await(ctx context.Context, addressFile string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		address, err := os.ReadFile(addressFile)
		if err == nil {
			e.admin = string(address)
			err = e.findListeners(ctx)
		}
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-e.Done():
			return e.Err()
		}
	}
}

// Done is closed when Envoy has ended, and all its output has been written.
func (e *Envoy) Done() <-chan struct{} { return e.process.Done() }

// Ended reports whether Envoy has ended.
func (e *Envoy) Ended() bool {
	select {
	case <-e.Done():
		return true
	default:
		return false
	}
}

// Err waits until Envoy has ended, and says how it did.
func (e *Envoy) Err() error {
	if err := e.process.Err(); err != nil {
		return fmt.Errorf("envoy has ended by itself: %w", err)
	}
	return errors.New("envoy has ended by itself: exit status 0")
}

// Stop stops Envoy, waits until its process has ended, and removes its files. To stop an ended Envoy is an error, which says
// how it ended.
func (e *Envoy) Stop() error {
	defer os.RemoveAll(e.folder)
	if e.Ended() {
		return e.Err()
	}
	e.process.Stop()
	return nil
}

// Log returns what Envoy has written so far. The plugin's own lines are in it.
func (e *Envoy) Log() string { return e.log.String() }

// A buffer collects the output of a process and can be read while that runs.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A relay hides that a writer is a file, which makes exec pass on output through a pipe. A file would be handed to Envoy, which
// opens its standard output a second time for the access log: when that is a file, the two of us would overwrite each other.
type relay struct{ io.Writer }
