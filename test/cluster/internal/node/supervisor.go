package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/spec"
)

// Phase is how far a component is.
type Phase string

// Phases of a component.
const (
	// Waiting is for others that it needs.
	Waiting Phase = "waiting"
	// Starting is running and not yet ready.
	Starting Phase = "starting"
	Ready    Phase = "ready"
	// Stopped is ended because somebody asked for it.
	Stopped Phase = "stopped"
	// Exited is ended without being asked for.
	Exited Phase = "exited"
)

// Status is what is known about a component.
type Status struct {
	Name  string    `json:"name"`
	Phase Phase     `json:"phase"`
	PID   int       `json:"pid,omitempty"`
	Since time.Time `json:"since"`
	// Reason says how an exited component ended.
	Reason string `json:"reason,omitempty"`
}

// child is a component and its process.
type child struct {
	spec.Process
	status Status
	// gone is closed when the process has ended. Nil while there is none.
	gone chan struct{}
	// stopping tells that its end was asked for.
	stopping bool
}

// supervisor runs the components. As process 1 it also reaps every process of
// the node that has lost its parent.
type supervisor struct {
	log   *slog.Logger
	probe *prober

	mu       sync.Mutex
	children []*child
	// changed is closed and made anew at every change of a phase.
	changed chan struct{}
}

func newSupervisor(processes []spec.Process, probe *prober, log *slog.Logger) *supervisor {
	s := &supervisor{log: log, probe: probe, changed: make(chan struct{})}
	for _, process := range processes {
		status := Status{Name: process.Name, Phase: Waiting, Since: time.Now()}
		s.children = append(s.children, &child{Process: process, status: status})
	}
	return s
}

// statuses tells how the components are, in their order.
func (s *supervisor) statuses() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Status, len(s.children))
	for i, c := range s.children {
		out[i] = c.status
	}
	return out
}

func (s *supervisor) find(name string) (*child, error) {
	for _, c := range s.children {
		if c.Name == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no component is called %q; see cluster status", name)
}

// startAll starts every component once those that it needs are ready.
func (s *supervisor) startAll(ctx context.Context) {
	for _, c := range s.children {
		go func() {
			if err := s.start(ctx, c); err != nil {
				s.log.Error("component", "name", c.Name, "err", err)
			}
		}()
	}
}

// start starts a component and returns when it is ready.
func (s *supervisor) start(ctx context.Context, c *child) error {
	for _, name := range c.After {
		if err := s.await(ctx, name); err != nil {
			return fmt.Errorf("%s needs %s: %w", c.Name, name, err)
		}
	}
	gone, err := s.spawn(c)
	if err != nil {
		return err
	}
	ready, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-gone:
			cancel()
		case <-ready.Done():
		}
	}()
	if err := s.probe.await(ready, c.Ready); err != nil {
		return fmt.Errorf("%s ended before it was ready; see %s", c.Name, layout.Node.Log(c.Name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.status.Phase == Starting {
		s.set(c, Ready, "")
	}
	return nil
}

// await waits until a component is ready. That it has ended is an error.
func (s *supervisor) await(ctx context.Context, name string) error {
	c, err := s.find(name)
	if err != nil {
		return err
	}
	for {
		s.mu.Lock()
		now, changed := c.status.Phase, s.changed
		s.mu.Unlock()
		switch now {
		case Ready:
			return nil
		case Stopped, Exited:
			return fmt.Errorf("it is %s; start it first", now)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("it is %s: %w", now, ctx.Err())
		}
	}
}

// set changes the phase. The caller holds the lock.
func (s *supervisor) set(c *child, phase Phase, reason string) {
	c.status.Phase, c.status.Reason, c.status.Since = phase, reason, time.Now()
	close(s.changed)
	s.changed = make(chan struct{})
	s.log.Info("component", "name", c.Name, "phase", phase, "pid", c.status.PID, "reason", reason)
}

// spawn starts the process. The lock is held meanwhile, so that the reaper does
// not hear of the end of a process that it does not know yet.
func (s *supervisor) spawn(c *child) (gone <-chan struct{}, err error) {
	log, err := os.OpenFile(layout.Node.Log(c.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", c.Name, err)
	}
	defer log.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.gone != nil {
		return nil, fmt.Errorf("%s is running already", c.Name)
	}
	env := os.Environ()
	if c.Search != "" {
		// Of two values of a variable the first counts.
		env = append([]string{"PATH=" + c.Search + ":" + os.Getenv("PATH")}, env...)
	}
	pid, err := syscall.ForkExec(c.Path, append([]string{c.Name}, c.Args...), &syscall.ProcAttr{
		Dir:   "/",
		Env:   env,
		Files: []uintptr{0, log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		s.set(c, Exited, err.Error())
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	c.gone, c.stopping, c.status.PID = make(chan struct{}), false, pid
	s.set(c, Starting, "")
	return c.gone, nil
}

// grace is how long a component may take to end by itself. An API server with
// open watches would take a minute.
const grace = 5 * time.Second

// stop ends a component and returns when it has ended.
func (s *supervisor) stop(ctx context.Context, c *child) error {
	gone := s.signal(c, syscall.SIGTERM)
	if gone == nil {
		return nil
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-gone:
		return nil
	case <-timer.C:
		s.log.Info("component does not end by itself", "name", c.Name)
		return s.kill(ctx, c)
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w", c.Name, ctx.Err())
	}
}

// kill ends a component without warning and returns when it has ended.
func (s *supervisor) kill(ctx context.Context, c *child) error {
	gone := s.signal(c, syscall.SIGKILL)
	if gone == nil {
		return nil
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w", c.Name, ctx.Err())
	}
}

// signal asks a component to end, and gives what is closed when it has. It is
// nil if the component is not running.
func (s *supervisor) signal(c *child, signal syscall.Signal) (gone <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.gone == nil {
		return nil
	}
	c.stopping = true
	// The process is there: only the reaper, which needs the lock, lets it go.
	if err := syscall.Kill(c.status.PID, signal); err != nil {
		s.log.Error("signal", "name", c.Name, "err", err)
	}
	return c.gone
}

// reap takes in everything that has ended, each time children is told.
func (s *supervisor) reap(children <-chan os.Signal) {
	for range children {
		for s.reapOne() {
		}
	}
}

func (s *supervisor) reapOne() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var status unix.WaitStatus
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
	if err == unix.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	for _, c := range s.children {
		if c.gone == nil || c.status.PID != pid {
			continue
		}
		close(c.gone)
		c.gone, c.status.PID = nil, 0
		if c.stopping {
			s.set(c, Stopped, "")
		} else {
			s.set(c, Exited, describe(status))
		}
	}
	return true
}

func describe(status unix.WaitStatus) string {
	if status.Signaled() {
		return "killed by signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
