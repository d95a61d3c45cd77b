package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/agent"
	"github.com/smi-project/smi/internal/agent/inpod"
	"github.com/smi-project/smi/internal/proxyview"
	"github.com/smi-project/smi/internal/sidecar"
)

const agentLong = `Run the sidecar of a pod: get the pod's certificate from the controller, run
Envoy, and answer scrapes, the kubelet and the application's probes.

The injector starts this in the container ` + sidecar.Container + ` and tells it what it
needs in the environment. It is of no use elsewhere.`

// Agent is the command that the injector puts into pods.
func Agent(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "agent",
		Short:  "Run the sidecar of a pod",
		Long:   agentLong,
		Hidden: true,
		Args:   noArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return app.agent(cmd.Context()) },
	}
	cmd.AddCommand(logLevelCommand(app), drainCommand(), adminCommand(app))
	return cmd
}

func (a *App) agent(ctx context.Context) error {
	options, err := inpod.Environment(a.Getenv)
	if err != nil {
		return err
	}
	options.Level = new(slog.LevelVar)
	if text := options.Settings.LogLevel; text != "" {
		level, err := inpod.ParseLevel(text)
		if err != nil {
			return fmt.Errorf("%s: %w", sidecar.SettingsVariable, err)
		}
		options.Level.Set(level)
	}
	options.Logger = slog.New(slog.NewJSONHandler(a.Err, &slog.HandlerOptions{Level: options.Level}))
	pod, err := inpod.New(options)
	if err != nil {
		return err
	}
	options.Logger.Info("starting", "version", readBuildInfo().Version, "pod", options.Pod.String(), "controller", options.Settings.Controller)
	return pod.Run(ctx)
}

func logLevelCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "log-level [debug|info|warn|error]",
		Short:   "Show or change what the running sidecar logs",
		Example: `  kubectl exec POD -c ` + sidecar.Container + ` -- smi agent log-level debug`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return UsageErrorf("one level is expected, not %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			level := ""
			if len(args) == 1 {
				level = args[0]
			}
			now, err := inpod.LogLevel(cmd.Context(), sidecar.AgentDir, level)
			if err == nil {
				fmt.Fprintln(app.Out, now)
			}
			return err
		},
	}
}

// drainCommand is the preStop hook of the sidecar.
func drainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   sidecar.DrainCommand,
		Short: "Ask who calls the pod to close connections, as it is going to end",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return inpod.Drain(cmd.Context(), sidecar.AgentDir) },
	}
}

// adminCommand is how smi proxy asks. Envoy keeps private keys out of what it tells.
func adminCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "admin PATH",
		Short:   "Show what the running Envoy says of itself",
		Example: `  kubectl exec POD -c ` + sidecar.Container + ` -- smi agent admin ` + proxyview.PathConfig,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(proxyview.Paths, args[0]) {
				return UsageErrorf("one of these is expected: %s", strings.Join(proxyview.Paths, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := agent.NewAdmin(agent.AdminSocket(sidecar.AgentDir)).Get(cmd.Context(), args[0])
			if err == nil {
				_, err = app.Out.Write(body)
			}
			return err
		},
	}
}
