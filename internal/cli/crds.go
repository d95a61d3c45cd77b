package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/crds"
	"github.com/smi-project/smi/internal/kube"
)

const crdsLong = `Install, upgrade, compare and delete the SMI CustomResourceDefinitions of a
cluster. The Helm chart runs this by itself.

Exit codes:
  0  done, and nothing differs
  1  something differs
  2  the arguments make no sense, or the cluster cannot be reached, or refused
     something`

func crdsCommand(app *App) *cobra.Command {
	cmd := groupCommand(&cobra.Command{
		Use:   "crds",
		Short: "Install, compare and delete the SMI definitions of a cluster",
		Long:  crdsLong,
		Example: `  # What would change?
  smi crds diff

  smi crds apply`,
	})
	cmd.AddCommand(crdsApply(app), crdsDelete(app), crdsDiff(app))
	return cmd
}

// groupCommand makes a command that has commands and does nothing itself.
func groupCommand(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// addConnectionFlags adds the flags that say which cluster is meant.
func addConnectionFlags(cmd *cobra.Command, c *kube.Connection) {
	cmd.Flags().StringVar(&c.Kubeconfig, "kubeconfig", "", "`FILE` that says how to reach the cluster (default $KUBECONFIG or ~/.kube/config)")
	cmd.Flags().StringVar(&c.Context, "context", "", "`NAME` of a context in that file (default the current one)")
	completeFlag(cmd, "context", completeContexts(c))
}

// line prints a line that may hold words from the cluster.
func (a *App) line(text string) { fmt.Fprintln(a.Out, printable(text)) }

func crdsApply(app *App) *cobra.Command {
	var connection kube.Connection
	options := crds.Options{Report: app.line}
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Install or upgrade the SMI definitions",
		Long: `Install or upgrade the SMI CustomResourceDefinitions by server-side apply, and
wait until the cluster serves them.

Definitions that another implementation of SMI has installed are adopted: the
versions that this program knows become its own, all other versions stay served
as they are, and objects are stored as v1alpha4 from then on. A conversion
webhook of the other implementation is taken out. Where an object has fields
that v1alpha4 does not have, and would lose them, nothing is changed and the
object is named.

Exit codes: 0 done; 2 the cluster cannot be reached, or refused something.`,
		Example: `  smi crds apply

  # Of another cluster
  smi crds apply --context staging`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connection.Client()
			if err != nil {
				return err
			}
			return crds.Apply(cmd.Context(), c, options)
		},
	}
	addConnectionFlags(cmd, &connection)
	cmd.Flags().BoolVar(&options.AcceptLoss, "accept-loss", false, "adopt definitions even where objects lose fields")
	return cmd
}

func crdsDelete(app *App) *cobra.Command {
	var (
		connection kube.Connection
		yes        bool
	)
	cmd := &cobra.Command{
		Use:   "delete --yes",
		Short: "Delete the SMI definitions, and with them every SMI object",
		Long: `Delete the SMI CustomResourceDefinitions, and wait until they are gone. Every
SMI object of the cluster is deleted with them, also those of another
implementation of SMI, and cannot be brought back.

Exit codes: 0 done; 2 --yes is missing, or the cluster cannot be reached, or
refused something.`,
		Example: `  # Keep a copy first
  kubectl get smi -A -o yaml >smi-objects.yaml
  smi crds delete --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return UsageErrorf("this deletes every SMI object of the cluster; say --yes if that is what you want")
			}
			c, err := connection.Client()
			if err != nil {
				return err
			}
			return crds.Delete(cmd.Context(), c, app.line)
		},
	}
	addConnectionFlags(cmd, &connection)
	cmd.Flags().BoolVar(&yes, "yes", false, "delete the definitions and every SMI object")
	return cmd
}

func crdsDiff(app *App) *cobra.Command {
	var connection kube.Connection
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Print what apply would change",
		Long: `Print what smi crds apply would change in the cluster, as unified diffs. The
cluster works it out and nothing is changed.

Exit codes: 0 nothing would change; 1 something would; 2 the cluster cannot be
reached, or refused something.`,
		Example: `  smi crds diff`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connection.Client()
			if err != nil {
				return err
			}
			differs, err := crds.Diff(cmd.Context(), c, app.Out)
			if err == nil && differs {
				return ErrNo
			}
			return err
		},
	}
	addConnectionFlags(cmd, &connection)
	return cmd
}
