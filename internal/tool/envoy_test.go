package tool

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEnvoyOrder(t *testing.T) {
	dir := t.TempDir()
	flag, env, onPath, cached := filepath.Join(dir, "flag", "envoy"), filepath.Join(dir, "env", "envoy"),
		filepath.Join(dir, "path", "envoy"), filepath.Join(dir, "cache", "envoy-"+DefaultEnvoyRelease, "envoy")
	for _, path := range []string{flag, env, onPath, cached} {
		program(t, path)
	}
	tests := []struct {
		name, flag, env, path, cache, want string
	}{
		{"flag", flag, env, filepath.Dir(onPath), filepath.Join(dir, "cache"), flag},
		{"environment", "", env, filepath.Dir(onPath), filepath.Join(dir, "cache"), env},
		{"path", "", "", filepath.Dir(onPath), filepath.Join(dir, "cache"), onPath},
		{"cache", "", "", dir, filepath.Join(dir, "cache"), cached},
		{"a command as the flag", "envoy", env, filepath.Dir(onPath), filepath.Join(dir, "cache"), onPath},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("ENVOY", test.env)
			t.Setenv("PATH", test.path)
			t.Setenv("SMI_TOOLS_DIR", test.cache)
			got, err := Envoy(test.flag)
			if err != nil || got != test.want {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestEnvoyIsMissing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("SMI_TOOLS_DIR", dir)
	tests := []struct{ name, flag, env, want string }{
		{"everywhere", "", "", "make tools"},
		{"where the flag says", dir + "/none", "", "the flag"},
		{"where the environment says", "", dir + "/none", "$ENVOY"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("ENVOY", test.env)
			_, err := Envoy(test.flag)
			if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line that says %q", err, test.want)
			}
		})
	}
}

func TestEnvoyVersion(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SMI_TOOLS_DIR", "")
	t.Setenv("XDG_CACHE_HOME", dir)
	want := filepath.Join(dir, "smi", "tools", "envoy-1.38.3", "envoy")
	program(t, want)
	if got, err := EnvoyVersion("1.38.3"); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := EnvoyVersion("1.37.0"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v for one that is not there", err)
	}
	if _, err := EnvoyVersion("1.20.0"); err == nil || !strings.Contains(err.Error(), "1.40.0") {
		t.Errorf("got %v, want the supported releases", err)
	}
	if err := os.Chmod(want, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := EnvoyVersion("1.38.3"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v for one that cannot be run", err)
	}
}

// TestScriptAgrees keeps the script that fetches and the package that finds
// speaking of the same releases.
func TestScriptAgrees(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../tools/envoy.sh")
	if err != nil {
		t.Fatal(err)
	}
	var pinned []string
	for _, m := range regexp.MustCompile(`(?m)^\s*x86_64-([0-9.]+)\)`).FindAllSubmatch(script, -1) {
		pinned = append(pinned, string(m[1]))
	}
	if !slices.Equal(pinned, EnvoyReleases()) {
		t.Errorf("tools/envoy.sh pins %v, this package supports %v", pinned, EnvoyReleases())
	}
	if !slices.Contains(pinned, DefaultEnvoyRelease) || !strings.Contains(string(script), "default="+DefaultEnvoyRelease+"\n") {
		t.Errorf("tools/envoy.sh has another default than %s", DefaultEnvoyRelease)
	}
}

func program(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}
