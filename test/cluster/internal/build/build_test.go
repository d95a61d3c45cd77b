package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkout is the folder of this module.
func checkout(t *testing.T) string {
	t.Helper()
	source, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// TestModulesNamePrograms holds the list of programs against the go.mod of each
// component: only what is named there has its checksums pinned.
func TestModulesNamePrograms(t *testing.T) {
	source := checkout(t)
	for _, component := range components {
		t.Run(component.Name, func(t *testing.T) {
			cmd := exec.Command("go", "mod", "edit", "-json")
			cmd.Dir = filepath.Join(source, "components", component.Name)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			_, tools, _ := strings.Cut(string(out), `"Tool"`)
			for _, program := range component.Programs {
				if !strings.Contains(tools, `"`+program.Package+`"`) {
					t.Errorf("go.mod has no tool line for %s", program.Package)
				}
			}
			if got, want := strings.Count(tools, `"Path"`), len(component.Programs); got != want {
				t.Errorf("go.mod has %d tool lines for %d programs", got, want)
			}
		})
	}
}

func TestKeyChangesWithInputs(t *testing.T) {
	source := t.TempDir()
	module := filepath.Join(source, "components", "etcd")
	if err := os.MkdirAll(module, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(module, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module a")
	write("go.sum", "1")
	cache := &Cache{Source: source}
	component := Component{Name: "etcd"}
	seen := map[string]string{}
	expectNew := func(what string, component Component, version string) {
		t.Helper()
		key, err := cache.key(component, version)
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[key]; ok {
			t.Errorf("%s has the key of %s", what, before)
		}
		seen[key] = what
	}
	expectNew("the first", component, "go1.26")
	expectNew("another Go", component, "go1.27")
	expectNew("other tags", Component{Name: "etcd", Tags: "x"}, "go1.26")
	write("go.sum", "2")
	expectNew("another go.sum", component, "go1.26")
	write("go.mod", "module b")
	expectNew("another go.mod", component, "go1.26")
	// The bytes are the same, the files are not.
	write("go.mod", "module ")
	write("go.sum", "b2")
	expectNew("bytes moved between the files", component, "go1.26")
}

func TestWhatIsBuiltIsNotBuiltAgain(t *testing.T) {
	cache := &Cache{Dir: t.TempDir(), Source: checkout(t), Progress: func(format string, args ...any) {
		t.Errorf("something was done: "+format, args...)
	}}
	folders, err := cache.Folders(context.Background(), ControlPlane...)
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) != len(ControlPlane) {
		t.Fatalf("folders of %v: %v", ControlPlane, folders)
	}
	if got := cache.missing(folders); !slices.Contains(got, "kube-apiserver") || slices.Contains(got, "containerd") {
		t.Errorf("missing in an empty cache: %v", got)
	}
	for _, component := range components {
		for _, program := range component.Programs {
			if folder := folders[component.Name]; folder != "" {
				if err := os.MkdirAll(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, program.File), nil, 0o700); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	again, err := cache.Ensure(context.Background(), ControlPlane...)
	if err != nil {
		t.Fatal(err)
	}
	assets, err := cache.Assets(again)
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := os.Stat(filepath.Join(assets, program)); err != nil {
			t.Errorf("the assets lack %s: %v", program, err)
		}
	}
}

func TestOutputName(t *testing.T) {
	for pkg, want := range map[string]string{
		"go.etcd.io/etcd/server/v3":              "server",
		"k8s.io/kubernetes/cmd/kubectl":          "kubectl",
		"github.com/coredns/coredns":             "coredns",
		"example.org/v8engine":                   "v8engine",
		"github.com/containerd/v2/cmd/something": "something",
	} {
		if got := outputName(pkg); got != want {
			t.Errorf("%s: got %s, want %s", pkg, got, want)
		}
	}
}
