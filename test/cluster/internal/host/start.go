package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/network"
	"github.com/smi-project/smi/test/cluster/internal/node"
	"github.com/smi-project/smi/test/cluster/internal/pki"
	"github.com/smi-project/smi/test/cluster/internal/spec"
)

// EnterCommand is the hidden subcommand of this program that becomes the node.
const EnterCommand = "node-enter"

// namespaces are those of the node. The one of control groups is made later:
// see node.Enter.
const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS

// Wish is the cluster that somebody wants.
type Wish struct {
	Name string
	// Cache is the cache of programs, Folders the components' folders in it.
	Cache            string
	Folders          map[string]string
	ControlPlaneOnly bool
}

// Start starts a node and returns when its process 1 runs. The components may
// not be ready yet. The caller holds the lock, and no cluster of that name is
// there.
func (m *Machine) Start(wish Wish) (*State, error) {
	dir, err := m.Dir(wish.Name)
	if err != nil {
		return nil, err
	}
	used, err := usedPrefixes()
	if err != nil {
		return nil, err
	}
	plan, err := network.Allocate(used)
	if err != nil {
		return nil, err
	}
	state := &State{Name: wish.Name, Plan: plan, Folders: wish.Folders, ControlPlaneOnly: wish.ControlPlaneOnly}
	// What was left of the last cluster may have been removed a moment ago.
	if err := errors.Join(m.makeRoot(), m.keepSettings()); err != nil {
		return nil, err
	}
	if err := furnish(dir, state, wish.Cache); err != nil {
		return nil, err
	}
	return state, launch(dir, state)
}

// furnish makes the cluster's folder.
func furnish(dir layout.Dir, state *State, cache string) error {
	// Nobody but root may enter: there are keys inside.
	for _, folder := range []string{string(dir), dir.Config(""), dir.Join("cni"), dir.Logs(), dir.Cache(), dir.VarLib(), dir.VarLog()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("make the cluster's folder: %w", err)
		}
	}
	if err := state.write(dir); err != nil {
		return err
	}
	if err := pki.Write(dir, state.Name, state.Plan); err != nil {
		return err
	}
	cluster := spec.Cluster{Name: state.Name, Plan: state.Plan, Folders: state.Folders, ControlPlaneOnly: state.ControlPlaneOnly}
	if err := cluster.Configure(dir); err != nil {
		return err
	}
	config := node.Config{Name: state.Name, State: dir, Cache: cache, Plan: state.Plan, Processes: cluster.Processes()}
	return config.Write()
}

// launch starts process 1 of the node and links it. Should this process die on
// the way, the node's gate closes and the node ends.
func launch(dir layout.Dir, state *State) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	log, err := os.OpenFile(dir.Log("node"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log of the node: %w", err)
	}
	defer log.Close()
	gate, opener, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	defer gate.Close()
	defer opener.Close()

	cmd := exec.Command(program, EnterCommand, string(dir))
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{gate}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the node in namespaces of its own: %w", err)
	}
	pid := cmd.Process.Pid
	if state.Process, err = identify(pid); err != nil {
		return err
	}
	if err := state.write(dir); err != nil {
		return err
	}
	if err := link(state.Name, pid, state.Plan); err != nil {
		return err
	}
	if _, err := opener.WriteString("go"); err != nil {
		return fmt.Errorf("the node ended at once; see %s: %w", dir.Log("node"), err)
	}
	return cmd.Process.Release()
}
