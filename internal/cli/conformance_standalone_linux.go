package cli

import (
	"context"
	"fmt"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/standalone"
	"github.com/smi-project/smi/internal/tool"
)

// standaloneTarget runs a standalone mesh, which lives until it is closed.
func (a *App) standaloneTarget(ctx context.Context, f *conformanceRunFlags) (conformance.Target, error) {
	envoy, err := tool.Envoy(f.envoy)
	if err != nil {
		return nil, err
	}
	sample, err := findSample(f.sample)
	if err != nil {
		return nil, err
	}
	line := func(string, string) {}
	if f.verbose {
		line = func(source, text string) { fmt.Fprintf(a.Err, "[%s] %s\n", source, printable(text)) }
	}
	return standalone.Start(ctx, standalone.Options{Envoy: envoy, Sample: sample, Version: meshVersion(), Line: line})
}
