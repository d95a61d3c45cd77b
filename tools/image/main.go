package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use:           "image",
		Short:         "Build container images from nothing but files",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(packCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}
