package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// tools are the programs that the node needs and that do not come from Go
// modules, by the Debian package that holds them.
var tools = map[string]string{
	"runc": "runc",
	"nft":  "nftables",
}

// InstallTools installs the Debian packages of the tools that are not on PATH.
// Where it must not or cannot, the error says what to install.
func (c *Cache) InstallTools(ctx context.Context) error {
	var packages []string
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			packages = append(packages, pkg)
		}
	}
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
	return nil
}
