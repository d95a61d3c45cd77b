package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/mesh"
)

const compileLong = `Compile prints what all resources together mean.

As a mesh, which is what it prints unless -o says otherwise, that is a text for
people: every Service with its ports, splits and destinations, every policy with
its grants, every workload with what it serves and reaches, and what is wrong.
The same resources always give the same text, so that two versions of a folder
can be compared.

With -f it reads files. Without, it reads the cluster that kubectl would, all of
it, and prints what is in one namespace; -A prints all.

With -o envoy or -o envoy-json it is what the proxies are told: for each class
of pods that share a configuration, the Envoy resources in a stable order. As
pods of files have no addresses, a class of theirs has its sidecar at 192.0.2.1
and its application at 192.0.2.2, and all other pods have none.

Exit codes: 0 it was printed, whatever the findings; 2 the arguments make no
sense, or a file or the cluster cannot be read.`

const compileExample = `  # What do these manifests mean?
  smi compile -f manifests/

  # What would a change of theirs mean?
  diff <(smi compile -f before/) <(smi compile -f after/)

  # What does a namespace of the cluster mean?
  smi compile -n bookstore

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
		f       inputFlags
		account string
	)
	output := outputMesh
	cmd := &cobra.Command{
		Use:     "compile [-f PATH... | -n NAMESPACE | -A]",
		Short:   "Print what resources mean, or what proxies are told",
		Long:    compileLong,
		Example: compileExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.paths = append(f.paths, args...)
			chosen, err := parseAccountFilter(account, output)
			if err != nil {
				return err
			}
			in, err := app.load(cmd, &f)
			if err != nil {
				return err
			}
			if err := app.requireWhole(in); err != nil {
				return err
			}
			if output == outputMesh {
				return in.shown().WriteText(app.Out)
			}
			return app.printEnvoy(in, chosen, output == outputEnvoyJSON)
		},
	}
	f.register(cmd)
	f.registerEverywhere(cmd)
	addChoiceFlag(cmd, choice{&output, []string{outputMesh, outputEnvoy, outputEnvoyJSON}}, false, [2]string{"output", "o"}, "what to print, and how")
	cmd.Flags().StringVar(&account, "account", "", "print the proxies of one account only, `NAMESPACE/SERVICEACCOUNT` (with -o envoy and envoy-json)")
	return cmd
}

// shown is the part of the mesh that is asked about.
func (in *input) shown() *mesh.Mesh {
	if in.cluster == nil || in.cluster.namespace == "" {
		return in.mesh
	}
	part := *in.mesh
	kept := func(namespace string) bool { return namespace == in.cluster.namespace }
	part.Services = slices.DeleteFunc(slices.Clone(part.Services), func(s *mesh.Service) bool { return !kept(s.Name.Namespace) })
	part.Workloads = slices.DeleteFunc(slices.Clone(part.Workloads), func(w *mesh.Workload) bool { return !kept(w.Account.Namespace) })
	part.Policies = slices.DeleteFunc(slices.Clone(part.Policies), func(p *mesh.Policy) bool { return !kept(p.Account.Namespace) })
	part.Findings = slices.DeleteFunc(slices.Clone(part.Findings), func(f mesh.Finding) bool { return !in.about(f.Object) })
	return &part
}
