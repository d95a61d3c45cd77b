//go:build linux

package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// process runs one container's command until its context ends, and starts it
// again when it ends by itself.
type process struct {
	name    string
	command []string
	env     []string
	// grace is how long the process may take to end after SIGTERM.
	grace time.Duration
	// restart tells whether a process that ended well is started again.
	restart func(failed bool) bool
	line    func(string)
	// event reports starts and ends to the pod.
	event func(processEvent)
}

type processEvent struct {
	running bool
	// err says why it does not run; nil where it ended well.
	err error
	// final tells that it will not be started again.
	final bool
}

// The waits between restarts grow from the first to the last, and start over
// after a process has lived for long enough.
const (
	firstBackoff = 500 * time.Millisecond
	lastBackoff  = 30 * time.Second
	longEnough   = 10 * time.Second
)

func (p *process) run(ctx context.Context) {
	backoff := firstBackoff
	for {
		started := time.Now()
		err := p.runOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		final := !p.restart(err != nil)
		p.event(processEvent{err: err, final: final})
		if final {
			return
		}
		if time.Since(started) > longEnough {
			backoff = firstBackoff
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// runOnce starts the command in a process group of its own, so that all of it
// can be ended, and waits for its end.
func (p *process) runOnce(ctx context.Context) error {
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Env = p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", p.name, err)
	}
	p.event(processEvent{running: true})
	ended := make(chan error, 1)
	go func() {
		readLines(output, p.line)
		ended <- cmd.Wait()
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = terminate(cmd.Process.Pid, p.grace, ended)
	}
	// Children that the process left behind end with it.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
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
		return fmt.Errorf("ended by signal %s", status.Signal())
	}
	return fmt.Errorf("exited with status %d", exit.ExitCode())
}

// maxLine bounds one line of a process's output; a longer one is cut in pieces.
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
