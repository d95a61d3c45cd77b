package main

import (
	"go/parser"
	"go/token"
	"testing"
)

// TestMutantsApply sees that each mutant still finds its one place, and leaves Go
// behind.
func TestMutantsApply(t *testing.T) {
	if len(mutants) < 25 {
		t.Errorf("%d mutants are too few", len(mutants))
	}
	seen := map[string]bool{}
	for _, m := range mutants {
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
