// Package tool finds the programs that the project runs but does not contain,
// such as Envoy: the flag that named one, the environment, PATH, and last the
// cache that `make tools` fills.
//
// It only looks. It never downloads and never runs anything.
package tool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// EnvoyReleases are the releases of Envoy that the project supports and tests
// with, oldest first.
func EnvoyReleases() []string {
	return []string{"1.37.0", "1.38.3", "1.39.3", "1.40.0"}
}

// DefaultEnvoyRelease is the one that is taken where nobody asks for another:
// the newest.
const DefaultEnvoyRelease = "1.40.0"

// ErrNotFound is what the errors of this package wrap when a program is not
// there. Their text says in one line how to get it.
var ErrNotFound = errors.New("not found")

// Envoy returns the path of an Envoy: the flag's where it is not empty, else
// that of $ENVOY, else the one on PATH, else the default release in the cache.
// The flag and $ENVOY are taken at their word: if what they name cannot be run,
// that is an error, and nothing else is tried.
func Envoy(flag string) (string, error) {
	if flag != "" {
		return named(flag, "the flag")
	}
	if env := os.Getenv("ENVOY"); env != "" {
		return named(env, "$ENVOY")
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return filepath.Abs(path)
	}
	path, err := EnvoyVersion(DefaultEnvoyRelease)
	if err != nil {
		return "", fmt.Errorf("envoy %w on PATH or in the tool cache: run `make tools`, or set ENVOY to the path of an Envoy %s", ErrNotFound, supported())
	}
	return path, nil
}

// EnvoyVersion returns the path of a supported release in the cache.
func EnvoyVersion(version string) (string, error) {
	if !slices.Contains(EnvoyReleases(), version) {
		return "", fmt.Errorf("envoy %s is not a supported release: use one of %s", version, strings.Join(EnvoyReleases(), ", "))
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "envoy-"+version, "envoy")
	if err := executable(path); err != nil {
		return "", fmt.Errorf("envoy %s %w in the tool cache: run `make tools`", version, ErrNotFound)
	}
	return path, nil
}

// named returns the absolute path of what somebody named, either as a path or
// as a command on PATH.
func named(name, by string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("envoy %q, which %s names, %w or not executable: name the path of an Envoy %s", name, by, ErrNotFound, supported())
	}
	return filepath.Abs(path)
}

func supported() string {
	releases := EnvoyReleases()
	return releases[0] + " to " + releases[len(releases)-1]
}

// cacheDir is the folder that tools/envoy.sh fills; the two agree on it.
func cacheDir() (string, error) {
	if dir := os.Getenv("SMI_TOOLS_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "smi", "tools"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("the tool cache has no place: set SMI_TOOLS_DIR: %w", err)
	}
	return filepath.Join(home, ".cache", "smi", "tools"), nil
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fs.ErrPermission
	}
	return nil
}
