// Sample is one small service that can stand in for any other: it answers every
// request with who it is, what it received and who called, over HTTP/1.1,
// HTTP/2 without TLS, gRPC, WebSocket, plain TCP and UDP, and it can call other
// services. The bookstore example is built of it, and so is whatever else needs
// a workload whose answers tell what a mesh did to a request.
//
// It runs with a mesh and without one. It listens on $POD_IP where that is set,
// reaches others through $HTTP_PROXY and $SMI_UPSTREAM_... where those are set,
// else by their names, and believes the caller's identity that
// x-forwarded-client-cert states, because whoever stands in front of it is
// trusted to have verified it. It never checks a permission itself and keeps no
// state. It calls any address it is told to (/call): a tool for trying things,
// never to be exposed to strangers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "smi-sample:", err)
		os.Exit(1)
	}
}

// run serves until the context ends, then lets what is under way finish.
func run(ctx context.Context, args []string, getenv func(string) string) error {
	cfg, err := parseConfig(args, getenv, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("pod", cfg.who.Pod)
	calls := newCaller(getenv)
	srv := newServer(cfg, calls, log)
	if err := srv.listen(ctx); err != nil {
		return err
	}
	if cfg.control != "" {
		if err := serveControl(ctx, cfg.control, newSender(getenv)); err != nil {
			return err
		}
	}
	var loops sync.WaitGroup
	defer loops.Wait() // The last outcomes are told as well.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, l := range cfg.loops {
		loops.Go(func() { newLoop(l, calls, log).run(ctx, cfg.every, cfg.report) })
	}
	return srv.serve(ctx)
}
