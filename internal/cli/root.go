package cli

import (
	"github.com/spf13/cobra"
)

const rootLong = `smi gives SMI resources their meaning and carries it out.

check, explain and compile answer for the mesh that manifests describe, which
takes no cluster, or for the one of a cluster. run runs a mesh on this machine
(Linux), request sends requests through it, and demo shows all of it on an
example. On a cluster, status says how the mesh is, and proxy looks into its
sidecars. conformance proves what a mesh does of SMI.

Exit codes:
  0  done, and the answer is yes
  1  the answer is no: a request is denied, or a check found errors
  2  the arguments make no sense, or the input cannot be read`

const rootExample = `  # Is anything wrong with these manifests?
  smi check -f manifests/

  # May the bookbuyer buy books, and from which version?
  smi explain --from bookbuyer/bookbuyer --to bookstore/bookstore:9080 --path /buy -f manifests/

  # What do all of them together mean?
  smi compile -f manifests/

  # How is the mesh of my cluster?
  smi status`

func newRoot(app *App) *cobra.Command {
	root := &cobra.Command{
		Use:           "smi",
		Short:         "Service Mesh Interface: check, explain and run a mesh",
		Long:          rootLong,
		Example:       rootExample,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.SuggestionsMinimumDistance = 2
	app.meaning.register(root)
	root.AddCommand(caCommand(app), checkCommand(app), compileCommand(app), conformanceCommand(app), crdsCommand(app),
		explainCommand(app), proxyCommand(app), statusCommand(app), uninstallCommand(app), versionCommand(app))
	return root
}

func unknownCommand(cmd *cobra.Command, name string) error {
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return UsageErrorf("there is no command %q; did you mean %q?", name, near[0])
	}
	return UsageErrorf("there is no command %q", name)
}

// noArgs refuses arguments that are no flags.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return UsageErrorf("the argument %q is not expected", args[0])
	}
	return nil
}
