package cases

import (
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
