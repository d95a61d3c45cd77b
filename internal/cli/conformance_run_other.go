//go:build !linux

package cli

import "github.com/spf13/cobra"

// conformanceRunners is empty: the standalone mesh runs on Linux.
func conformanceRunners(*App) []*cobra.Command { return nil }
