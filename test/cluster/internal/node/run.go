package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/pki"
)

// Run is the second half of the node's start, and the rest of its life: process
// 1 of the node. It returns with an error, or not at all.
func Run(state layout.Dir) error {
	config, err := read(state)
	if err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(config.Name)); err != nil {
		return fmt.Errorf("set the node's name: %w", err)
	}
	if err := mountAll(config); err != nil {
		return err
	}
	if err := setUpLink(config.Plan); err != nil {
		return err
	}
	probe, err := newProber(layout.Node.Certificate(pki.CA))
	if err != nil {
		return err
	}
	s := newSupervisor(config.Processes, probe, slog.New(slog.NewTextHandler(os.Stderr, nil)))

	ctx := context.Background()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go s.reap(ended)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", layout.Node.Control())
	if err != nil {
		return fmt.Errorf("listen for orders: %w", err)
	}
	s.startAll(ctx)
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}
