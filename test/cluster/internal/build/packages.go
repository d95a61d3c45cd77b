package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// tool is a program that the node needs and that does not come from Go modules.
type tool struct {
	file string
	// pkg is the Debian package that holds it.
	pkg string
}

var tools = []tool{{"runc", "runc"}, {"nft", "nftables"}}

// missingTools lists the packages of the tools that are not on PATH.
func missingTools() []string {
	var packages []string
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.file); err != nil {
			packages = append(packages, tool.pkg)
		}
	}
	return packages
}

// InstallTools installs the Debian packages of the tools that are not on PATH.
// Where it must not or cannot, the error says what to install.
func (c *Cache) InstallTools(ctx context.Context) error {
	packages := missingTools()
	if len(packages) == 0 {
		return nil
	}
	command := "apt-get install -y --no-install-recommends " + strings.Join(packages, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%s must be installed on this machine (on Debian: %s)", strings.Join(packages, " and "), command)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s must be installed on this machine; as root: %s", strings.Join(packages, " and "), command)
	}
	c.Progress("installing the Debian packages %s", strings.Join(packages, ", "))
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w (apt-get update may help)\n%s", command, err, lastLines(output.String(), 10))
	}
	if still := missingTools(); len(still) > 0 {
		return fmt.Errorf("the programs of %s are installed and not on PATH: add /usr/sbin to it", strings.Join(still, " and "))
	}
	return nil
}
