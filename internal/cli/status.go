package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/meshstatus"
)

const statusLong = `Status asks a cluster how its mesh is: the SMI definitions, the controller, the
webhook, the certificate authority and the proxies, and what of the namespaces
is less guarded than it may look. For each thing that is not well it says what
to do.

It takes no access to Secrets. What you may not read is a warning, which names
the permission.

Exit codes: 0 nothing has failed, though there may be warnings; 1 something has;
2 the arguments make no sense, or the cluster cannot be asked.`

func statusCommand(app *App) *cobra.Command {
	var (
		connection kube.Connection
		namespace  string
	)
	format := formatTable
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how the mesh of a cluster is, and what to do",
		Long:  statusLong,
		Example: `  smi status

  # A mesh whose controller is in another namespace of another cluster
  smi status --context staging -n mesh-system

  # For a program
  smi status -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := connection.Cluster()
			if err != nil {
				return err
			}
			facts, err := meshstatus.Collect(cmd.Context(), meshstatus.Options{Cluster: cluster, Namespace: namespace, Version: readBuildInfo().Version})
			if err != nil {
				return err
			}
			report := facts.Judge()
			if format != formatTable {
				err = app.printObject(format, report)
			} else {
				err = app.printStatus(report)
			}
			if err == nil && report.State == meshstatus.Failed {
				err = ErrNo
			}
			return err
		},
	}
	addConnectionFlags(cmd, &connection)
	addFormatFlag(cmd, &format)
	cmd.Flags().StringVarP(&namespace, "namespace", "n", defaultSystem, "`NAMESPACE` of the controller")
	completeFlag(cmd, "namespace", completeNamespaces(&connection))
	return cmd
}

// statusColours are those of states.
var statusColours = map[meshstatus.State]colour{meshstatus.OK: green, meshstatus.Warning: yellow, meshstatus.Failed: red}

// printStatus prints a line for each check, with what to do below those that are not
// well, and a table of the namespaces.
func (a *App) printStatus(r *meshstatus.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Mesh %s of context %s\n\n", printable(r.Namespace), printable(r.Context))
	name, state := 0, 0
	for _, c := range r.Checks {
		name, state = max(name, len(c.Name)), max(state, len(c.State))
	}
	indent := strings.Repeat(" ", state+name+4)
	for _, c := range r.Checks {
		padded := fmt.Sprintf("%-*s", state, c.State)
		fmt.Fprintf(&b, "%s  %-*s  %s\n", a.paint(statusColours[c.State], padded), name, c.Name, printable(c.Message))
		for _, line := range c.Details {
			fmt.Fprintf(&b, "%s- %s\n", indent, printable(line))
		}
		if c.Remedy != "" {
			fmt.Fprintf(&b, "%s%s %s\n", indent, a.paint(bold, "to do:"), printable(c.Remedy))
		}
	}
	if len(r.Namespaces) > 0 {
		b.WriteString("\n" + a.statusNamespaces(r).render(a, ""))
	}
	fmt.Fprintf(&b, "\n%s\n", statusSummary(r))
	_, err := a.Out.Write([]byte(b.String()))
	return err
}

func (a *App) statusNamespaces(r *meshstatus.Report) table {
	t := table{{{text: "NAMESPACE"}, {text: "LABEL"}, {text: "MODE"}, {text: "PODS"}, {text: "MESHED"}, {text: "READY"}}}
	for _, n := range r.Namespaces {
		label := "-"
		if n.Injected {
			label = "enabled"
		}
		t = append(t, row{{text: n.Name}, {text: label}, {text: n.Mode}, {text: fmt.Sprint(n.Pods)}, {text: fmt.Sprint(n.Meshed)}, {text: fmt.Sprint(n.Ready)}})
	}
	return t
}

func statusSummary(r *meshstatus.Report) string {
	var failed, warned int
	for _, c := range r.Checks {
		switch c.State {
		case meshstatus.Failed:
			failed++
		case meshstatus.Warning:
			warned++
		case meshstatus.OK:
		}
	}
	switch {
	case failed+warned == 0:
		return "The mesh is well."
	case failed == 0:
		return "The mesh works, with " + count(warned, "warning") + "."
	case warned == 0:
		return "The mesh is not well: " + count(failed, "check") + " failed."
	}
	return fmt.Sprintf("The mesh is not well: %s failed, with %s.", count(failed, "check"), count(warned, "warning"))
}
