package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/smi-project/smi/conformance/cases"
)

// verdict is what became of a mutant.
type verdict struct {
	mutant
	// killer is the case that noticed it first, "" where none did; down says why no
	// case was judged.
	killer string
	down   error
}

// widths of the columns of what is printed.
const (
	nameWidth = 32
	caseWidth = 22
)

func (v *verdict) word() string {
	switch {
	case v.down != nil:
		return "NO MESH"
	case v.killer == "":
		return "NONE"
	}
	return v.killer
}

// failure is nil where each mutant was noticed.
func failure(verdicts []verdict) error {
	var alive []string
	var failures []error
	for _, v := range verdicts {
		switch {
		case v.down != nil:
			failures = append(failures, fmt.Errorf("a mutant shows nothing where no case is judged: %s: %w", v.name, v.down))
		case v.killer == "":
			alive = append(alive, v.name)
		}
	}
	if len(alive) > 0 {
		failures = append(failures, fmt.Errorf("%d of %d mutants are alive: %s", len(alive), len(verdicts), strings.Join(alive, ", ")))
	}
	return errors.Join(failures...)
}

const tableHead = `# Mutants and the cases that notice them

<!-- Written by "make mutants-table". Do not edit. -->

The conformance suite is tested by breaking the mesh on purpose. Each mutant breaks one rule at one place of the source
([test/mutants](../test/mutants)); the suite runs against it, the cases of that rule first. The case is the one that
failed first. A mutant that no case notices would show that a case is missing, and none is left alive in this run.

Suite %s, on the standalone runtime: %d mutants, 0 alive.

| mutant | breaks | file | noticed by |
| --- | --- | --- | --- |
`

// writeTable writes a page of mutants all of which were noticed.
func writeTable(file string, verdicts []verdict) error {
	var text strings.Builder
	fmt.Fprintf(&text, tableHead, cases.Version, len(verdicts))
	for _, v := range verdicts {
		fmt.Fprintf(&text, "| %s | %s | `%s` | `%s` |\n", v.name, v.rule, v.file, v.killer)
	}
	return os.WriteFile(file, []byte(text.String()), 0o644) //nolint:gosec // a page that everybody reads
}
