package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apt is a state of apt's own for one architecture: what is offered, and nothing
// of what is installed.
type apt struct {
	arch, dir string
}

// newApt asks the machine's package sources what they offer for arch. The state
// lies in dir, which must be empty.
func newApt(ctx context.Context, arch, dir string) (*apt, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, errors.New("apt-get is not here, and Debian's packages are fetched with it: build images on Debian, or on a system of its kind")
	}
	a := &apt{arch: arch, dir: dir}
	for _, folder := range []string{"state/lists/partial", "cache/archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil { //nolint:gosec // apt fetches as a user of its own
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "status"), nil, 0o644); err != nil { //nolint:gosec // the same
		return nil, err
	}
	if _, err := a.run(ctx, "apt-get", "update"); err != nil {
		return nil, fmt.Errorf("asking what Debian's packages are for %s: %w", arch, err)
	}
	return a, nil
}

// offered returns the version of a package that an installation would take now.
func (a *apt) offered(ctx context.Context, name string) (string, error) {
	out, err := a.run(ctx, "apt-cache", "policy", name+":"+a.arch)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		version, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate: ")
		if ok && version != "(none)" {
			return version, nil
		}
	}
	return "", fmt.Errorf("the package sources of this machine offer no %s for %s", name, a.arch)
}

// download fetches a version of a package and returns the path of its file.
func (a *apt) download(ctx context.Context, name, version string) (string, error) {
	if _, err := a.run(ctx, "apt-get", "download", name+":"+a.arch+"="+version); err != nil {
		return "", err
	}
	// Its name ends in the architecture, or in "all".
	files, err := filepath.Glob(filepath.Join(a.dir, "packages", name+"_*.deb"))
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", fmt.Errorf("fetching %s %s for %s left %d files instead of one", name, version, a.arch, len(files))
	}
	return files[0], nil
}

// run runs a program of apt's with the private state, and returns what it prints.
func (a *apt) run(ctx context.Context, program string, args ...string) (string, error) {
	settings := []string{
		"Dir::State=" + filepath.Join(a.dir, "state"),
		"Dir::State::status=" + filepath.Join(a.dir, "status"),
		"Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"APT::Architecture=" + a.arch,
		"APT::Architectures::=" + a.arch,
		// The lists of packages are enough: no translations, no descriptions for app stores.
		"Acquire::Languages=none",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"Acquire::Retries=3",
		"APT::Update::Error-Mode=any",
	}
	all := []string{"-q"}
	for _, setting := range settings {
		all = append(all, "-o", setting)
	}
	cmd := exec.CommandContext(ctx, program, append(all, args...)...)
	cmd.Dir = filepath.Join(a.dir, "packages")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, args[0], err, lastLine(errs.String()))
	}
	return out.String(), nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
