package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/uninstall"
)

func uninstallCommand(app *App) *cobra.Command {
	cmd := groupCommand(&cobra.Command{
		Use:   "uninstall",
		Short: "The steps around the removal of the mesh from a cluster",
		Long: `What has to be done before and after the mesh's manifests are deleted from a
cluster. "helm uninstall" runs both steps by itself.

Exit codes: 0 done; 2 the cluster cannot be reached, or refused something.`,
		Example: `  smi uninstall prepare
  kubectl delete -f smi.yaml
  smi uninstall sweep`,
	})
	cmd.AddCommand(
		uninstallStep(app, uninstall.Remover.Prepare, &cobra.Command{
			Use:   "prepare",
			Short: "Remove what would fail without a controller, and name the pods that are still meshed",
			Long: `To be run before the mesh is deleted: sets the conversion of the SMI definitions
to None, removes the webhook that injects sidecars, which would refuse pods once
no controller answers, and names the pods that still have a sidecar.

Exit codes: 0 done; 2 the cluster cannot be reached, or refused something.`,
			Example: `  smi uninstall prepare`,
		}),
		uninstallStep(app, uninstall.Remover.Sweep, &cobra.Command{
			Use:   "sweep",
			Short: "Remove what the controller made",
			Long: `To be run after the mesh was deleted: waits until no controller runs, and
removes what controllers made: the Secret smi-ca, the ConfigMaps smi-root, and
what they told each other. SMI definitions and objects stay.

Exit codes: 0 done; 2 the cluster cannot be reached, or refused something.`,
			Example: `  smi uninstall sweep`,
		}),
	)
	return cmd
}

// uninstallStep completes a command that carries out one step.
func uninstallStep(app *App, step func(uninstall.Remover, context.Context) error, cmd *cobra.Command) *cobra.Command {
	var (
		connection kube.Connection
		namespace  string
	)
	cmd.Args = noArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := connection.Client()
		if err != nil {
			return err
		}
		return step(uninstall.Remover{Client: c, Namespace: namespace, Report: app.line}, cmd.Context())
	}
	addConnectionFlags(cmd, &connection)
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "smi-system", "`NAME` of the controller's namespace")
	return cmd
}
