package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/network"
)

// State is the record of a cluster: what must be known to find and remove it.
type State struct {
	Name string       `json:"name"`
	Plan network.Plan `json:"plan"`
	// Folders are the components' folders in the cache.
	Folders          map[string]string `json:"folders"`
	ControlPlaneOnly bool              `json:"controlPlaneOnly,omitempty"`
	// Process is process 1 of the node.
	Process Process `json:"process"`
}

// Process identifies a process even after its id was given to another.
type Process struct {
	PID int `json:"pid"`
	// Start is when it started, in the kernel's ticks since the machine did.
	Start string `json:"start"`
	// Boot is the machine's start.
	Boot string `json:"boot"`
}

// Machine is where clusters live.
type Machine struct {
	// Root is the folder of all clusters.
	Root string
	// Progress is told in short sentences what happens. Not nil.
	Progress func(format string, args ...any)
	// sysctls is where the kernel's settings are, /proc/sys if empty.
	sysctls string
}

// named bounds names: they are a part of the name of an interface, which has 15
// characters at most, and they name the node.
var named = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,9}[a-z0-9])?$`)

// Dir is the folder of a cluster.
func (m *Machine) Dir(name string) (layout.Dir, error) {
	if !named.MatchString(name) {
		return "", fmt.Errorf("--name %q: a cluster's name has up to 11 lower-case letters, digits and dashes, and starts with a letter", name)
	}
	return layout.Dir(filepath.Join(m.Root, name)), nil
}

// makeRoot makes the folder of all clusters, which goes with the last of them.
func (m *Machine) makeRoot() error {
	if err := os.MkdirAll(m.Root, 0o750); err != nil {
		return fmt.Errorf("make the folder of clusters: %w", err)
	}
	return nil
}

// Lock waits until no other process starts or removes a cluster.
func (m *Machine) Lock() (unlock func(), err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a cluster needs namespaces, mounts and control groups of the machine: run this as root")
	}
	if err := m.makeRoot(); err != nil {
		return nil, err
	}
	// The folder above is there before and after all clusters, so the lock leaves
	// nothing behind.
	above := filepath.Dir(m.Root)
	file, err := os.Open(above)
	if err != nil {
		return nil, fmt.Errorf("lock the folder of clusters: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		m.Progress("another process starts or removes a cluster; waiting for it")
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
			return nil, fmt.Errorf("lock %s: %w", above, err)
		}
	}
	return func() { _ = file.Close() }, nil
}

// Find reads the record of a cluster and tells whether its node runs. There is
// no record, and no error, where there is no cluster.
func (m *Machine) Find(name string) (state *State, running bool, err error) {
	dir, err := m.Dir(name)
	if err != nil {
		return nil, false, err
	}
	text, err := os.ReadFile(dir.State())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the record of the cluster %s: %w", name, err)
	}
	state = &State{}
	if err := json.Unmarshal(text, state); err != nil {
		return nil, false, fmt.Errorf("read the record of the cluster %s, %s: %w; cluster down removes it", name, dir.State(), err)
	}
	return state, state.Process.Alive(), nil
}

// Names lists the clusters that have a folder.
func (m *Machine) Names() ([]string, error) {
	entries, err := os.ReadDir(m.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() && named.MatchString(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

func (s *State) write(dir layout.Dir) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the record of the cluster %s: %w", s.Name, err)
	}
	return os.WriteFile(dir.State(), text, 0o600)
}

// identify records a process that runs.
func identify(pid int) (Process, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Process{}, fmt.Errorf("tell this start of the machine from others: %w", err)
	}
	start, _, err := stat(pid)
	if err != nil {
		return Process{}, fmt.Errorf("tell process %d from others: %w", pid, err)
	}
	return Process{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// Alive tells whether the process still runs. One that is on its way out, which
// takes a node a while, does not.
func (p Process) Alive() bool {
	now, err := identify(p.PID)
	if err != nil || now != p {
		return false
	}
	_, ending, err := stat(p.PID)
	return err == nil && !ending
}

// exiting is the kernel's flag of a process that is ending (PF_EXITING).
const exiting = 0x4

// stat reads when a process started and whether it is ending or has ended. The
// line is "pid (name) state ...", with the flags as the seventh field from the
// state on and the start as the twentieth.
func stat(pid int) (start string, ending bool, err error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false, err
	}
	fields := strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))
	if len(fields) < 20 {
		return "", false, fmt.Errorf("/proc/%d/stat has no start", pid)
	}
	flags, err := strconv.ParseUint(fields[6], 10, 32)
	if err != nil {
		return "", false, fmt.Errorf("/proc/%d/stat: flags: %w", pid, err)
	}
	return fields[19], fields[0] == "Z" || fields[0] == "X" || flags&exiting != 0, nil
}
