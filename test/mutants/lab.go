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
	"strings"

	"github.com/smi-project/smi/conformance/report"
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
		return fmt.Errorf("without a mutant the suite fails already, with %s", failed)
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
	if err := l.build(ctx, "smi", "./cmd/smi", "-overlay", overlay); err != nil {
		return "", err
	}
	if killer, err := l.conform(ctx, "--rule", m.rule); killer != "" || err != nil {
		return killer, err
	}
	return l.conform(ctx)
}

// conform runs the suite and returns the first case that failed.
func (l *lab) conform(ctx context.Context, flags ...string) (string, error) {
	args := append([]string{"conformance", "run", "--fail-fast", "-o", "json", "--sample", filepath.Join(l.dir, "sample")}, flags...)
	smi := exec.CommandContext(ctx, filepath.Join(l.dir, "smi"), args...)
	var out, complaints bytes.Buffer
	smi.Stdout, smi.Stderr = &out, &complaints
	failure := smi.Run()
	var got report.Report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		return "", fmt.Errorf("there is no report (%w): %w\n%s", failure, err, complaints.Bytes())
	}
	for _, r := range got.Results {
		if r.Outcome == report.Failed {
			return r.ID, nil
		}
	}
	if failure != nil {
		return "", fmt.Errorf("no case failed, and yet: %w\n%s", failure, complaints.Bytes())
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
