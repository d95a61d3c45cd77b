package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/smi-project/smi/internal/agent/accesslog"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/mesh"
)

// CertificateSource turns a certificate signing request into a certificate: the
// CA itself in the standalone runtime, the control plane over gRPC on a cluster.
type CertificateSource = identity.CertificateSource

// Config is what an agent needs to know.
type Config struct {
	TrustDomain string
	// Pod is the pod that the agent serves, ServiceAccount its account in the
	// same namespace, Workload its owner, such as a Deployment.
	Pod            mesh.Name
	ServiceAccount string
	Workload       string
	// Source issues the certificate.
	Source CertificateSource
	// XDSAddress is the xDS server's "host:port".
	XDSAddress string
	// Dir is an absolute path: the directory of sockets and bootstrap, made
	// where it is missing, for one pod and this user alone.
	Dir string
	// MaxConnections bounds the open connections; 0 means DefaultMaxConnections.
	MaxConnections int64
	// Envoy says how to run it. BootstrapPath and AdminSocket are the agent's
	// to set; a nil Logger means the agent's.
	Envoy Envoy
	// Sink takes the access log; nil means that nobody wants it.
	Sink accesslog.Sink
	// Logger is the agent's; nil means that nobody reads it.
	Logger *slog.Logger
}

// Agent serves one pod.
type Agent struct {
	cfg     Config
	account mesh.Account
	logger  *slog.Logger
	keeper  *identity.Keeper
	secrets *secrets
	envoy   Envoy
	// level is that of Envoy's log, where it was changed.
	level atomic.Pointer[string]
}

// New checks the configuration and makes an agent; Run starts it.
func New(cfg Config) (*Agent, error) {
	if cfg.Source == nil {
		return nil, errors.New("agent: a certificate source is needed")
	}
	a := &Agent{cfg: cfg, account: mesh.Account{Namespace: cfg.Pod.Namespace, Name: cfg.ServiceAccount}, logger: cfg.Logger, secrets: newSecrets()}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	if a.cfg.Sink == nil {
		a.cfg.Sink = accesslog.SinkFunc(func(*accesslog.Entry) {})
	}
	a.keeper = identity.NewKeeper(cfg.Source, a.logger)
	a.envoy = cfg.Envoy
	a.level.Store(&cfg.Envoy.LogLevel)
	a.envoy.level = func() string { return *a.level.Load() }
	a.envoy.BootstrapPath = filepath.Join(cfg.Dir, "bootstrap.json")
	a.envoy.AdminSocket = AdminSocket(cfg.Dir)
	if a.envoy.Logger == nil {
		a.envoy.Logger = a.logger.With("process", "envoy")
	}
	// What is wrong with the bootstrap is known before anything runs.
	if _, err := Bootstrap(a.bootstrapConfig()); err != nil {
		return nil, fmt.Errorf("agent of %s: %w", cfg.Pod, err)
	}
	return a, nil
}

func (a *Agent) bootstrapConfig() BootstrapConfig {
	return BootstrapConfig{
		Pod: a.cfg.Pod, Workload: a.cfg.Workload, ServiceAccount: a.cfg.ServiceAccount,
		XDSAddress: a.cfg.XDSAddress, XDSServer: mesh.PrincipalOf(a.cfg.TrustDomain, identity.XDSAccount),
		AgentSocket: a.socket(), AdminSocket: a.envoy.AdminSocket, MaxConnections: a.cfg.MaxConnections,
	}
}

func (a *Agent) socket() string { return filepath.Join(a.cfg.Dir, "agent.sock") }

// Admin returns a client of the Envoy's admin interface; its Ready tells when
// the pod can serve.
func (a *Agent) Admin() *Admin { return NewAdmin(a.envoy.AdminSocket) }

// SetLogLevel changes the level of Envoy's log, which may be any of Envoy's own. An
// Envoy that is started again has it too. The error is that the running one could not
// be told.
func (a *Agent) SetLogLevel(ctx context.Context, level string) error {
	a.level.Store(&level)
	_, err := a.Admin().Post(ctx, "/logging?level="+level)
	return err
}

// Identity returns the certificate that the pod has, nil where it has none yet,
// and why the last attempt to get another one failed, nil where it did not.
func (a *Agent) Identity() (*identity.SVID, error) { return a.keeper.State() }

// Renew asks for a new certificate, and new roots with it, as after a change of
// the roots.
func (a *Agent) Renew() { a.keeper.Renew() }

// Run serves the pod until the context ends: it waits for the first
// certificate, serves it, and runs Envoy. It returns nil once Envoy is gone.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.run(ctx); err != nil {
		return fmt.Errorf("agent of %s: %w", a.cfg.Pod, err)
	}
	return nil
}

func (a *Agent) run(ctx context.Context) error {
	if err := prepareDir(a.cfg.Dir); err != nil {
		return err
	}
	// Whatever fails ends the rest; and while Envoy drains, the rest goes on.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	group.Go(func() error { return a.keeper.Run(serving) })
	group.Go(func() error {
		defer stop()
		running, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(serving, cancel)()
		return a.serve(running, serving, group)
	})
	return group.Wait()
}

// serve runs Envoy until running ends; what Envoy needs lives as long as
// serving.
func (a *Agent) serve(running, serving context.Context, group *errgroup.Group) error {
	svid, err := a.keeper.Wait(running)
	if err != nil {
		if running.Err() != nil && serving.Err() == nil {
			return nil // Stopped before there was anything to serve.
		}
		return err
	}
	if want := mesh.PrincipalOf(a.cfg.TrustDomain, a.account); svid.Principal != want {
		return fmt.Errorf("the certificate is for %s, not for %s", svid.Principal, want)
	}
	if err := a.secrets.publish(svid); err != nil {
		return err
	}
	listener, err := listen(a.socket())
	if err != nil {
		return err
	}
	server := grpc.NewServer(accesslog.ServerOptions()...)
	a.secrets.register(serving, server, a.logger)
	accesslog.NewService(a.local(), a.cfg.Sink).Register(server)
	group.Go(func() error { return server.Serve(listener) })
	group.Go(func() error { return a.secrets.follow(serving, a.keeper) })
	// The streams of a dead Envoy end by themselves; nothing is waited for.
	defer server.Stop()

	config := a.bootstrapConfig()
	if config.Release, err = ReleaseOf(running, a.envoy.Binary); err != nil {
		return fmt.Errorf("Envoy: %w", err)
	}
	content, err := Bootstrap(config)
	if err != nil {
		return err
	}
	if err := writeFile(a.envoy.BootstrapPath, content); err != nil {
		return fmt.Errorf("Envoy bootstrap: %w", err)
	}
	return a.envoy.Run(running)
}

func (a *Agent) local() accesslog.Local {
	return accesslog.Local{TrustDomain: a.cfg.TrustDomain, Pod: a.cfg.Pod, Account: a.account, Workload: a.cfg.Workload}
}
