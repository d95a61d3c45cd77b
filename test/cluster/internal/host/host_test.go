package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	m := &Machine{Root: "/clusters"}
	for name, ok := range map[string]bool{
		"smi": true, "a": true, "test-1": true, "elevenchars": true,
		"": false, "Smi": false, "1st": false, "twelve-chars": false, "end-": false, "a/b": false, "..": false, "a_b": false,
	} {
		dir, err := m.Dir(name)
		if ok != (err == nil) {
			t.Errorf("%q: %v", name, err)
		}
		if ok && string(dir) != "/clusters/"+name {
			t.Errorf("%q: folder %s", name, dir)
		}
	}
}

func TestProcessIsKnownAgain(t *testing.T) {
	me, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !me.Alive() {
		t.Errorf("%+v is this process and counts as gone", me)
	}
	for what, other := range map[string]Process{
		"an earlier process of that id":   {PID: me.PID, Start: "1", Boot: me.Boot},
		"a process before the last start": {PID: me.PID, Start: me.Start, Boot: "another"},
		"a process that is not there":     {PID: 1 << 30, Start: me.Start, Boot: me.Boot},
		"no process":                      {},
	} {
		if other.Alive() {
			t.Errorf("%s counts as running", what)
		}
	}
}

func TestNoRecordIsNoCluster(t *testing.T) {
	m := &Machine{Root: t.TempDir()}
	if state, running, err := m.Find("smi"); state != nil || running || err != nil {
		t.Errorf("got %v, %v, %v", state, running, err)
	}
	dir, _ := m.Dir("smi")
	if err := os.Mkdir(string(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir.State(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Find("smi"); err == nil || !strings.Contains(err.Error(), "cluster down removes it") {
		t.Errorf("half a record: %v", err)
	}
}

func TestSettingsArePutBack(t *testing.T) {
	m := &Machine{Root: t.TempDir(), sysctls: t.TempDir()}
	write := func(name, value string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(m.kernel(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.kernel(name), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when, name, want string) {
		t.Helper()
		got, err := os.ReadFile(m.kernel(name))
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %s is %q (%v), want %s", when, name, got, err, want)
		}
	}
	const instances, panics = "fs/inotify/max_user_instances", "kernel/panic"
	write(instances, "128")
	write(panics, "1")
	if err := m.keepSettings(); err != nil {
		t.Fatal(err)
	}
	expect("with a cluster", instances, "1024")
	// As the kubelet does.
	write(panics, "10")
	if err := m.keepSettings(); err != nil {
		t.Fatal(err)
	}
	if err := m.restoreSettings(); err != nil {
		t.Fatal(err)
	}
	expect("after the last cluster", instances, "128")
	expect("after the last cluster", panics, "1")
	if _, err := os.Stat(m.settings()); err == nil {
		t.Errorf("the record %s is still there", m.settings())
	}

	write(instances, "8192")
	if err := m.keepSettings(); err != nil {
		t.Fatal(err)
	}
	expect("where there are enough", instances, "8192")
}
