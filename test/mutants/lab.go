package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// lab is where mutants are made: the root of the source, and a folder for what is
// built.
type lab struct{ root, dir string }

func newLab(ctx context.Context) (*lab, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOMOD: %w", err)
	}
	dir, err := os.MkdirTemp("", "smi-mutants-")
	if err != nil {
		return nil, err
	}
	l := &lab{root: filepath.Dir(strings.TrimSpace(string(out))), dir: dir}
	if err := l.build(ctx, "sample", "./examples/sample"); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return l, nil
}

func (l *lab) close() { _ = os.RemoveAll(l.dir) }

func (l *lab) build(ctx context.Context, name, pkg string, flags ...string) error {
	args := append([]string{"build", "-o", filepath.Join(l.dir, name)}, flags...)
	build := exec.CommandContext(ctx, "go", append(args, pkg)...)
	build.Dir = l.root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// baseline sees that the suite passes where nothing is broken: else every mutant
// would seem to be noticed.
func (l *lab) baseline(ctx context.Context) error {
	if err := l.build(ctx, "smi", "./cmd/smi"); err != nil {
		return err
	}
	failed, err := l.conform(ctx)
	if err != nil {
		return fmt.Errorf("without a mutant: %w", err)
	}
	if failed != "" {
		return fmt.Errorf("without a mutant the suite fails already, first with %s", failed)
	}
	return nil
}

// judge returns the case that noticed the mutant, "" where none did. The cases of
// the rule that is broken go first, as they should be the ones.
func (l *lab) judge(ctx context.Context, m mutant) (string, error) {
	overlay, err := m.overlay(l.root, l.dir)
	if err != nil {
		return "", err
	}
	if err := l.build(ctx, "smi", "./cmd/smi", "-ldflags=-s -w", "-overlay", overlay); err != nil {
		return "", err
	}
	if killer, err := l.conform(ctx, "--rule", m.rule); killer != "" || err != nil {
		return killer, err
	}
	return l.conform(ctx)
}

// noMesh tells that no case was judged, since the mesh did not come up.
type noMesh struct{ reason string }

func (e *noMesh) Error() string { return "the mesh does not come up: " + e.reason }

// failedCase is the line that smi prints as soon as a case has failed.
var failedCase = regexp.MustCompile(`(?m)^ *\d+/\d+ +FAILED +([\w.-]+): `)

// exitNoMesh is what smi conformance run exits with where the mesh cannot be run.
const exitNoMesh = 2

// endTime is how long a mesh may take to end where it is told to.
const endTime = 30 * time.Second

// conform runs the suite and returns the case that failed first, in time, and ""
// where none did. The error is a *noMesh where nothing could be judged.
func (l *lab) conform(ctx context.Context, flags ...string) (string, error) {
	args := append([]string{"conformance", "run", "--fail-fast", "--sample", filepath.Join(l.dir, "sample")}, flags...)
	smi := exec.CommandContext(ctx, filepath.Join(l.dir, "smi"), args...)
	// What is killed leaves its Envoys behind; what is told to end takes them along.
	smi.Cancel = func() error { return smi.Process.Signal(syscall.SIGTERM) }
	smi.WaitDelay = endTime
	var out, complaints bytes.Buffer
	smi.Stdout, smi.Stderr = &out, &complaints
	failure := smi.Run()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if first := failedCase.FindSubmatch(out.Bytes()); first != nil {
		return string(first[1]), nil
	}
	if exit := new(exec.ExitError); errors.As(failure, &exit) && exit.ExitCode() == exitNoMesh {
		return "", &noMesh{strings.TrimSpace(complaints.String())}
	}
	if failure != nil {
		return "", fmt.Errorf("no case failed, and yet: %w\n%s%s", failure, out.Bytes(), complaints.Bytes())
	}
	return "", nil
}

// overlay writes the changed file, and the JSON that tells the compiler of it.
func (m mutant) overlay(root, dir string) (string, error) {
	changed, err := m.apply(root)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): file}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}

// apply is the mutant's file with its one change.
func (m mutant) apply(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s has %q %d times: a mutant changes one place", m.file, m.old, n)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}
