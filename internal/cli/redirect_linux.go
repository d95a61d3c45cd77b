package cli

import (
	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/redirect"
	"github.com/smi-project/smi/internal/sidecar"
)

// Redirect is the command that the init container of a meshed pod runs.
func Redirect(*App) *cobra.Command {
	var inbound, outbound, cidrs []string
	var o redirect.Options
	cmd := &cobra.Command{
		Use:    "redirect",
		Hidden: true,
		Short:  "Redirect the traffic of this network namespace to a sidecar",
		Long: `Redirects the TCP connections of the network namespace that it runs in to a
sidecar, and ends. The init container of a meshed pod runs it; nobody else needs
to.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.ExcludeInbound, err = sidecar.ParsePorts(inbound); err != nil {
				return UsageErrorf("--%s: %v", sidecar.FlagExcludeInbound, err)
			}
			if o.ExcludeOutbound, err = sidecar.ParsePorts(outbound); err != nil {
				return UsageErrorf("--%s: %v", sidecar.FlagExcludeOutbound, err)
			}
			if o.ExcludeCIDRs, err = sidecar.ParseCIDRs(cidrs); err != nil {
				return UsageErrorf("--%s: %v", sidecar.FlagExcludeCIDRs, err)
			}
			return redirect.Apply(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&inbound, sidecar.FlagExcludeInbound, nil, "ports whose connections from outside pass the sidecar by")
	flags.StringSliceVar(&outbound, sidecar.FlagExcludeOutbound, nil, "ports to which connections pass the sidecar by")
	flags.StringSliceVar(&cidrs, sidecar.FlagExcludeCIDRs, nil, "networks to which connections pass the sidecar by")
	flags.BoolVar(&o.DropUDP, sidecar.FlagDropUDP, false, "drop what comes in and is neither TCP nor ICMP nor a reply (AC-11)")
	return cmd
}
