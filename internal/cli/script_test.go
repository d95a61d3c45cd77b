package cli_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/smi-project/smi/internal/cli"
)

var update = flag.Bool("update", false, "write the outputs of the scripts anew")

// TestMain lets scripts run smi as a program of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"smi": func() { os.Exit(cli.Run(context.Background(), cli.Process(), os.Args[1:])) },
	})
}

// TestScripts runs testdata/script: what a user types and what comes back.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"generate": generate,
		},
	})
}

// exits runs a program and wants a certain exit code: exits CODE PROGRAM ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// generate writes an HTTPRouteGroup that is too large for a script:
// generate matches N FILE has N matches, generate regex N FILE one with an
// expression of N characters; generate zeros N FILE has N bytes of nothing.
func generate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: generate matches|regex|zeros N FILE")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	if args[0] == "zeros" {
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), nil, 0o600))
		ts.Check(os.Truncate(ts.MkAbs(args[2]), int64(n)))
		return
	}
	var b strings.Builder
	b.WriteString("apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: generated, namespace: shop}\nspec:\n  matches:\n")
	switch args[0] {
	case "matches":
		for i := range n {
			fmt.Fprintf(&b, "    - {name: m%d, pathRegex: /%d$}\n", i, i)
		}
	case "regex":
		fmt.Fprintf(&b, "    - {name: long, pathRegex: /%s}\n", strings.Repeat("a", n-1))
	default:
		ts.Fatalf("nothing is called %q", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(b.String()), 0o600))
}
