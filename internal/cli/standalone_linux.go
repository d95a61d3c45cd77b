package cli

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/local"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/tool"
)

// Standalone are the commands of the standalone runtime, which runs on Linux.
func Standalone() []Command { return []Command{demoCommand, requestCommand, runCommand} }

// runFlags are the flags of smi run.
type runFlags struct {
	paths     []string
	exec      []string
	envoy     string
	admin     string
	metrics   string
	accessLog string
	ttl       time.Duration
	plain     bool
	verbose   bool
}

const runLong = `Run the pods of Kubernetes manifests as processes of this machine, each behind an
Envoy of its own, and enforce the SMI policy among them: mutual TLS, access by
TrafficTargets and nothing else, traffic shared by TrafficSplits.

Reads Deployment, StatefulSet, DaemonSet, Job, Pod, ServiceAccount, Service,
EndpointSlice, Namespace and the SMI kinds, and follows changes of the files.
Containers run their command; --exec says which local command stands for an
image. A process finds in its environment:

  POD_IP                  where it must listen
  HTTP_PROXY, NO_PROXY    its sidecar, for HTTP to other services by their names
  SMI_UPSTREAM_<SERVICE>_<NAMESPACE>_<PORT>
                          its sidecar's address for one port of a Service, for
                          gRPC, TCP and other clients that take no proxy

Ctrl-C stops everything that was started. This does not protect against other
processes of this machine, which can go around the sidecars.`

func runCommand(app *App) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run -f PATH...",
		Short: "Run a mesh on this machine, without a cluster",
		Long:  runLong,
		Example: `  # The bookstore, with a local program in place of its image
  smi run -f examples/bookstore --exec smi-sample=bin/smi-sample

  # One's own manifests; then, elsewhere, send requests through a sidecar
  smi run -f deploy/ --exec registry.example.org/shop/web=./web
  smi request --from shop/web http://ledger.bank:8080/accounts`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return app.run(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.paths, "filename", "f", nil, "files or folders to read and to follow; - is the standard input")
	flags.StringArrayVar(&f.exec, "exec", nil, "IMAGE=COMMAND: the local command that stands for an image")
	flags.StringVar(&f.envoy, "envoy", "", "path of Envoy; $ENVOY, the PATH and the tool cache are tried otherwise")
	flags.StringVar(&f.admin, "admin", "", "admin socket of this mesh (default $SMI_ADMIN or "+local.DefaultAdminSocket()+")")
	flags.StringVar(&f.accessLog, "access-log", "", "file that sidecars write a line of JSON to per request and connection, such as /dev/stderr")
	flags.DurationVar(&f.ttl, "certificate-ttl", 24*time.Hour, "how long certificates live; they are renewed at two thirds of it")
	flags.BoolVar(&f.plain, "plain", false, "print lines, and no live table, on a terminal too")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print what the runtime itself does")
	f.metrics = "als"
	addChoiceFlag(cmd, choice{&f.metrics, []string{"als", "stats"}}, false, [2]string{"metrics", ""},
		"how sidecars report requests: als (access log service) or stats (Envoy's stats access logger, which shows no shares here)")
	_ = cmd.MarkFlagRequired("filename")
	return cmd
}

func (a *App) run(ctx context.Context, f runFlags) error {
	config, err := a.Config()
	if err != nil {
		return err
	}
	commands, err := local.ParseCommands(f.exec)
	if err != nil {
		return UsageErrorf("--exec: %w", err)
	}
	binary, err := tool.Envoy(f.envoy)
	if err != nil {
		return err
	}
	screen := newScreen(a, f.plain)
	options := local.Options{
		Paths: f.paths, Commands: commands, Envoy: binary, AdminSocket: f.admin, Compile: config,
		CertificateTTL: f.ttl, AccessLog: f.accessLog, Line: screen.line,
	}
	if f.metrics == "stats" {
		options.Metrics = envoy.Stats
	}
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	options.Logger = slog.New(&lineHandler{line: screen.line, level: level, source: "smi"})
	rt, err := local.New(options)
	if err != nil {
		return err
	}
	showing, stop := context.WithCancel(ctx)
	defer stop()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		screen.show(showing, rt)
	}()
	err = rt.Run(ctx)
	stop()
	<-shown
	return err
}
