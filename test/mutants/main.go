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
//	go run ./test/mutants -table FILE        all of them, and a page of what noticed each
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
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
	table := flag.String("table", "", "`FILE` of Markdown to write, where every mutant is noticed")
	flag.Parse()
	if *table != "" && *only != "" {
		return errors.New("-table is a page of all mutants: leave -run out")
	}
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
	verdicts, err := l.trial(ctx, wanted)
	if err != nil || *table == "" {
		return err
	}
	return writeTable(*table, verdicts)
}

// trial runs the mutants, and prints what became of each.
func (l *lab) trial(ctx context.Context, wanted []mutant) ([]verdict, error) {
	line := fmt.Sprintf("%%-%ds  %%-5s  %%-%ds  %%s\n", nameWidth, caseWidth)
	fmt.Printf(line, "MUTANT", "RULE", "KILLED BY", "AFTER")
	var verdicts []verdict
	alive, unfit := 0, 0
	for _, m := range wanted {
		started := time.Now()
		killer, err := l.judge(ctx, m)
		v := verdict{mutant: m, killer: killer}
		if down := new(noMesh); errors.As(err, &down) {
			v.down = down
			unfit++
		} else if err != nil {
			return nil, fmt.Errorf("mutant %s: %w", m.name, err)
		} else if killer == "" {
			alive++
		}
		verdicts = append(verdicts, v)
		fmt.Printf(line, m.name, m.rule, v.word(), fmt.Sprintf("%.0f s", time.Since(started).Seconds()))
	}
	fmt.Printf("\nmutants: %d, alive: %d, without a mesh: %d\n", len(wanted), alive, unfit)
	return verdicts, failure(verdicts)
}
