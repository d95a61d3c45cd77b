package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// root is where the hierarchies are mounted.
const root = "/sys/fs/cgroup"

// parent holds the groups of all clusters, in each hierarchy.
const parent = "smi-cluster"

// Hierarchy is one mounted tree of control groups.
type Hierarchy struct {
	// Mount is where it is mounted, always below /sys/fs/cgroup.
	Mount string
	// Unified tells version 2.
	Unified bool
	// Options are what a hierarchy of version 1 is mounted with: its controllers.
	Options string
}

// Hierarchies lists what this process sees mounted.
func Hierarchies() ([]Hierarchy, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list the control groups of this machine: %w", err)
	}
	defer file.Close()
	var out []Hierarchy
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		if h, ok := parse(scanner.Text()); ok {
			out = append(out, h)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no control groups are mounted below " + root)
	}
	return out, scanner.Err()
}

// parse reads a line of mountinfo: what comes before " - " has the mount point
// as its fifth field, what comes after is type, source and options.
func parse(line string) (Hierarchy, bool) {
	front, back, _ := strings.Cut(line, " - ")
	fields, rest := strings.Fields(front), strings.Fields(back)
	if len(fields) < 5 || len(rest) < 3 || !strings.HasPrefix(fields[4], root) {
		return Hierarchy{}, false
	}
	options := slices.DeleteFunc(strings.Split(rest[2], ","), func(o string) bool { return o == "rw" || o == "ro" })
	switch rest[0] {
	case "cgroup2":
		return Hierarchy{Mount: fields[4], Unified: true}, true
	case "cgroup":
		return Hierarchy{Mount: fields[4], Options: strings.Join(options, ",")}, true
	}
	return Hierarchy{}, false
}

// whole tells a machine that has version 2 only. Its processes must not be in
// groups that have children.
func (h Hierarchy) whole() bool { return h.Unified && h.Mount == root }

// Join moves this process into the cluster's groups, which it makes.
func Join(name string) error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		group := filepath.Join(h.Mount, parent, name)
		if err := os.MkdirAll(group, 0o750); err != nil {
			return fmt.Errorf("make the control group %s: %w", group, err)
		}
		for _, folder := range []string{filepath.Dir(group), group} {
			if err := h.prepare(folder); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0o600); err != nil {
			return fmt.Errorf("enter the control group %s: %w", group, err)
		}
	}
	return nil
}

// prepare makes a new group usable: in version 1 a cpuset starts without any
// processor, in version 2 controllers are passed on one level at a time.
func (h Hierarchy) prepare(group string) error {
	above := filepath.Dir(group)
	if h.whole() {
		return passControllers(above)
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(above, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(group, file), value, 0o600) //nolint:gosec // the path is made of the kernel's list of mounts and a cluster's name
		}
		if err != nil {
			return fmt.Errorf("prepare the control group %s: %w", group, err)
		}
	}
	return nil
}

// passControllers lets the groups below a group of version 2 use all controllers.
func passControllers(group string) error {
	controllers, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("read the controllers of %s: %w", group, err)
	}
	for _, controller := range strings.Fields(string(controllers)) {
		file := filepath.Join(group, "cgroup.subtree_control")
		err := os.WriteFile(file, []byte("+"+controller), 0o600) //nolint:gosec // the path is made of the kernel's list of mounts and a cluster's name
		if err != nil {
			return fmt.Errorf("pass the controller %s of %s on: %w", controller, group, err)
		}
	}
	return nil
}

// Mount mounts the hierarchies anew, below a sysfs that was mounted anew. The
// caller is in a control group namespace, so that its own group is the root of
// what it then sees.
func Mount(hierarchies []Hierarchy) error {
	if !slices.ContainsFunc(hierarchies, Hierarchy.whole) {
		if err := unix.Mount("tmpfs", root, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", root, err)
		}
	}
	for _, h := range hierarchies {
		if err := os.MkdirAll(h.Mount, 0o750); err != nil {
			return fmt.Errorf("mount %s: %w", h.Mount, err)
		}
		kind := "cgroup"
		if h.Unified {
			kind = "cgroup2"
		}
		if err := unix.Mount(kind, h.Mount, kind, 0, h.Options); err != nil {
			return fmt.Errorf("mount %s (%s): %w", h.Mount, h.Options, err)
		}
		if !h.whole() {
			continue
		}
		// The root of the node's tree is a group like any other for the machine,
		// so processes must leave it before it can have children.
		leaf := filepath.Join(h.Mount, "components")
		if err := os.Mkdir(leaf, 0o750); err != nil {
			return fmt.Errorf("make the control group of the components: %w", err)
		}
		if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0o600); err != nil {
			return fmt.Errorf("enter the control group of the components: %w", err)
		}
		if err := passControllers(h.Mount); err != nil {
			return err
		}
	}
	return nil
}

// Left lists the cluster's groups that exist.
func Left(name string) ([]string, error) {
	hierarchies, err := Hierarchies()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, h := range hierarchies {
		group := filepath.Join(h.Mount, parent, name)
		if _, err := os.Stat(group); err == nil {
			out = append(out, group)
		}
	}
	return out, nil
}

// Remove removes the cluster's groups, in which no process may be left, and the
// group above them when it was the last cluster.
func Remove(name string) error {
	groups, err := Left(name)
	if err != nil {
		return err
	}
	for _, group := range groups {
		if err := removeTree(group); err != nil {
			return fmt.Errorf("remove the control group: %w", err)
		}
		// Fails while other clusters have groups there.
		_ = os.Remove(filepath.Dir(group))
	}
	return nil
}

// removeTree removes groups from the leaves up. Files in them cannot be removed
// and need not be.
func removeTree(group string) error {
	entries, err := os.ReadDir(group)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(group, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(group)
}

// Members lists the processes in the cluster's groups, by the ids that this
// process sees them under.
func Members(name string) ([]int, error) {
	groups, err := Left(name)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, group := range groups {
		tree, err := os.OpenRoot(group)
		if err != nil {
			return nil, fmt.Errorf("list the processes in %s: %w", group, err)
		}
		defer tree.Close()
		err = fs.WalkDir(tree.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "cgroup.procs" {
				return err
			}
			text, err := tree.ReadFile(path)
			for _, field := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !slices.Contains(out, pid) {
					out = append(out, pid)
				}
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list the processes in %s: %w", group, err)
		}
	}
	return out, nil
}
