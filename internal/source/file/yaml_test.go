package file

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// What Kubernetes makes of YAML, we make of it.
func TestValuesAreWhatKubernetesReads(t *testing.T) {
	for _, written := range []string{
		"a", "'a'", `"a"`, `"\u00e9\n\t\x41"`, "a b", "|\n  a\n  b", ">\n  a\n  b", "|-\n  a", "|+\n  a\n\n", `''`, "",
		"true", "True", "TRUE", "false", "yes", "Yes", "no", "NO", "on", "Off", "y", "n", "Y", "N", "tRue", "'yes'", `"no"`, "!!str yes", "yess",
		"null", "Null", "~", "NULL", "nil", "'null'",
		"0", "1", "-1", "+1", "10", "010", "0o10", "0x1F", "0b11", "1_000", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551616",
		"1.0", "1.5", ".5", "5.", "-1.5e3", "1e3", "1E3", "1e-3", "1e30", "1.10", "0.1", "1.2.3", "12:30", "1:2", "0.0", "-0",
		"2001-01-01", "2001-01-01T00:00:00Z", "!!int '3'", "!!float 3", "!!str 3", "!!binary aGVsbG8=",
		"[a, 1, true, ~]", "[]", "{}", "{a: 1, b: [x]}", "{a: {b: {c: d}}}", "{1: a, true: b, 1.5: c}",
		"\n- a\n- - b\n  - c", "\nx: &x {a: 1}\ny: *x", "\nx: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}", "\nx: &x {a: 1}\nz: &z {a: 2, c: 3}\ny: {<<: [*x, *z], b: 3}",
		"<<", "=", "@x", "a#b", "a # b", "a: b", "'it''s'", "C:\\x", "http://x:80/y", "*.example.com", "/a|/b", "[*]", "'*'",
		"\U0001f600", `"\U0001f600"`, "a\tb", "- a", "? a", "{? a : b}",
	} {
		document := []byte("v: " + written + "\n")
		want, theirs := yaml.YAMLToJSON(document)
		values, problem := parseYAML(document)
		if theirs != nil || problem != nil {
			if (theirs == nil) != (problem == nil) {
				t.Errorf("%q: we say %v, Kubernetes says %v", written, problem, theirs)
			}
			continue
		}
		got, tooMuch := encode(values[0])
		if tooMuch != "" {
			t.Errorf("%q: %s", written, tooMuch)
			continue
		}
		if diff := cmp.Diff(decoded(t, want), decoded(t, got)); diff != "" {
			t.Errorf("%q (-Kubernetes +we):\n%s", written, diff)
		}
	}
}

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// What no JSON can say is an error where it is read, and nowhere else.
func TestInvalidValues(t *testing.T) {
	for written, want := range map[string]string{
		".nan":                  ".nan is no number that JSON knows",
		"-.inf":                 "-.inf is no number that JSON knows",
		"!Ref x":                "Kubernetes knows no tag !Ref",
		"!!int x":               `"x" is no int`,
		"{a: 1, a: 2}":          givenTwice,
		"{~: 1}":                "a key must be a string, and this one is empty",
		"{[a]: 1}":              "a key must be a string",
		"{<<: a}":               "it must name an object or a list of objects",
		"{<<: [a]}":             "it must name objects",
		"&a [*a]":               "*a refers to a value that contains itself",
		"&a {b: {c: [*a, *a]}}": "*a refers to a value that contains itself",
	} {
		values, problem := parseYAML([]byte("v: " + written))
		if problem != nil {
			t.Errorf("%q: %v", written, problem)
			continue
		}
		found := findInvalid(values[0], 0)
		if found == nil || found.scalar != want {
			t.Errorf("%q: %v, want %q", written, found, want)
		}
	}
}

func TestIgnored(t *testing.T) {
	for name, want := range map[string]bool{
		"a.yaml": false, "4913.yaml": false, "a~b.yaml": false, "#a.yaml": false,
		".a.yaml": true, "..data": true, ".git": true, "a.yaml~": true, "#a.yaml#": true, ".#a.yaml": true,
		"a.yaml.swp": true, "a.SWX": true, "4913": true, "a.tmp": true, ".tmp": true,
	} {
		if got := ignored(name); got != want {
			t.Errorf("ignored(%q) = %v", name, got)
		}
	}
}
