package main

import "github.com/smi-project/smi/internal/cli"

func commands() []cli.Command { return append(cli.Standalone(), cli.Agent, cli.Redirect) }
