package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// recipe is a part of every key: a change of how programs are built makes
// programs that were built otherwise invisible.
const recipe = "CGO_ENABLED=0 -trimpath -s -w 1"

// Cache is a folder of built programs, one folder per version of a component.
type Cache struct {
	// Dir is the root of the cache.
	Dir string
	// Source is the folder of this module, which holds components/.
	Source string
	// Progress is told in short sentences what takes time. Not nil.
	Progress func(format string, args ...any)
}

// DefaultDir is smi/cluster in the user's cache folder.
func DefaultDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the user's cache folder is not known, set HOME or XDG_CACHE_HOME: %w", err)
	}
	return filepath.Join(base, "smi", "cluster"), nil
}

// FindSource looks for the folder of this module: upwards from the working
// folder, then upwards from the program's own file.
func FindSource() (string, error) {
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if file, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(file))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			for _, source := range []string{dir, filepath.Join(dir, "test", "cluster")} {
				if _, err := os.Stat(filepath.Join(source, "components", "kubernetes", "go.mod")); err == nil {
					return source, nil
				}
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("test/cluster/components is not above the working folder: run this inside the checkout, or give --source")
}

// Folders gives the folder of each named component in the cache, whether it is
// built or not. Without names it gives all.
func (c *Cache) Folders(ctx context.Context, names ...string) (map[string]string, error) {
	version, err := goVersion(ctx, c.Source)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, component := range components {
		if len(names) > 0 && !slices.Contains(names, component.Name) {
			continue
		}
		key, err := c.key(component, version)
		if err != nil {
			return nil, err
		}
		out[component.Name] = filepath.Join(c.Dir, component.Name+"-"+key)
	}
	return out, nil
}

// key changes with everything that a component's programs depend on.
func (c *Cache) key(component Component, goVersion string) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, recipe, goVersion, runtime.GOARCH, component)
	for _, name := range []string{"go.mod", "go.sum"} {
		file := filepath.Join(c.module(component), name)
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("%s is a part of the checkout and cannot be read: %w", file, err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(content), content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

func (c *Cache) module(component Component) string {
	return filepath.Join(c.Source, "components", component.Name)
}

// goVersion asks the go command that would build, which need not be the one
// that built this program.
func goVersion(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go env GOVERSION: %w; is Go installed and on PATH?", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}
