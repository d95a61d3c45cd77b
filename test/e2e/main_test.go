//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// here is the cluster under test, which TestMain prepares.
var here *cluster

// TestMain installs the mesh, runs the tests, and removes the mesh; what is left
// behind then is a failure like any other.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx := context.Background()
	c, err := connect()
	if err != nil {
		return fail(err)
	}
	here = c
	keep := os.Getenv("E2E_KEEP") != ""
	if !keep {
		if err := here.refuseInstalled(ctx); err != nil {
			return fail(err)
		}
	}
	started := time.Now()
	if err := here.install(ctx); err != nil {
		here.explain(ctx)
		return fail(err)
	}
	fmt.Printf("installed in %s\n", time.Since(started).Round(time.Second))
	code := m.Run()
	if code != 0 {
		here.explain(ctx)
	}
	if keep {
		fmt.Println("the mesh is kept, as E2E_KEEP says")
		return code
	}
	if err := here.uninstall(ctx); err != nil {
		return fail(err)
	}
	if err := here.nothingLeft(ctx); err != nil {
		return fail(err)
	}
	fmt.Println("uninstalled; nothing is left but the users' CustomResourceDefinitions")
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}
