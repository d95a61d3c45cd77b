package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/demo"
	"github.com/smi-project/smi/internal/tool"
)

func demoCommand(app *App) *cobra.Command {
	var envoy, sample string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See SMI at work on this machine, checked step by step",
		Long: `Run the bookstore on this machine: several services, each behind a real Envoy with
mutual TLS and nothing allowed; then TrafficTargets that open routes, a
TrafficSplit that shifts traffic while requests flow, and an A/B test by header.
Every step prints what was expected and what was observed.

The exit code is 0 when everything held, and 1 when something did not.`,
		Example: `  smi demo
  smi demo --verbose`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.demo(cmd.Context(), demo.Options{Envoy: envoy, Sample: sample, Verbose: verbose})
		},
	}
	cmd.Flags().StringVar(&envoy, "envoy", "", "path of Envoy; $ENVOY, the PATH and the tool cache are tried otherwise")
	cmd.Flags().StringVar(&sample, "sample", "", "path of smi-sample, the bookstore's program (default beside this program, or on the PATH)")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print what the pods print, too")
	return cmd
}

func (a *App) demo(ctx context.Context, options demo.Options) error {
	var err error
	if options.Envoy, err = tool.Envoy(options.Envoy); err != nil {
		return err
	}
	if options.Sample, err = findSample(options.Sample); err != nil {
		return err
	}
	options.Out = a.Out
	options.Paint = func(good bool, text string) string {
		if good {
			return a.paint(green, text)
		}
		return a.paint(red, text)
	}
	if err := demo.Run(ctx, options); errors.Is(err, demo.ErrFailed) {
		return ErrNo
	} else if err != nil {
		return err
	}
	return nil
}

// findSample returns the path of the bookstore's program.
func findSample(flag string) (string, error) {
	if flag != "" {
		return exec.LookPath(flag)
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "smi-sample")
		if info, err := os.Stat(beside); err == nil && !info.IsDir() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("smi-sample")
	if err != nil {
		return "", fmt.Errorf("smi-sample, the bookstore's program, is neither beside this program nor on the PATH: build it with 'make build', or name it with --sample")
	}
	return path, nil
}
