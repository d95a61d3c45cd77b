// Command cluster starts a Kubernetes of one node on this machine, for tests. It
// is built from Go modules and Debian packages and needs neither Docker nor an
// image registry. docs/cluster.md says how to use it.
//
// It is not for anything but tests: whoever is root here is its administrator,
// and nothing in it outlives it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/smi-project/smi/test/cluster/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := cli.Command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}
