//go:build !linux

package agent

import (
	"context"
	"errors"
	"io/fs"
)

// Run returns an error: Envoy is run on Linux only.
func (e *Envoy) Run(context.Context) error {
	return errors.New("Envoy: the data plane runs on Linux only; check, compile and explain work here")
}

func ownedBySelf(fs.FileInfo) bool { return true }
