package cli

import (
	"github.com/spf13/cobra"
)

const compileLong = `Compile prints what all resources together mean.

As a mesh, it is a text for people: every Service with its ports, splits and
destinations, every policy with its grants, every workload with what it serves
and reaches, and what is wrong. The same resources always give the same text,
so that two versions of a folder can be compared.

Exit codes: 0 it was printed, whatever the findings; 2 the arguments make no
sense, or a file cannot be read.`

const compileExample = `  # What do these manifests mean?
  smi compile -f manifests/

  # What does a change of theirs mean?
  diff <(smi compile -f before/) <(smi compile -f after/)`

func compileCommand(app *App) *cobra.Command {
	var paths []string
	output := "mesh"
	cmd := &cobra.Command{
		Use:     "compile -f PATH...",
		Short:   "Print what resources mean, or what proxies are told",
		Long:    compileLong,
		Example: compileExample,
		RunE: func(_ *cobra.Command, args []string) error {
			in, err := app.load(append(paths, args...))
			if err != nil {
				return err
			}
			if err := app.requireWhole(in); err != nil {
				return err
			}
			return in.mesh.WriteText(app.Out)
		},
	}
	addPathFlag(cmd, &paths)
	addChoiceFlag(cmd, choice{&output, []string{"mesh"}}, false, [2]string{"output", "o"}, "what to print")
	return cmd
}
