package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// touched are the kernel's settings that no namespace keeps apart. The kubelet
// sets all but the first; this program only puts them back.
var touched = []string{
	"fs/inotify/max_user_instances",
	"vm/overcommit_memory",
	"vm/panic_on_oom",
	"kernel/panic",
	"kernel/panic_on_oops",
	"kernel/keys/root_maxkeys",
	"kernel/keys/root_maxbytes",
}

// watchers is how many inotify instances a user may have at least: every Envoy
// takes some, and the kernel's default is 128.
const watchers = 1024

// settings is the file that remembers them.
func (m *Machine) settings() string { return filepath.Join(m.Root, "settings.json") }

// kernel is the file of one setting.
func (m *Machine) kernel(name string) string {
	if m.sysctls == "" {
		return filepath.Join("/proc/sys", name)
	}
	return filepath.Join(m.sysctls, name)
}

// keepSettings records the kernel's settings, unless another cluster did, and
// raises the limit of inotify instances.
func (m *Machine) keepSettings() error {
	if _, err := os.Stat(m.settings()); err == nil {
		return m.raiseWatchers()
	}
	kept := map[string]string{}
	for _, name := range touched {
		value, err := os.ReadFile(m.kernel(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the setting %s: %w", name, err)
		}
		kept[name] = strings.TrimSpace(string(value))
	}
	text, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the kernel's settings: %w", err)
	}
	if err := os.WriteFile(m.settings(), text, 0o600); err != nil {
		return fmt.Errorf("keep the kernel's settings: %w", err)
	}
	return m.raiseWatchers()
}

func (m *Machine) raiseWatchers() error {
	file := m.kernel(touched[0])
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if now, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && now >= watchers {
		return nil
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(watchers)), 0o600); err != nil {
		return fmt.Errorf("raise %s to %d: %w", file, watchers, err)
	}
	return nil
}

// restoreSettings puts the kernel's settings back and forgets them.
func (m *Machine) restoreSettings() error {
	text, err := os.ReadFile(m.settings())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("put the kernel's settings back: %w", err)
	}
	kept := map[string]string{}
	if err := json.Unmarshal(text, &kept); err != nil {
		return fmt.Errorf("put the kernel's settings back: %s: %w", m.settings(), err)
	}
	var errs []error
	for _, name := range touched {
		if value, ok := kept[name]; ok {
			errs = append(errs, os.WriteFile(m.kernel(name), []byte(value), 0o600))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("put the kernel's settings back: %w", err)
	}
	return os.Remove(m.settings())
}
