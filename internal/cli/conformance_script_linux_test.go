package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakeSMI plays smi for the script: it writes what a run writes, and notes how it
// was called.
const fakeSMI = `#!/bin/sh
echo "$2" >>"$CALLS"
case $2 in
keygen) touch "$4/conformance.key" "$4/conformance.pub" ;;
run) mkdir -p "$4"; for f in report.json report.dsse.json report.yaml junit.xml index.html; do echo new >"$4/$f"; done ;;
matrix) for last; do :; done; echo new >"$last" ;;
esac
`

// runConformanceScript runs tools/conformance.sh in dir with a folder, and returns
// the exit code, what smi was called for, and what was said.
func runConformanceScript(t *testing.T, dir, folder string) (int, string, string) {
	t.Helper()
	script, err := filepath.Abs("../../tools/conformance.sh")
	if err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir()
	smi, calls := filepath.Join(tools, "smi"), filepath.Join(tools, "calls")
	if err := os.WriteFile(smi, []byte(fakeSMI), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", script, folder, "the tests")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "SMI="+smi, "CALLS="+calls)
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	called, err := os.ReadFile(calls)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), strings.Join(strings.Fields(string(called)), " "), string(said)
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The script writes to a folder that is its own, seen from where it is called.
func TestConformanceScriptWrites(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{"new/out", "new/out/", filepath.Join(dir, "new", "out"), "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, "empty"), 0o700); err != nil {
			t.Fatal(err)
		}
		code, called, said := runConformanceScript(t, dir, folder)
		if code != 0 || called != "keygen run verify matrix matrix" {
			t.Fatalf("%s: exit code %d after %q: %s", folder, code, called, said)
		}
	}
	for _, file := range []string{"new/out/standalone/report.json", "new/out/matrix.json", "empty/index.html"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
}

// Nothing is lost from a folder that is somebody's.
func TestConformanceScriptSparesWhatIsNotItsOwn(t *testing.T) {
	for _, file := range []string{"notes.txt", ".hidden", "standalone/notes.txt", "standalone/deep/report.json", "other/report.json", "index.html/page"} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "out", file), "precious")
		put(t, filepath.Join(dir, "out", "matrix.json"), "old")
		code, called, said := runConformanceScript(t, dir, "out")
		if code != 2 || called != "" || !strings.Contains(said, "is not to be lost") {
			t.Errorf("%s: exit code %d after %q: %s", file, code, called, said)
		}
		for name, want := range map[string]string{file: "precious", "matrix.json": "old"} {
			if got, err := os.ReadFile(filepath.Join(dir, "out", name)); err != nil || string(got) != want {
				t.Errorf("%s beside %s: %q, %v", name, file, got, err)
			}
		}
	}

	// A link leads to somebody else's folder.
	dir := t.TempDir()
	put(t, filepath.Join(dir, "theirs", "report.json"), "precious")
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "theirs"), filepath.Join(dir, "out", "standalone")); err != nil {
		t.Fatal(err)
	}
	if code, called, said := runConformanceScript(t, dir, "out"); code != 2 || called != "" {
		t.Errorf("a link: exit code %d after %q: %s", code, called, said)
	}
	if code, called, said := runConformanceScript(t, dir, "theirs/report.json"); code != 2 || called != "" {
		t.Errorf("a file: exit code %d after %q: %s", code, called, said)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "theirs", "report.json")); err != nil || string(got) != "precious" {
		t.Errorf("what the link leads to: %q, %v", got, err)
	}
}
