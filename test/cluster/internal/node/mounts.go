package node

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/smi-project/smi/test/cluster/internal/cgroup"
	"github.com/smi-project/smi/test/cluster/internal/layout"
)

// mountAll makes the node's view of the file system: the machine's, with its
// own /proc, /sys, /run, /var/lib and /var/log, and the cluster's folder at
// layout.Node. Nothing of it is seen outside.
func mountAll(config Config) error {
	// Read before the old /sys goes out of sight.
	hierarchies, err := cgroup.Hierarchies()
	if err != nil {
		return err
	}
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE); err != nil {
		return err
	}
	// Folders are held open, as what is mounted next may hide their paths.
	folders := map[string]string{}
	for target, source := range map[string]string{
		string(layout.Node): string(config.State),
		layout.Node.Cache(): config.Cache,
	} {
		folder, err := os.Open(source)
		if err != nil {
			return err
		}
		defer folder.Close()
		folders[target] = fmt.Sprintf("/proc/self/fd/%d", folder.Fd())
	}
	for _, step := range []func() error{
		func() error { return mount("proc", "/proc", "proc", 0) },
		func() error { return mount("sysfs", "/sys", "sysfs", 0) },
		func() error { return cgroup.Mount(hierarchies) },
		func() error { return mount("tmpfs", "/run", "tmpfs", 0) },
		func() error { return os.MkdirAll(string(layout.Node), 0o750) },
		func() error { return mount(folders[string(layout.Node)], string(layout.Node), "", unix.MS_BIND) },
		func() error { return mount(folders[layout.Node.Cache()], layout.Node.Cache(), "", unix.MS_BIND) },
		func() error { return mount(layout.Node.VarLog(), "/var/log", "", unix.MS_BIND) },
		func() error { return mount(layout.Node.VarLib(), "/var/lib", "", unix.MS_BIND) },
		// Mounts that a pod's volumes ask to share are shared within the node.
		func() error { return mount("", "/", "", unix.MS_REC|unix.MS_SHARED) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func mount(source, target, kind string, flags uintptr) error {
	if err := unix.Mount(source, target, kind, flags, ""); err != nil {
		return fmt.Errorf("mount %s%s on %s: %w", kind, source, target, err)
	}
	return nil
}
