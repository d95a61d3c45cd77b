// Command smi gives SMI resources their meaning and carries it out on this
// machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/smi-project/smi/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Process(), os.Args[1:], append(commands(), cli.ControllerCommand)...)
	stop()
	os.Exit(code)
}
