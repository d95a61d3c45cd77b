package agent

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// Release is a minor release of Envoy, such as 1.40. The zero value stands for
// one that is not known, and is taken for the newest.
type Release struct{ Major, Minor int }

// Before tells whether the release is older than another.
func (r Release) Before(o Release) bool {
	return r != Release{} && (r.Major < o.Major || r.Major == o.Major && r.Minor < o.Minor)
}

// versionLine is what `envoy --version` prints: commit/version/state/...
var versionLine = regexp.MustCompile(`version: [0-9a-f]+/(\d+)\.(\d+)\.`)

// ReleaseOf asks an Envoy which release it is.
func ReleaseOf(ctx context.Context, binary string) (Release, error) {
	out, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil {
		return Release{}, fmt.Errorf("%s --version: %w", binary, err)
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return Release{}, fmt.Errorf("%s --version says %q, which is no release of Envoy", binary, out)
	}
	major, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return Release{}, err
	}
	minor, err := strconv.Atoi(string(m[2]))
	return Release{major, minor}, err
}
