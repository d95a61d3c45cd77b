package cli

import (
	"github.com/spf13/cobra"
)

const compileLong = `Compile prints what all resources together mean.

As a mesh, which is what it prints unless -o says otherwise, that is a text for
people: every Service with its ports, splits and destinations, every policy with
its grants, every workload with what it serves and reaches, and what is wrong.
The same resources always give the same text, so that two versions of a folder
can be compared.

With -o envoy or -o envoy-json it is what the proxies are told: for each class
of pods that share a configuration, the Envoy resources in a stable order. As
only running pods have addresses, a class has its sidecar at 192.0.2.1 and its
application at 192.0.2.2, and all other pods have none.

Exit codes: 0 it was printed, whatever the findings; 2 the arguments make no
sense, or a file cannot be read.`

const compileExample = `  # What do these manifests mean?
  smi compile -f manifests/

  # What would a change of theirs mean?
  diff <(smi compile -f before/) <(smi compile -f after/)

  # What is the bookstore's Envoy told?
  smi compile -f manifests/ -o envoy --account bookstore/bookstore`

// The outputs of smi compile.
const (
	outputMesh      = "mesh"
	outputEnvoy     = "envoy"
	outputEnvoyJSON = "envoy-json"
)

func compileCommand(app *App) *cobra.Command {
	var (
		paths   []string
		account string
	)
	output := outputMesh
	cmd := &cobra.Command{
		Use:     "compile -f PATH...",
		Short:   "Print what resources mean, or what proxies are told",
		Long:    compileLong,
		Example: compileExample,
		RunE: func(_ *cobra.Command, args []string) error {
			chosen, err := parseAccountFilter(account, output)
			if err != nil {
				return err
			}
			in, err := app.load(append(paths, args...))
			if err != nil {
				return err
			}
			if err := app.requireWhole(in); err != nil {
				return err
			}
			if output == outputMesh {
				return in.mesh.WriteText(app.Out)
			}
			return app.printEnvoy(in.mesh, chosen, output == outputEnvoyJSON)
		},
	}
	addPathFlag(cmd, &paths)
	addChoiceFlag(cmd, choice{&output, []string{outputMesh, outputEnvoy, outputEnvoyJSON}}, false, [2]string{"output", "o"}, "what to print, and how")
	cmd.Flags().StringVar(&account, "account", "", "print the proxies of one account only, `NAMESPACE/SERVICEACCOUNT` (with -o envoy and envoy-json)")
	return cmd
}
