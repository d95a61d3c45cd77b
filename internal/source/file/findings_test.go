package file_test

import (
	"strings"
	"testing"

	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/mesh"
)

// What is wrong with one object, what is said of it, and whether it counts.
func TestFindings(t *testing.T) {
	split := func(spec string) string {
		return "apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: x}\nspec:\n" + spec
	}
	target := func(spec string) string {
		return "apiVersion: access.smi-spec.io/v1alpha4\nkind: TrafficTarget\nmetadata: {name: x}\nspec:\n" + spec
	}
	const (
		leftOut = ". The object is left out"
		counts  = true
		gone    = false
	)
	cases := []struct {
		name, yaml string
		counts     bool
		want       string // severity, rule, field: message
	}{
		// Fields that do not exist. Most are only lost.
		{
			"misspelt", split("  service: a\n  backend: []"), counts,
			`warning  spec.backend: stdin:6: unknown field "spec.backend", did you mean "spec.backends"?`,
		},
		{
			"misspelt in a list", split("  backends:\n  - service: a\n    wieght: 1"), counts,
			`warning  spec.backends[0].wieght: stdin:7: unknown field "spec.backends[0].wieght", did you mean "spec.backends[0].weight"?`,
		},
		{
			"case matters", split("  Service: a"), counts,
			`warning  spec.Service: stdin:5: unknown field "spec.Service", did you mean "spec.service"?`,
		},
		{
			"like nothing", split("  frobnicate: 1"), counts,
			`warning  spec.frobnicate: stdin:5: unknown field "spec.frobnicate"; known are backends, matches, service`,
		},
		{
			"in metadata", "apiVersion: access.smi-spec.io/v1alpha4\nkind: TrafficTarget\nmetadata: {name: x, lables: {}}", counts,
			`warning  metadata.lables: stdin:3: unknown field "metadata.lables", did you mean "metadata.labels"?`,
		},
		{
			"in a kind of Kubernetes", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - name: a\n    comand: [b]", counts,
			`info  spec.containers[0].comand: stdin:7: unknown field "spec.containers[0].comand", did you mean "spec.containers[0].command"?`,
		},
		// But where it may be a restriction, the object would allow more without.
		{
			"a restriction of a target", target("  rules:\n  - {kind: HTTPRouteGroup, name: a, match: [z]}"), gone,
			`error  spec.rules[0].match: stdin:6: unknown field "spec.rules[0].match", did you mean "spec.rules[0].matches"; without it the object might allow more than was meant` + leftOut,
		},
		{
			"the port of an old target", target("  destination: {kind: ServiceAccount, name: a, port: 80}"), gone,
			`error  spec.destination.port: stdin:5: unknown field "spec.destination.port"; known are group, kind, name, namespace; without it the object might allow more than was meant` + leftOut,
		},
		{
			"a condition of a match", "apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: x}\nspec: {matches: [{name: a, pathregex: /a}]}", gone,
			`error  spec.matches[0].pathregex: stdin:4: unknown field "spec.matches[0].pathregex", did you mean "spec.matches[0].pathRegex"; without it the object might allow more than was meant` + leftOut,
		},

		// Fields of the wrong type.
		{
			"text for a list", split("  backends: a"), gone,
			`error  spec.backends: stdin:5: spec.backends: it is "a", a string, and must be a list` + leftOut,
		},
		{
			"list for an object", "apiVersion: specs.smi-spec.io/v1alpha4\nkind: TCPRoute\nmetadata: {name: x}\nspec:\n  matches:\n  - ports: [80]", gone,
			`error  spec.matches: stdin:6: spec.matches: it is a list, and must be an object` + leftOut,
		},
		{
			"number for a text", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x, labels: {version: 1.10}}", gone,
			`error  metadata.labels.version: stdin:3: metadata.labels.version: it is 1.10, a number, and must be a string: write "1.10"` + leftOut,
		},
		{
			"yes for a text", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x, annotations: {example.com/on: yes}}", gone,
			`error  metadata.annotations["example.com/on"]: stdin:3: metadata.annotations["example.com/on"]: it is yes, a boolean, and must be a string: write "yes"` + leftOut,
		},
		{
			"text for a boolean", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {hostNetwork: \"true\"}", gone,
			`error  spec.hostNetwork: stdin:4: spec.hostNetwork: it is "true", a string, and must be true or false` + leftOut,
		},
		{
			"number too large for the type", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 99999999999}]}", gone,
			`error  spec.ports[0].port: stdin:4: spec.ports[0].port: it is 99999999999, which is too large for a number of 32 bits` + leftOut,
		},
		{
			"no time", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x, creationTimestamp: yesterday}", gone,
			`error  metadata.creationTimestamp: stdin:3: metadata.creationTimestamp: it is "yesterday", a string, which is not allowed: parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": can...` + leftOut,
		},
		{
			"given twice", "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: x\n  name: y", gone,
			`error  metadata.name: stdin:5: metadata.name: it is given twice in the same object` + leftOut,
		},
		{
			"several at once, with their lines", split("  backends:\n  - service: 1\n  - service: [a]"), gone,
			`error  spec.backends[0].service: stdin:6: spec.backends[0].service: it is 1, a number, and must be a string: write "1"` + leftOut + "\n" +
				`error  spec.backends[1].service: stdin:7: spec.backends[1].service: it is a list, and must be a string` + leftOut,
		},

		// Weights (TS-2). What is whole is left to the compiler.
		{"weight below zero", split("  backends: [{service: a, weight: -1}]"), counts, ""},
		{"weight beyond 32 bits", split("  backends: [{service: a, weight: 9223372036854775807}]"), counts, ""},
		{"weight as a whole float", split("  backends: [{service: a, weight: 1e3}, {service: b, weight: 5.0}]"), counts, ""},
		{
			"weight beyond 64 bits", split("  backends: [{service: a, weight: 9223372036854775808}]"), gone,
			`error TS-2 spec.backends[0].weight: stdin:5: spec.backends[0].weight: it is 9223372036854775808, which is too large for a number of 64 bits; weights are whole numbers from 0 to 2147483647` + leftOut,
		},
		{
			"half a weight", split("  backends: [{service: a, weight: 0.5}]"), gone,
			`error TS-2 spec.backends[0].weight: stdin:5: spec.backends[0].weight: it is 0.5, and must be a whole number; weights are whole numbers from 0 to 2147483647` + leftOut,
		},
		{
			"weight as a quantity", split("  backends: [{service: a, weight: 500m}]"), gone,
			`error TS-2 spec.backends[0].weight: stdin:5: spec.backends[0].weight: it is "500m", a string, and must be a whole number; weights are whole numbers from 0 to 2147483647` + leftOut,
		},

		// Names.
		{
			"no name", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {namespace: a}", gone,
			`error  metadata.name: stdin:1: it needs a metadata.name` + leftOut,
		},
		{
			"a name that would forge an identity", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a/sa/admin}", gone,
			`error  metadata.name: stdin:3: "a/sa/admin" is no valid name: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')` + leftOut,
		},

		{
			"what would write on the terminal", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x, \"\\e[31m\": 1}", counts,
			`info  metadata["\x1b[31m"]: stdin:3: unknown field "metadata[\"\\x1b[31m\"]"`,
		},

		// Types that are not read.
		{
			"old version", "apiVersion: split.smi-spec.io/v1alpha2\nkind: TrafficSplit\nmetadata: {name: x}", gone,
			`error  apiVersion: stdin:1: TrafficSplit is not read from files in version v1alpha2; write it as split.smi-spec.io/v1alpha4` + leftOut,
		},
		{
			"misspelt kind", "kind: TrafficSplt\napiVersion: split.smi-spec.io/v1alpha4\nmetadata: {name: x}", gone,
			`error  apiVersion: stdin:2: split.smi-spec.io has no kind TrafficSplt, did you mean TrafficSplit? The object is left out`,
		},
		{
			"kind of another group", "apiVersion: split.smi-spec.io/v1alpha4\nkind: TCPRoute\nmetadata: {name: x}", gone,
			`error  apiVersion: stdin:1: split.smi-spec.io has no kind TCPRoute; write apiVersion: specs.smi-spec.io/v1alpha4` + leftOut,
		},
		{
			"version without group", "apiVersion: v1alpha4\nkind: TrafficSplit\nmetadata: {name: x}", gone,
			`error  apiVersion: stdin:1: there is no TrafficSplit in apiVersion "v1alpha4"; write apiVersion: split.smi-spec.io/v1alpha4` + leftOut,
		},
		{
			"old Deployment", "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: x}", gone,
			`warning  apiVersion: stdin:1: Deployment is not read in apiVersion "extensions/v1beta1"; write apiVersion: apps/v1`,
		},
		{
			"measurements", "apiVersion: metrics.smi-spec.io/v1alpha1\nkind: TrafficMetrics\nmetadata: {name: x}", gone,
			`info  apiVersion: stdin:1: TrafficMetrics is measured and served, it cannot be given`,
		},
		{
			"no kind", "apiVersion: v1\nmetadata: {name: x}", gone,
			`error  : stdin:1: the object is left out, because it needs an apiVersion and a kind, both of them strings`,
		},

		// Documents that are no objects.
		{"a text", "hello", gone, `warning  : stdin:1: there is "hello", a string where a Kubernetes object is expected; it is left out`},
		{"no YAML", "a: b\nc: [d\ne: f\n", gone, `error  : stdin:2: the document is no valid YAML: did not find expected ',' or ']'`},
		{
			"bad indentation", "# first\n---\n# second\n---\napiVersion: v1\nkind: Pod\n metadata: {}\n", gone,
			`error  : stdin:7: the document is no valid YAML: mapping values are not allowed in this context`,
		},
		{
			"no key", "---\na: 1\nb\nc: 2\n", gone,
			`error  : stdin:3: the document is no valid YAML: could not find expected ':'`,
		},
		{
			"something behind a quote", "---\na: b\nc: \"d\" e\n", gone,
			`error  : stdin:3: the document is no valid YAML: did not find expected key`,
		},
		{"a tab", "a:\n\tb: c", gone, `error  : stdin:2: the document is no valid YAML: found character that cannot start any token`},
		{"UTF-16", "\xff\xfea\x00", gone, `error  : stdin: is encoded in UTF-16; save it as UTF-8`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := load(t, c.yaml, file.Options{})
			var got []string
			for _, f := range r.Findings {
				got = append(got, string(f.Severity)+" "+f.Rule+" "+f.Field+": "+f.Message)
			}
			expect(t, "findings", c.want, strings.Join(got, "\n"))
			expect(t, "counts", c.counts, len(r.Objects) > 0)
		})
	}
}

