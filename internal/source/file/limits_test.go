package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smi-project/smi/internal/source/file"
)

const accountA = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}"

func annotated(size int) string {
	return "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: large\n  annotations: {x: " + strings.Repeat("x", size) + "}"
}

// Hostile and careless input is refused for what it is, and what is beside it is
// read all the same.
func TestLimits(t *testing.T) {
	var billion strings.Builder
	billion.WriteString("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: bomb}\nx0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for i := range 20 {
		fmt.Fprintf(&billion, "x%d: &x%d [*x%d, *x%d, *x%d, *x%d, *x%d, *x%d, *x%d, *x%d]\n", i+1, i+1, i, i, i, i, i, i, i, i)
	}
	var lists strings.Builder
	lists.WriteString("l0: &l0 [{}]\n")
	for i := range 20 {
		fmt.Fprintf(&lists, "l%d: &l%d [{kind: List, items: *l%d}, {kind: List, items: *l%d}]\n", i+1, i+1, i, i)
	}
	var merges strings.Builder
	merges.WriteString("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: bomb}\na: &a {")
	for i := range 1000 {
		fmt.Fprintf(&merges, "k%d: 1, ", i)
	}
	merges.WriteString("}\nb:\n" + strings.Repeat("- {<<: *a}\n", 1000))

	cases := []struct{ name, yaml, want string }{
		{"a document of 5 MB", annotated(5_000_000), "stdin:1: the document has 5000081 bytes; an object may have 1048576"},
		{"an object a little too large", annotated(1 << 20), "stdin:1: the document has 1048657 bytes; an object may have 1048576"},
		{"a list that is too large", "kind: List\napiVersion: v1\nitems:\n" + strings.Repeat("# filler\n", 600_000), "stdin:1: the document has 5400034 bytes; a list of objects may have 5242880. Write its objects as documents of their own, with --- between them"},
		{"an object too large within a list", "kind: List\napiVersion: v1\nitems:\n- " + strings.ReplaceAll(annotated(1<<20), "\n", "\n  "), "stdin:4: written out it has more than 1048576 bytes. The object is left out"},
		{"a ConfigMap that is too large", "kind: ConfigMap\napiVersion: v1\ndata: {x: " + strings.Repeat("x", 2<<20) + "}", ""},
		{"aliases of aliases", billion.String(), "stdin:1: written out it has more than 1048576 bytes. The object is left out"},
		{"aliases of lists of objects", lists.String() + "apiVersion: v1\nkind: List\nitems: *l20", "stdin:2: the document holds more than 100000 objects"},
		{"merges of merges", merges.String(), `stdin:4: unknown field "a"; known are apiVersion, automountServiceAccountToken, imagePullSecrets, kind, metadata, secrets`},
		{"an alias to what it is in", "apiVersion: v1\nkind: ServiceAccount\nmetadata: &m\n  name: a\n  annotations: *m", "stdin:3: metadata.annotations: *m refers to a value that contains itself. The object is left out"},
		{"deep nesting", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: b}\nsecrets: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "stdin:1: it is nested deeper than 200 levels. The object is left out"},
		{"deeper nesting", "x: " + strings.Repeat("[", 1_000_000), "stdin:1: the document is no valid YAML: exceeded max depth of 10000"},
		{"deep nesting in JSON", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"b"},"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "stdin:1: it is nested deeper than 200 levels. The object is left out"},
		{"too many replicas", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: w}, spec: {replicas: 10001}}", "stdin:1: it asks for more than 10000 Pods. The object is left out"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := load(t, c.yaml+"\n---\n"+accountA, file.Options{})
			if got := names(r.Objects); len(got) == 0 || got[len(got)-1] != "v1.ServiceAccount default/a" {
				t.Errorf("objects are %v, and the good one is not among them", got)
			}
			var got string
			if len(r.Findings) > 0 {
				got = r.Findings[0].Message
			}
			expect(t, "the first finding", c.want, got)
		})
	}
}

func TestAFileOfTooManyDocuments(t *testing.T) {
	r := load(t, strings.Repeat("a: b\n---\n", 100_001), file.Options{})
	expect(t, "message", "stdin: has more than 100000 documents, which is the most that is read", r.Findings[0].Message)
}

func TestOneObjectHasSoManyFindings(t *testing.T) {
	var labels strings.Builder
	for i := range 100 {
		fmt.Fprintf(&labels, "k%d: %d, ", i, i)
	}
	r := load(t, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, labels: {"+labels.String()+"}}", file.Options{})
	expect(t, "findings", 20, len(r.Findings))
}

func TestAFileThatIsTooLargeIsNotRead(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{"a.yaml": accountA})
	large := filepath.Join(folder, "b.yaml")
	f, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(file.MaxFileBytes + 1); err != nil { // a hole, which takes no space
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := file.Load([]string{folder}, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "objects", []string{"v1.ServiceAccount default/a"}, names(r.Objects))
	expect(t, "message", large+": cannot be read: has more than 67108864 bytes, which is the most that is read", r.Findings[0].Message)
}

func TestWorkloadsTogetherAreBounded(t *testing.T) {
	var all strings.Builder
	for i := range 11 {
		fmt.Fprintf(&all, "---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: w%d}, spec: {replicas: 10000}}\n", i)
	}
	r := load(t, all.String(), file.Options{})
	expect(t, "pods", file.MaxPods, len(r.Objects))
	expect(t, "message", "stdin:22: the workloads up to here ask for more than 100000 Pods; this one is left out", r.Findings[0].Message)
}
