package cases

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestEveryRuleHasACase holds the suite against the rules.
func TestEveryRuleHasACase(t *testing.T) {
	text, err := os.ReadFile("../../docs/semantics.md")
	if err != nil {
		t.Fatal(err)
	}
	proven := map[string]bool{}
	for _, c := range Suite().Cases {
		for _, rule := range c.Rules {
			proven[rule] = true
		}
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### ([A-Z]{2}-\d+):`).FindAllStringSubmatch(string(text), -1) {
		rule := m[1]
		known[rule] = true
		if _, excused := Unproven[rule]; proven[rule] == excused {
			t.Errorf("%s: a case proves it (%t), and it is among the unproven (%t): exactly one is to be", rule, proven[rule], excused)
		}
	}
	for rule := range proven {
		if !known[rule] {
			t.Errorf("%s is no rule of docs/semantics.md", rule)
		}
	}
}

// TestCasesAreWellFormed checks what reports and claims rely on.
func TestCasesAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	form := regexp.MustCompile(`^(([A-Z]{2}-\d+)(-[a-z0-9]+)+|(TA|TS|TSC)-\d\.\d\.\d+)$`)
	for _, c := range Suite().Cases {
		switch {
		case seen[c.ID]:
			t.Errorf("%s is there twice", c.ID)
		case !form.MatchString(c.ID):
			t.Errorf("%s: an id is a rule and words, such as AC-3-union, or the number of an original case", c.ID)
		case c.Title == "" || strings.HasSuffix(c.Title, ".") || len(c.Rules) == 0 || len(c.Features) == 0 || c.Run == nil:
			t.Errorf("%s: a title without a full stop, rules, features and a function are needed", c.ID)
		}
		seen[c.ID] = true
	}
}

// TestSlowCasesShareNothing sees that no case which runs beside others applies an
// object that another manifest has as well: one would replace the other's. The
// manifests of a case are those that begin with its id.
func TestSlowCasesShareNothing(t *testing.T) {
	slow := map[string]string{} // prefixes of manifests, and their cases
	id := regexp.MustCompile(`^([A-Z]{2})-(\d+)-(.+)$`)
	for _, c := range Suite().Cases {
		if !c.Slow {
			continue
		}
		m := id.FindStringSubmatch(c.ID)
		if m == nil {
			t.Fatalf("%s: a slow case is named after its rule", c.ID)
		}
		prefix := fmt.Sprintf("%s_%02s_%s", strings.ToLower(m[1]), m[2], strings.ReplaceAll(m[3], "-", "_"))
		slow[prefix] = c.ID
	}
	owner := func(manifest string) string {
		for prefix, id := range slow {
			if strings.HasPrefix(manifest, prefix) {
				return id
			}
		}
		return manifest
	}
	names, err := fs.Glob(manifests, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	owners, found := map[string][]string{}, map[string]bool{}
	for _, name := range append(names, "../fixture.yaml") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found[owner(name)] = true
		for _, key := range keysOf(t, name, text) {
			owners[key] = append(owners[key], owner(name))
		}
	}
	for prefix, id := range slow {
		if !found[id] {
			t.Errorf("%s has no manifest that begins with %s", id, prefix)
		}
	}
	for key, all := range owners {
		slices.Sort(all)
		if all = slices.Compact(all); len(all) > 1 && slices.ContainsFunc(all, func(o string) bool { return !strings.HasSuffix(o, ".yaml") }) {
			t.Errorf("%s is applied by %s, of which one runs beside the others", key, strings.Join(all, " and "))
		}
	}
}

// keysOf are the kinds and names of a manifest's objects.
func keysOf(t *testing.T, name string, text []byte) []string {
	t.Helper()
	var keys []string
	for _, document := range strings.Split(string(text), "\n---\n") {
		var o struct {
			Kind     string
			Metadata struct{ Namespace, Name string }
		}
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o.Metadata.Namespace == "" && o.Kind != "Namespace" {
			o.Metadata.Namespace = "smi-apps"
		}
		keys = append(keys, fmt.Sprintf("%s %s/%s", o.Kind, o.Metadata.Namespace, o.Metadata.Name))
	}
	return keys
}

// TestManifestsSayWhatTheyApply sees that every manifest is used, named after its
// rule, and of an API version that some case declares.
func TestManifestsSayWhatTheyApply(t *testing.T) {
	names, err := fs.Glob(manifests, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	sources, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	declared := map[string]bool{"v1": true, "apps/v1": true}
	for _, c := range Suite().Cases {
		for _, api := range c.APIs {
			declared[api] = true
		}
	}
	for _, name := range names {
		if !strings.Contains(source.String(), `"`+name+`"`) {
			t.Errorf("%s is applied by no case", name)
		}
		text, err := fs.ReadFile(manifests, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(text), "\n---\n") {
			var head struct{ APIVersion string }
			if err := yaml.Unmarshal([]byte(document), &head); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !declared[head.APIVersion] {
				t.Errorf("%s: no case declares %q", name, head.APIVersion)
			}
		}
	}
	if !slices.IsSorted(names) {
		t.Error("manifests are not in order")
	}
}
