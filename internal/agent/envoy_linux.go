package agent

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Run starts Envoy, starts it again with growing pauses whenever it ends, and
// returns nil once the context has ended and Envoy is gone: drained, asked to
// end, and killed should it not. Envoy never outlives this process.
func (e *Envoy) Run(ctx context.Context) error {
	if err := e.checkBinary(); err != nil {
		return fmt.Errorf("Envoy: %w", err)
	}
	pause := firstRestart
	for {
		started := time.Now()
		err := e.runOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		ran := time.Since(started)
		if ran >= stableRun {
			pause = firstRestart
		}
		e.logger().Error("Envoy ended", "error", err, "ran", ran, "restart_in", pause)
		if e.OnExit != nil {
			e.OnExit(Exit{Err: err, Ran: ran, RestartIn: pause})
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		pause = min(2*pause, lastRestart)
	}
}

// runOnce runs one process until it ends by itself or the context has ended and
// the process was stopped. The error tells how it ended.
func (e *Envoy) runOnce(ctx context.Context) error {
	lines := &lineLogger{logger: e.logger()}
	cmd := exec.Command(e.Binary, e.args()...)
	cmd.Stdout, cmd.Stderr = lines, lines
	// Nothing of our environment, which may hold tokens, is Envoy's business.
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// A terminal's interrupt goes to us alone, so that we drain first.
		Setpgid:   true,
		Pdeathsig: syscall.SIGKILL,
	}
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when the thread ends that started the
		// process, so that thread must live as long as the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		ended <- cmd.Wait()
	}()
	if err := <-started; err != nil {
		return err
	}
	select {
	case err := <-ended:
		return lines.explain(err)
	case <-ctx.Done():
		return e.stop(context.WithoutCancel(ctx), cmd.Process.Pid, ended)
	}
}

// stop ends a running process and all of its group.
func (e *Envoy) stop(ctx context.Context, pid int, ended <-chan error) error {
	if e.DrainTime > 0 {
		e.drain(ctx)
	}
	timeout := e.StopTimeout
	if timeout == 0 {
		timeout = defaultStopTimeout
	}
	signalGroup(pid, syscall.SIGTERM)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
	}
	e.logger().Warn("Envoy did not end in time and is killed", "waited", timeout)
	signalGroup(pid, syscall.SIGKILL)
	return <-ended
}

// signalGroup signals a process group; one that is gone already is fine.
func signalGroup(pid int, signal syscall.Signal) { _ = syscall.Kill(-pid, signal) }

func ownedBySelf(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
