package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/test/cluster/internal/build"
	"github.com/smi-project/smi/test/cluster/internal/host"
	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/node"
)

func (a *app) buildCommand() *cobra.Command {
	var controlPlaneOnly bool
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Bring everything that the cluster needs into the cache",
		Long: `Bring everything that the cluster needs into the cache, without starting anything.
The first time takes a quarter of an hour on two cores. Debian packages that are
missing are installed, which needs root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cache, err := a.programs()
			if err != nil {
				return err
			}
			_, err = assemble(cmd.Context(), cache, controlPlaneOnly)
			return err
		},
	}
	cmd.Flags().BoolVar(&controlPlaneOnly, "control-plane-only", false, "build what up --control-plane-only needs")
	return cmd
}

func (a *app) downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the cluster and remove everything of it",
		Long: `End the cluster and remove everything of it: processes, mounts, network, control
groups and data. It works as well on what a crash has left. The cache stays.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			machine, err := a.machine()
			if err != nil {
				return err
			}
			unlock, err := machine.Lock()
			if err != nil {
				return err
			}
			defer unlock()
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
			defer cancel()
			return machine.Remove(ctx, a.name)
		},
	}
}

// report is what status prints.
type report struct {
	Name             string        `json:"name"`
	PID              int           `json:"pid"`
	Kubeconfig       string        `json:"kubeconfig"`
	Logs             string        `json:"logs"`
	Node             string        `json:"node"`
	Host             string        `json:"host"`
	Pods             string        `json:"pods"`
	Services         string        `json:"services"`
	ControlPlaneOnly bool          `json:"controlPlaneOnly"`
	Components       []node.Status `json:"components"`
}

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how the cluster is; fails unless every component is ready",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, dir, err := a.running()
			if err != nil {
				return err
			}
			components, err := node.NewClient(dir).Status(cmd.Context())
			if err != nil {
				return err
			}
			r := describe(state, dir, components)
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				err = encoder.Encode(r)
			} else {
				err = r.print(cmd)
			}
			return errors.Join(err, unready(components, nil))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func describe(state *host.State, dir layout.Dir, components []node.Status) report {
	return report{
		Name: state.Name, PID: state.Process.PID,
		Kubeconfig: dir.Kubeconfig(), Logs: dir.Logs(),
		Node:     state.Plan.Node.V4.Addr().String() + "," + state.Plan.Node.V6.Addr().String(),
		Host:     state.Plan.Host.V4.Addr().String() + "," + state.Plan.Host.V6.Addr().String(),
		Pods:     state.Plan.Pods.String(),
		Services: state.Plan.Services.String(), ControlPlaneOnly: state.ControlPlaneOnly,
		Components: components,
	}
}

func (r report) print(cmd *cobra.Command) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "cluster\t%s\nkubeconfig\t%s\nlogs\t%s\n", r.Name, r.Kubeconfig, r.Logs)
	fmt.Fprintf(w, "node\t%s\nmachine, seen from pods\t%s\npods\t%s\nservices\t%s\n", r.Node, r.Host, r.Pods, r.Services)
	fmt.Fprintf(w, "enter the node\tnsenter -a -t %d\n\n", r.PID)
	for _, c := range r.Components {
		age := time.Since(c.Since).Round(time.Second)
		fmt.Fprintf(w, "%s\t%s\tfor %s\t%s\n", c.Name, c.Phase, age, c.Reason)
	}
	return w.Flush()
}

func (a *app) loadImageCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "load-image FILE...",
		Short: "Load images into the node from OCI or docker archives",
		Long: `Load images into the node from OCI or docker archives (tar). Pods then use them by
their names, with imagePullPolicy IfNotPresent or Never. Images of other
architectures in an archive are left out.`,
		Example: `  cluster load-image dist/images/smi.tar dist/images/smi-proxy.tar`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			state, dir, err := a.running()
			if err != nil {
				return err
			}
			if state.ControlPlaneOnly {
				return fmt.Errorf("the cluster %s has its control plane only: no pod could use an image", a.name)
			}
			for _, file := range files {
				out, err := load(cmd.Context(), dir, state, file)
				if err != nil {
					return err
				}
				fmt.Fprint(cmd.OutOrStdout(), out)
			}
			return nil
		},
	}
}

// load imports one archive and gives what the import says.
func load(ctx context.Context, dir layout.Dir, state *host.State, file string) (string, error) {
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("load the image: %w", err)
	}
	out, err := build.LoadCommand(ctx, state.Folders, dir.Containerd(), file).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("load %s: %w\n%s", file, err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

func (a *app) kubeconfigCommand() *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use:     "kubeconfig",
		Short:   "Print the path of the administrator's kubeconfig",
		Example: `  export KUBECONFIG=$(cluster kubeconfig)`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, dir, err := a.running()
			if err != nil {
				return err
			}
			if !raw {
				fmt.Fprintln(cmd.OutOrStdout(), dir.Kubeconfig())
				return nil
			}
			text, err := os.ReadFile(dir.Kubeconfig())
			if err != nil {
				return fmt.Errorf("read the kubeconfig: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "print the kubeconfig itself")
	return cmd
}

func (a *app) assetsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "assets",
		Short: "Print a folder with etcd, kube-apiserver and kubectl, built if need be",
		Long: `Print a folder with etcd, kube-apiserver and kubectl, which are built if need be.
Tests with controller-runtime's envtest take it as KUBEBUILDER_ASSETS. Needs no root.`,
		Example: `  export KUBEBUILDER_ASSETS=$(cluster assets)`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cache, err := a.programs()
			if err != nil {
				return err
			}
			folders, err := cache.Ensure(cmd.Context(), build.ControlPlane...)
			if err != nil {
				return err
			}
			assets, err := cache.Assets(folders)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), assets)
			return nil
		},
	}
}

func (a *app) pathCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "path",
		Short:   "Print the folders of built programs, as PATH takes them (kubectl, helm, ctr)",
		Example: `  export PATH=$(cluster path):$PATH`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cache, err := a.programs()
			if err != nil {
				return err
			}
			names := []string{"kubernetes", "helm", "containerd"}
			folders, err := cache.Ensure(cmd.Context(), names...)
			if err != nil {
				return err
			}
			var out []string
			for _, name := range names {
				out = append(out, folders[name])
			}
			fmt.Fprintln(cmd.OutOrStdout(), strings.Join(out, string(filepath.ListSeparator)))
			return nil
		},
	}
}
