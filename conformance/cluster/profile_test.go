package cluster

import (
	"strings"
	"testing"

	"github.com/smi-project/smi/conformance/cases"
)

// TestProfiles reads every profile and holds its claim against the suite.
func TestProfiles(t *testing.T) {
	for _, name := range Profiles() {
		p, err := LoadProfile(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := p.Claim.Validate(cases.Suite()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBadProfiles says which field is wrong.
func TestBadProfiles(t *testing.T) {
	const marks = "name: x\nnamespaceLabels: {a: b}\noutsideLabels: {a: c}\n"
	for text, want := range map[string]string{
		"":                                 "name:",
		"name: x":                          "namespaceLabels:",
		"name: x\nnamespaceLabels: {a: b}": "outsideLabels:",
		marks:                              "settled:",
		marks + "settled: {seconds: 1, controller: {selector: a, port: 1}}": "settled:",
		marks + "settled: {seconds: 1}\nnaem: y":                            `unknown field "naem"`,
		marks + "settled: {seconds: 1}\nauthority: {secret: ca}":            "authority:",
	} {
		if _, err := ParseProfile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; wanted %q in it", text, err, want)
		}
	}
}

// TestForgingNeedsAnAuthority says what a profile lacks.
func TestForgingNeedsAnAuthority(t *testing.T) {
	target := &Target{options: Options{Profile: &Profile{Name: "Other"}}}
	if _, err := target.forging(t.Context()); err == nil || !strings.Contains(err.Error(), "the profile of Other does not say where the mesh's authority is") {
		t.Errorf("%v", err)
	}
}

// TestDenied sums the edge that is asked for, on both sides, and what was refused alone.
func TestDenied(t *testing.T) {
	const text = `# TYPE smi_denied_total counter
smi_denied_total{side="server",enforced="true",source_namespace="a",source_account="x",destination_namespace="b",destination_account="y",service=""} 2
smi_denied_total{side="client",enforced="true",source_namespace="a",source_account="x",destination_namespace="",destination_account="",service="b/y:80"} 3
smi_denied_total{side="server",enforced="false",source_namespace="a",source_account="x",destination_namespace="b",destination_account="y",service=""} 5
smi_denied_total{side="server",enforced="true",source_namespace="a",source_account="z",destination_namespace="b",destination_account="y",service=""} 7
smi_denied_total{side="client",enforced="true",source_namespace="a",source_account="x",destination_namespace="",destination_account="",service="10.96.0.7:80"} 11
smi_denied_total{side="client",enforced="true",source_namespace="a",source_account="x",destination_namespace="",destination_account="",service="10.96.0.8:80"} 13
`
	if n, err := denied([]byte(text), map[string]string{"10.96.0.7": "b/y"}, "a/x", "b/y"); n != 16 || err != nil {
		t.Errorf("%d, %v; wanted 16", n, err)
	}
	if n, err := denied([]byte("other_total 1\n"), nil, "a/x", "b/y"); n != 0 || err != nil {
		t.Errorf("%d, %v where nothing was denied", n, err)
	}
	if _, err := denied([]byte("no metrics {"), nil, "a/x", "b/y"); err == nil {
		t.Error("what is no text of metrics was read as one")
	}
}
