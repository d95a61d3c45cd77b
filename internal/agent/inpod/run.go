package inpod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/smi-project/smi/internal/agent"
	"github.com/smi-project/smi/internal/agent/accesslog"
	"github.com/smi-project/smi/internal/certify"
)

// Pod is a running agent.
type Pod struct {
	options  *Options
	agent    *agent.Agent
	metrics  *accesslog.Metrics
	app      *dialer
	restarts atomic.Int64
	// draining tells that the pod's end was announced, stopping that the sidecar is
	// being stopped itself.
	draining, stopping atomic.Bool
}

// New checks the options and makes an agent; Run starts it.
func New(options *Options) (*Pod, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	p := &Pod{options: options, metrics: accesslog.NewMetrics(0), app: newDialer(options.Addresses, options.Delivery)}
	var err error
	p.agent, err = agent.New(agent.Config{
		TrustDomain: options.Settings.TrustDomain, Pod: options.Pod, ServiceAccount: options.ServiceAccount, Workload: options.Settings.Workload,
		Source: &certify.Client{
			Address: options.Settings.Controller, TrustDomain: options.Settings.TrustDomain,
			TokenPath: options.TokenPath, RootsPath: options.RootsPath,
		},
		XDSAddress: options.Settings.Controller, Dir: options.Dir, Sink: p.metrics, Logger: options.Logger,
		Envoy: agent.Envoy{
			Binary: options.Envoy, DrainTime: options.DrainTime, LogLevel: envoyLevel(options.Level.Level()),
			// An Envoy that dies is started again, and what it needs is still there:
			// only this pod notices, and it keeps its certificate and its counts.
			OnExit: func(agent.Exit) { p.restarts.Add(1) },
		},
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Run serves the pod until the context ends, drains, and returns nil.
func (p *Pod) Run(ctx context.Context) error {
	if err := os.MkdirAll(p.options.Dir, 0o700); err != nil {
		return fmt.Errorf("agent directory: %w", err)
	}
	// What is asked of the sidecar is answered until Envoy has drained.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	for _, s := range []struct {
		network, address string
		handler          http.Handler
	}{
		{"tcp", p.options.Metrics, p.scrapes()},
		{"tcp", p.options.Health, p.health()},
		{"tcp", p.options.Probes, newProber(p.options.Settings, p.app)},
		{"unix", ControlSocket(p.options.Dir), p.control()},
	} {
		listener, err := listen(ctx, s.network, s.address)
		if err != nil {
			return errors.Join(err, stopped(stop, group))
		}
		group.Go(func() error { return serve(serving, listener, s.handler, writeTimeout) })
	}
	group.Go(func() error {
		p.followRoots(serving)
		return nil
	})
	defer context.AfterFunc(ctx, func() { p.stopping.Store(true) })()
	group.Go(func() error {
		defer stop()
		running, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(serving, cancel)()
		return p.agent.Run(running)
	})
	return group.Wait()
}

func stopped(stop func(), group *errgroup.Group) error {
	stop()
	return group.Wait()
}

// ControlSocket is the path of the socket by which the agent is spoken with from
// within its container.
func ControlSocket(dir string) string { return filepath.Join(dir, "control.sock") }

func listen(ctx context.Context, network, address string) (net.Listener, error) {
	if network == "unix" {
		if err := os.Remove(address); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("agent: %w", err)
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	return listener, nil
}

// Bounds of what a caller can take of the agent.
const (
	headerTimeout = 5 * time.Second
	// writeTimeout is how long an answer may take from the end of a request, so that
	// who does not read it gives back what he holds.
	writeTimeout = 30 * time.Second
	idleTimeout  = 2 * time.Minute
	maxHeader    = 16 << 10
)

// serve serves HTTP until the context ends. No answer takes longer than write,
// unless its handler wants it.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, write time.Duration) error {
	server := &http.Server{
		Handler: handler, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: write, IdleTimeout: idleTimeout,
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("agent: serve on %s: %w", listener.Addr(), err)
	}
	return nil
}

// followRoots asks for a new certificate whenever the file with the roots has
// changed: the mesh is changing its roots then.
func (p *Pod) followRoots(ctx context.Context) {
	ticker := time.NewTicker(p.options.RootsInterval)
	defer ticker.Stop()
	var last []byte
	for {
		if now, err := os.ReadFile(p.options.RootsPath); err == nil && !bytes.Equal(now, last) {
			if last != nil {
				p.options.Logger.Info("the roots of the mesh have changed")
				p.agent.Renew()
			}
			last = now
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
