package cgroup

import "testing"

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       Hierarchy
		ok         bool
	}{
		{"a controller of version 1", "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
			Hierarchy{Mount: "/sys/fs/cgroup/memory", Options: "memory"}, true},
		{"two in one", "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct",
			Hierarchy{Mount: "/sys/fs/cgroup/cpu,cpuacct", Options: "cpu,cpuacct"}, true},
		{"none, but a name", "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd",
			Hierarchy{Mount: "/sys/fs/cgroup/systemd", Options: "name=systemd"}, true},
		{"version 2", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate",
			Hierarchy{Mount: "/sys/fs/cgroup", Unified: true}, true},
		{"version 2 beside version 1", "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
			Hierarchy{Mount: "/sys/fs/cgroup/unified", Unified: true}, true},
		{"another file system", "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755", Hierarchy{}, false},
		{"elsewhere", "99 23 0:32 / /mnt/cgroup rw - cgroup cgroup rw,memory", Hierarchy{}, false},
		{"cut off", "35 31 0:32 /", Hierarchy{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := parse(c.line)
			if ok != c.ok || got != c.want {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

func TestOnlyVersion2AloneKeepsProcessesOutOfParents(t *testing.T) {
	for mount, want := range map[string]bool{"/sys/fs/cgroup": true, "/sys/fs/cgroup/unified": false} {
		if got := (Hierarchy{Mount: mount, Unified: true}).whole(); got != want {
			t.Errorf("%s: got %v", mount, got)
		}
	}
}
