package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/smi-project/smi/test/cluster/internal/cgroup"
	"github.com/smi-project/smi/test/cluster/internal/layout"
)

// Enter is the first half of the node's start. The process is in new namespaces
// already, but for that of control groups: its root is the group that a process
// is in when it is made. So Enter joins the cluster's groups, makes the
// namespace and becomes program with args. It waits at gate until the machine's
// side is ready, and returns only with an error.
func Enter(state layout.Dir, gate *os.File, program string, args []string) error {
	config, err := read(state)
	if err != nil {
		return err
	}
	if err := cgroup.Join(config.Name); err != nil {
		return err
	}
	opened, err := io.ReadAll(gate)
	if err != nil {
		return fmt.Errorf("wait for the machine's side: %w", err)
	}
	if len(opened) == 0 {
		return errors.New("the machine's side gave up")
	}
	// A namespace belongs to a thread. The one that replaces the program keeps its own.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a control group namespace: %w", err)
	}
	return unix.Exec(program, args, os.Environ())
}
