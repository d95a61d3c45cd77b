//go:build !linux

package main

import "github.com/smi-project/smi/internal/cli"

// commands is empty: the standalone runtime runs on Linux.
func commands() []cli.Command { return nil }
