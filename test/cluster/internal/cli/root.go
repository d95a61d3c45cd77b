package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/test/cluster/internal/build"
	"github.com/smi-project/smi/test/cluster/internal/host"
	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/node"
)

// app is what all commands share.
type app struct {
	name, state, cache, source string
}

// Command is the command cluster.
func Command() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:   "cluster",
		Short: "A Kubernetes of one node on this machine, for tests",
		Long: `A Kubernetes of one node on this machine, for tests. It is built from Go modules
and Debian packages and needs neither Docker nor an image registry. The node runs
in namespaces of its own; cluster down leaves nothing behind but the cache.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.name, "name", "smi", "name of the cluster, and of its node")
	flags.StringVar(&a.state, "state", "", "folder in which clusters live (default $SMI_CLUSTER, else "+layout.DefaultState+")")
	flags.StringVar(&a.cache, "cache", "", "folder in which built programs are kept (default smi/cluster in the user's cache folder)")
	flags.StringVar(&a.source, "source", "", "the folder test/cluster of the checkout (default: looked for)")
	root.AddCommand(a.buildCommand(), a.upCommand(), a.downCommand(), a.statusCommand(), a.loadImageCommand(),
		a.kubeconfigCommand(), a.assetsCommand(), a.pathCommand())
	root.AddCommand(a.orderCommands()...)
	root.AddCommand(nodeCommands()...)
	return root
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "cluster: "+format+"\n", args...)
}

// programs gives the cache, with its flags' defaults.
func (a *app) programs() (*build.Cache, error) {
	cache := &build.Cache{Dir: a.cache, Source: a.source, Progress: say}
	var err error
	if cache.Dir == "" {
		if cache.Dir, err = build.DefaultDir(); err != nil {
			return nil, err
		}
	}
	if cache.Source == "" {
		if cache.Source, err = build.FindSource(); err != nil {
			return nil, err
		}
	}
	if cache.Dir, err = filepath.Abs(cache.Dir); err != nil {
		return nil, fmt.Errorf("--cache %s: %w", a.cache, err)
	}
	if cache.Source, err = filepath.Abs(cache.Source); err != nil {
		return nil, fmt.Errorf("--source %s: %w", a.source, err)
	}
	return cache, nil
}

// machine gives the machine's side, with its flag's default.
func (a *app) machine() (*host.Machine, error) {
	root := a.state
	if root == "" {
		root = os.Getenv("SMI_CLUSTER")
	}
	if root == "" {
		root = layout.DefaultState
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("--state %s: %w", a.state, err)
	}
	// The longest path of a socket is 107 bytes.
	if longest := len(filepath.Join(root, "12345678901", "containerd.sock.ttrpc")); longest > 107 {
		return nil, fmt.Errorf("--state %s: the path is %d bytes too long for the sockets inside", root, longest-107)
	}
	return &host.Machine{Root: root, Progress: say}, nil
}

// running gives the cluster's record and folder, or an error if it does not run.
func (a *app) running() (*host.State, layout.Dir, error) {
	machine, err := a.machine()
	if err != nil {
		return nil, "", err
	}
	dir, err := machine.Dir(a.name)
	if err != nil {
		return nil, "", err
	}
	state, running, err := machine.Find(a.name)
	if err != nil {
		return nil, "", err
	}
	if !running {
		return nil, "", fmt.Errorf("the cluster %s is not up; cluster up starts it", a.name)
	}
	return state, dir, nil
}

// nodeCommands are what this program runs as inside the node.
func nodeCommands() []*cobra.Command {
	const second = "node-run"
	enter := &cobra.Command{
		Use: host.EnterCommand + " FOLDER", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			gate := os.NewFile(3, "gate")
			return node.Enter(layout.Dir(args[0]), gate, "/proc/self/exe", []string{"cluster", second, args[0]})
		},
	}
	run := &cobra.Command{
		Use: second + " FOLDER", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return node.Run(layout.Dir(args[0])) },
	}
	return []*cobra.Command{enter, run}
}

// orderCommands act on one component of a running cluster.
func (a *app) orderCommands() []*cobra.Command {
	var out []*cobra.Command
	for _, order := range []struct{ verb, short string }{
		{"restart", "End a component and start it again; returns when it is ready"},
		{"stop", "End a component and leave it so"},
		{"kill", "End a component without warning and leave it so"},
		{"start", "Start a component that has ended; returns when it is ready"},
	} {
		out = append(out, &cobra.Command{
			Use:   order.verb + " COMPONENT",
			Short: order.short,
			Long:  order.short + ".\nThe components are those that cluster status lists.",
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.order(cmd.Context(), order.verb, args[0])
			},
		})
	}
	return out
}

func (a *app) order(ctx context.Context, verb, component string) error {
	_, dir, err := a.running()
	if err != nil {
		return err
	}
	return node.NewClient(dir).Order(ctx, verb, component)
}
