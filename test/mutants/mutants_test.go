package main

import (
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/cases"
)

// TestMutantsApply sees that each mutant still finds its one place, leaves Go
// behind, and breaks a rule that has cases to notice it.
func TestMutantsApply(t *testing.T) {
	if len(mutants) < 60 {
		t.Errorf("%d mutants are too few", len(mutants))
	}
	proven := map[string]bool{}
	for _, c := range cases.Suite().Cases {
		for _, rule := range c.Rules {
			proven[rule] = true
		}
	}
	seen := map[string]bool{}
	for _, m := range mutants {
		if !proven[m.rule] {
			t.Errorf("%s breaks %s, of which there is no case", m.name, m.rule)
		}
		if seen[m.name] {
			t.Errorf("%s is there twice", m.name)
		}
		seen[m.name] = true
		changed, err := m.apply("../..")
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, changed, 0); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// TestTableIsCurrent sees that the page of the last run shows these mutants and no
// others, each with a case of the suite.
func TestTableIsCurrent(t *testing.T) {
	text, err := os.ReadFile("../../docs/conformance-mutants.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?m)^\\| ([a-z0-9-]+) \\| ([A-Z0-9-]+) \\| `(.+)` \\| `(.+)` \\|$").FindAllStringSubmatch(string(text), -1)
	if len(shown) != len(mutants) {
		t.Fatalf("the page shows %d mutants, and there are %d: run make mutants-table", len(shown), len(mutants))
	}
	for i, m := range mutants {
		row := shown[i]
		if row[1] != m.name || row[2] != m.rule || row[3] != m.file {
			t.Errorf("the page shows %v in place of %s: run make mutants-table", row[1:4], m.name)
		}
		if !slices.ContainsFunc(cases.Suite().Cases, func(c *conformance.Case) bool { return c.ID == row[4] }) {
			t.Errorf("%s is noticed by %s, which is no case: run make mutants-table", m.name, row[4])
		}
	}
}

func TestFailedCase(t *testing.T) {
	const out = `  1/140  passed       SP-1-escape: An expression (12 ms)
  2/140  FAILED       TS-11-long: Half a minute: FAILED  AC-1-x: is no case (3 s)
      2/140  a reason
  3/140  FAILED       TA-1.2.3: The next (3 s)
`
	if got := failedCase.FindStringSubmatch(out); got == nil || got[1] != "TS-11-long" {
		t.Errorf("the first failed case is %q, want TS-11-long", got)
	}
	if got := failedCase.FindString("140/140  passed       AC-1-x: FAILED       AC-2-y: no (1 s)\n"); got != "" {
		t.Errorf("%q is no failure", got)
	}
}
