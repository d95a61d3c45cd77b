package main

import (
	"strings"
	"testing"

	"github.com/smi-project/smi/conformance"
)

func TestTable(t *testing.T) {
	semantics := "# Title\n\n## AC: Access control\n\n### AC-1: Deny, by default\n\nText about AC-2: no heading.\n\n### AC-2: `More`\n"
	all := []*conformance.Case{
		{ID: "AC-1-x", Title: "One | two", Rules: []string{"AC-1"}, Features: []conformance.Feature{conformance.GRPC, conformance.AccessHTTP}},
		{ID: "AC-1-y", Title: "Three", Rules: []string{"AC-1"}, Features: []conformance.Feature{conformance.GRPC}},
	}
	got := table(semantics, all, map[string]string{"AC-2": "nobody can see it"})
	for _, want := range []string{
		"| 2 | 1 | 1 | 2 |\n\n## AC: Access control\n",
		"| [AC-1](semantics.md#ac-1-deny-by-default) Deny, by default | `AC-1-x` One \\| two<br>`AC-1-y` Three | access-http, grpc |\n",
		"| [AC-2](semantics.md#ac-2-more) `More` | none: nobody can see it |  |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the table lacks %q:\n%s", want, got)
		}
	}
}
