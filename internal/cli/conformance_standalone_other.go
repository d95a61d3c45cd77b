//go:build !linux

package cli

import (
	"context"

	"github.com/smi-project/smi/conformance"
)

// standaloneTarget is not to be had: the standalone mesh runs on Linux.
func (a *App) standaloneTarget(context.Context, *conformanceRunFlags) (conformance.Target, error) {
	return nil, UsageErrorf("the standalone mesh runs on Linux; say --profile to run on a cluster")
}