func TestFindingsNameTheirObject(t *testing.T) {
	r := load(t, "a: [\n---\n{apiVersion: split.smi-spec.io/v1alpha4, kind: TrafficSplit, metadata: {name: x, namespace: shop}, spec: []}", file.Options{})
	expect(t, "objects", []mesh.ObjectRef{{Kind: "File", Name: "stdin"}, {Kind: "TrafficSplit", Namespace: "shop", Name: "x"}},
		[]mesh.ObjectRef{r.Findings[0].Object, r.Findings[1].Object})
}

// Whatever is wrong with one object, all others count.
func TestABrokenObjectDisturbsNothingElse(t *testing.T) {
	r := load(t, `
{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}
---
this is: [no, yaml
---
{apiVersion: v1, kind: List, items: [
  {apiVersion: v1, kind: ServiceAccount, metadata: {name: b}},
  {apiVersion: v1, kind: ServiceAccount, metadata: {name: c, labels: 1}},
  {apiVersion: v1, kind: ServiceAccount, metadata: {name: d}}]}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: e}}
`, file.Options{})
	expect(t, "objects", []string{
		"v1.ServiceAccount default/a", "v1.ServiceAccount default/b", "v1.ServiceAccount default/d", "v1.ServiceAccount default/e",
	}, names(r.Objects))
	expect(t, "findings", 2, len(r.Findings))
}

func TestNothingShownHasControlCharacters(t *testing.T) {
	r := load(t, `
{apiVersion: v1, kind: ServiceAccount, metadata: {name: "\e[31m", namespace: "\a", labels: {"\b": "\r", "\v": 1}}}
---
{apiVersion: "split.smi-spec.io/\e", kind: TrafficSplit, metadata: {name: a}}
---
{apiVersion: split.smi-spec.io/v1alpha4, kind: "\e", metadata: {name: a}, "\r": 1}
---
{apiVersion: split.smi-spec.io/v1alpha4, kind: TrafficSplit, metadata: {name: a, creationTimestamp: "\r"}, "\r": !<\e> 1}
---
"\e[31m"
`, file.Options{})
	for _, f := range r.Findings {
		for _, shown := range []string{f.Message, f.Field, f.Object.String()} {
			if strings.ContainsAny(shown, "\a\b\x1b\r\v") {
				t.Errorf("%q", shown)
			}
		}
	}
	if len(r.Findings) < 5 {
		t.Errorf("only %d findings:\n%s", len(r.Findings), messages(r))
	}
}
