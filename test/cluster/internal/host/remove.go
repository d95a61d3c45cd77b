package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/smi-project/smi/test/cluster/internal/cgroup"
)

// Remove removes a cluster, running or not: its processes, interface, control
// groups and folder. With the last cluster the kernel's settings are put back.
// The caller holds the lock.
func (m *Machine) Remove(ctx context.Context, name string) error {
	dir, err := m.Dir(name)
	if err != nil {
		return err
	}
	// A record that cannot be read is removed with the rest; the control groups
	// know the processes as well.
	if state, running, err := m.Find(name); err == nil && running {
		if err := end(ctx, state.Process.PID); err != nil {
			return err
		}
	}
	if err := endMembers(ctx, name); err != nil {
		return err
	}
	if err := errors.Join(unlink(name), cgroup.Remove(name)); err != nil {
		return err
	}
	if err := os.RemoveAll(string(dir)); err != nil {
		return fmt.Errorf("remove the cluster's folder: %w", err)
	}
	names, err := m.Names()
	if err != nil || len(names) > 0 {
		return err
	}
	if err := m.restoreSettings(); err != nil {
		return err
	}
	// Whatever else somebody keeps there stays.
	_ = os.Remove(m.Root)
	return nil
}

// Left lists in words what there is of a cluster on this machine.
func (m *Machine) Left(name string) ([]string, error) {
	dir, err := m.Dir(name)
	if err != nil {
		return nil, err
	}
	var out []string
	if _, err := os.Stat(string(dir)); err == nil {
		out = append(out, "folder "+string(dir))
	}
	groups, err := cgroup.Left(name)
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		out = append(out, "control group "+group)
	}
	if _, err := os.Stat("/sys/class/net/" + linkName(name)); err == nil {
		out = append(out, "interface "+linkName(name))
	}
	return out, nil
}

// endMembers ends every process in the cluster's control groups. There are some
// only if the record of the cluster was lost.
func endMembers(ctx context.Context, name string) error {
	pids, err := cgroup.Members(name)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := end(ctx, pid); err != nil {
			return err
		}
	}
	return nil
}

// end kills a process and waits until it is gone. With process 1 of the node go
// all others, and only then is it gone itself.
func end(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Second.Milliseconds()))
		switch {
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("wait for the end of process %d: %w", pid, err)
		case ctx.Err() != nil:
			return fmt.Errorf("process %d does not end: %w", pid, ctx.Err())
		}
	}
}
