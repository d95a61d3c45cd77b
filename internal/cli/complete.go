package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/mesh"
)

// completeFrom lets a shell complete a flag by what is in the files that the
// command line names already.
func (a *App) completeFrom(paths *[]string, list func(*mesh.Mesh) []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		// The standard input is the shell's, and a whole cluster takes too long.
		if len(*paths) == 0 || slices.Contains(*paths, "-") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		in, err := a.loadFiles(*paths)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := slices.DeleteFunc(list(in.mesh), func(name string) bool { return !strings.HasPrefix(name, begun) })
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// accountNames are the accounts that may send requests.
func accountNames(m *mesh.Mesh) []string {
	names := []string{outside}
	for _, w := range m.Workloads {
		names = append(names, w.Account.String())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// servicePorts are what requests may be sent to.
func servicePorts(m *mesh.Mesh) []string {
	var names []string
	for _, s := range m.Services {
		for _, p := range s.Ports {
			if p.Protocol != mesh.UDP {
				names = append(names, fmt.Sprintf("%s:%d", s.Name, p.Number))
			}
		}
	}
	return names
}
