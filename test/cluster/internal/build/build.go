package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Ensure builds the programs of the named components that are not in the
// cache, and gives the folder of each component. Without names it builds all.
// Two processes that build at once do not build the same twice.
func (c *Cache) Ensure(ctx context.Context, names ...string) (map[string]string, error) {
	folders, err := c.Folders(ctx, names...)
	if err != nil {
		return nil, err
	}
	if missing := c.missing(folders); len(missing) == 0 {
		return folders, nil
	}
	unlock, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, component := range components {
		folder, wanted := folders[component.Name]
		if !wanted {
			continue
		}
		if err := c.component(ctx, component, folder); err != nil {
			return nil, err
		}
	}
	return folders, nil
}

// missing lists files that are to be built.
func (c *Cache) missing(folders map[string]string) []string {
	var out []string
	for _, component := range components {
		folder, wanted := folders[component.Name]
		for _, program := range component.Programs {
			if wanted && !exists(filepath.Join(folder, program.File)) {
				out = append(out, program.File)
			}
		}
	}
	return out
}

// lock waits until no other process builds into this cache.
func (c *Cache) lock() (unlock func(), err error) {
	if err := os.MkdirAll(c.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the cache: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		c.Progress("another process is building; waiting for it")
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
	}
	return func() { _ = file.Close() }, nil
}

// component builds what is missing of one component: the first program alone,
// as it may be the one that tests wait for, then the others at once.
func (c *Cache) component(ctx context.Context, component Component, folder string) error {
	version, err := c.moduleVersion(ctx, component)
	if err != nil {
		return err
	}
	var missing []Program
	for _, program := range component.Programs {
		if !exists(filepath.Join(folder, program.File)) {
			missing = append(missing, program)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := c.compile(ctx, component, missing[:1], folder, version); err != nil {
		return err
	}
	return c.compile(ctx, component, missing[1:], folder, version)
}

// compile builds programs of one component into a folder of its own and moves
// the finished files, so that a file in the cache is always whole.
func (c *Cache) compile(ctx context.Context, component Component, programs []Program, folder, version string) error {
	if len(programs) == 0 {
		return nil
	}
	files := make([]string, len(programs))
	packages := make([]string, len(programs))
	for i, program := range programs {
		files[i], packages[i] = program.File, program.Package
	}
	c.Progress("building %s %s", strings.Join(files, ", "), version)
	begin := time.Now()
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("make the cache of %s: %w", component.Name, err)
	}
	scratch, err := os.MkdirTemp(folder, "building-")
	if err != nil {
		return fmt.Errorf("make the cache of %s: %w", component.Name, err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()

	flags := "-s -w"
	for _, variable := range component.Variables {
		flags += " -X " + variable + "=" + version
	}
	args := []string{"build", "-mod=readonly", "-trimpath", "-tags=" + component.Tags, "-ldflags=" + flags, "-o", scratch + "/"}
	if err := c.goIn(ctx, c.module(component), append(args, packages...)...); err != nil {
		return fmt.Errorf("build %s: %w", strings.Join(files, ", "), err)
	}
	for _, program := range programs {
		if err := os.Rename(filepath.Join(scratch, outputName(program.Package)), filepath.Join(folder, program.File)); err != nil {
			return fmt.Errorf("build %s: %w", program.File, err)
		}
	}
	c.Progress("built %s in %s", strings.Join(files, ", "), time.Since(begin).Round(time.Second))
	return nil
}

// moduleVersion is the version that the component's go.mod pins.
func (c *Cache) moduleVersion(ctx context.Context, component Component) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-mod=readonly", "-m", "-f", "{{.Version}}", component.Module)
	cmd.Dir = c.module(component)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s/go.mod does not say the version of %s: %w", cmd.Dir, component.Module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// goIn runs the go command in a folder, at low priority: a build takes minutes
// and people go on working meanwhile.
func (c *Cache) goIn(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "nice", append([]string{"go"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", args[0], dir, err, lastLines(output.String(), 20))
	}
	return nil
}

// outputName is how the go command names the program of a main package: by the
// last part of its path that is not a major version.
func outputName(pkg string) string {
	parts := strings.Split(pkg, "/")
	last := parts[len(parts)-1]
	if len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		return parts[len(parts)-2]
	}
	return last
}

// lastLines shortens the output of a program to its end, where errors stand.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
