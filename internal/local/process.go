//go:build linux

package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process runs one container's command until its context ends, and starts it
// again when it ends by itself.
type process struct {
	command []string
	env     []string
	// grace is how long the process may take to end after SIGTERM.
	grace time.Duration
	// backoff is the wait before the first restart; see firstBackoff.
	backoff time.Duration
	// restart tells whether a process that ended is started again.
	restart func(failed bool) bool
	// line takes a line of what the process prints.
	line func(string)
	// event is told of starts and ends, one after the other. An end that was
	// asked for is not told.
	event func(processEvent)
}

// processEvent says that a process has started, or that it has ended by itself.
type processEvent struct {
	running bool
	// err says why it does not run; nil where it ended well.
	err error
	// final tells that it will not be started again, restartIn when it will.
	final     bool
	restartIn time.Duration
}

// The waits between restarts double from the first to the last, and start over
// after a process has lived for long enough.
const (
	firstBackoff = 500 * time.Millisecond
	lastBackoff  = 30 * time.Second
	longEnough   = 10 * time.Second
)

// run returns once the process is gone and will not be started again.
func (p *process) run(ctx context.Context) {
	backoff := p.backoff
	for {
		started := time.Now()
		err := p.runOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > longEnough {
			backoff = p.backoff
		}
		final := !p.restart(err != nil)
		p.event(processEvent{err: err, final: final, restartIn: backoff})
		if final {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// lastWords is how long a process that has ended may take to hand over what it
// printed: one of its children may still hold the pipe.
const lastWords = 200 * time.Millisecond

// runOnce starts the command in a process group of its own, so that all of it
// can be ended, and waits for its end.
func (p *process) runOnce(ctx context.Context) error {
	output, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = output.Close() }()
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when the thread ends that started the
		// process, so that thread must live as long as the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		_ = write.Close()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("cannot be started: %w", err)
	}
	p.event(processEvent{running: true})
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		readLines(output, p.line)
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = terminate(cmd.Process.Pid, p.grace, ended)
	}
	// Children that the process left behind end with it.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = output.SetReadDeadline(time.Now().Add(lastWords))
	<-printed
	return describeExit(err)
}

// terminate asks a process group to end and kills it when it does not.
func terminate(pid int, grace time.Duration, ended <-chan error) error {
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case err := <-ended:
		return err
	case <-time.After(grace):
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		return <-ended
	}
}

func describeExit(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Errorf("was ended by signal %q", status.Signal())
	}
	return fmt.Errorf("exited with status %d", exit.ExitCode())
}

// maxLine bounds one line of a process's output, in bytes; a longer one is cut
// in pieces.
const maxLine = 16 << 10

func readLines(r io.Reader, line func(string)) {
	reader := bufio.NewReaderSize(r, maxLine)
	for {
		text, _, err := reader.ReadLine()
		if len(text) > 0 || err == nil {
			line(string(text))
		}
		if err != nil {
			return
		}
	}
}
