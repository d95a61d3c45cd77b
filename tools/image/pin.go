package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/tools/image/internal/debian"
)

func pinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pin",
		Short: "Print the list of Debian's packages with the versions that are offered now",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := debian.Renew(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), list)
			return nil
		},
	}
}
