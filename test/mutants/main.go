// Mutants breaks one rule of the mesh at a time, on purpose, and runs the
// conformance suite against what comes of it. A mutant that no case notices shows
// that a case is missing.
//
// A mutant is a change of one place of the source, which the compiler is given in
// place of the file (go build -overlay). So the product has no hook for it, and no
// binary but those that this program makes and throws away holds one.
//
//	go run ./test/mutants                    all of them
//	go run ./test/mutants -run 'weights|deny'
//	go run ./test/mutants -list
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	only := flag.String("run", "", "`REGEXP` of the mutants to run")
	list := flag.Bool("list", false, "list the mutants and run none")
	flag.Parse()
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	var wanted []mutant
	for _, m := range mutants {
		if chosen.MatchString(m.name) {
			wanted = append(wanted, m)
		}
	}
	if *list {
		for _, m := range wanted {
			fmt.Printf("%-32s %-6s %s\n", m.name, m.rule, m.file)
		}
		return nil
	}
	l, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.baseline(ctx); err != nil {
		return err
	}
	return l.trial(ctx, wanted)
}

// trial runs the mutants and prints the table.
func (l *lab) trial(ctx context.Context, wanted []mutant) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer func() { _ = table.Flush() }()
	fmt.Fprintln(table, "MUTANT\tRULE\tKILLED BY\tAFTER")
	var alive, unfit []string
	for _, m := range wanted {
		started := time.Now()
		killer, err := l.judge(ctx, m)
		down := new(noMesh)
		switch {
		case errors.As(err, &down):
			unfit = append(unfit, m.name+": "+err.Error())
			killer = "NO MESH"
		case err != nil:
			return fmt.Errorf("mutant %s: %w", m.name, err)
		case killer == "":
			alive = append(alive, m.name)
			killer = "NONE"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.0f s\n", m.name, m.rule, killer, time.Since(started).Seconds())
		_ = table.Flush()
	}
	fmt.Fprintf(table, "\nmutants: %d, alive: %d, without a mesh: %d\n", len(wanted), len(alive), len(unfit))
	var failures []error
	if len(alive) > 0 {
		failures = append(failures, fmt.Errorf("%d of %d mutants are alive: %s", len(alive), len(wanted), strings.Join(alive, ", ")))
	}
	for _, u := range unfit {
		failures = append(failures, fmt.Errorf("a mutant shows nothing where no case is judged: %s", u))
	}
	return errors.Join(failures...)
}
