package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/controller"
	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/sidecar"
)

// controllerFlags are the flags of smi controller.
type controllerFlags struct {
	config      string
	namespace   string
	kubeconfig  string
	leaderElect bool
	logLevel    string
	addresses   controller.Addresses
}

const controllerLong = `Run the mesh's control plane on a Kubernetes cluster. The chart starts it; by hand
it is of use for development, with --kubeconfig.

Every replica serves proxies and signs their certificates (15012), brings new pods
into the mesh (9443), and serves metrics (8080) and health (8081). One of them
writes: conditions of SMI's resources, Events, and the roots of the mesh. Profiles
and dumps are on loopback: /debug/pprof/, /debug/mesh and /debug/proxies of 6060.

docs/configuration.md describes the configuration file.`

// ControllerCommand is smi controller.
func ControllerCommand(app *App) *cobra.Command {
	var f controllerFlags
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run the mesh's control plane on a Kubernetes cluster",
		Long:  controllerLong,
		Example: `  # As the chart does, in a pod
  smi controller --config /etc/smi/config.yaml

  # Against the cluster of a kubeconfig
  smi controller --kubeconfig ~/.kube/config --namespace smi-system`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return app.controller(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "`file` with the configuration; every default without it")
	flags.StringVar(&f.namespace, "namespace", "", "the controller's own namespace (default $POD_NAMESPACE)")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "`file` that says how to reach the cluster, outside of it")
	flags.BoolVar(&f.leaderElect, "leader-elect", true, "agree with other replicas on who writes; without it this one does")
	flags.StringVar(&f.addresses.Control, "listen-control", ":15012", "`address` for xDS and certificates")
	flags.StringVar(&f.addresses.Webhook, "listen-webhook", ":9443", "`address` that the API server calls")
	flags.StringVar(&f.addresses.Metrics, "listen-metrics", ":8080", "`address` for metrics")
	flags.StringVar(&f.addresses.Health, "listen-health", ":8081", "`address` for /healthz and /readyz")
	flags.StringVar(&f.addresses.Debug, "listen-debug", "127.0.0.1:6060", "`address` for profiles and dumps, which belongs on loopback")
	f.logLevel = "info"
	addChoiceFlag(cmd, choice{&f.logLevel, []string{"debug", "info", "warn", "error"}}, false, [2]string{"log-level", ""}, "what is logged")
	return cmd
}

// gcPercent is how much the heap may grow before garbage is collected. Most of a
// controller's heap stays for as long as the mesh does, so room for as much again
// would mostly lie idle. What it costs is processor time in a start, which makes the
// most garbage; after that changes are rare.
const gcPercent = 30

func (a *App) controller(ctx context.Context, f controllerFlags) error {
	if a.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	settings := config.Default()
	if f.config != "" {
		var err error
		if settings, err = config.Load(f.config); err != nil {
			return err
		}
	}
	cluster, err := kube.Connection{Kubeconfig: f.kubeconfig}.Config()
	if err != nil {
		return err
	}
	// Tokens are reviewed as pods start, and status is bounded by itself.
	cluster.QPS, cluster.Burst = 100, 200
	build := readBuildInfo()
	cluster.UserAgent = "smi-controller/" + build.Version
	logger, err := a.serviceLogger(f.logLevel)
	if err != nil {
		return err
	}
	replica := a.Getenv(sidecar.VariablePod)
	if replica == "" {
		if replica, err = os.Hostname(); err != nil {
			return fmt.Errorf("the replica has no name; set %s: %w", sidecar.VariablePod, err)
		}
	}
	if f.namespace == "" {
		f.namespace = a.Getenv(sidecar.VariableNamespace)
	}
	c, err := controller.New(controller.Options{
		Config: settings, Cluster: cluster, Namespace: f.namespace, Replica: replica, LeaderElection: f.leaderElect,
		Version: build.Version, Addresses: f.addresses, Logger: logger,
	})
	if err != nil {
		return err
	}
	logger.Info("starting", "version", build.Version, "namespace", f.namespace, "replica", replica)
	return c.Run(ctx)
}

// serviceLogger logs for machines to read.
func (a *App) serviceLogger(level string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, UsageErrorf("--log-level: %w", err)
	}
	logger := slog.New(slog.NewJSONHandler(a.Err, &slog.HandlerOptions{Level: least}))
	controller.LogTo(logger)
	return logger, nil
}
