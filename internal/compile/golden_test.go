package compile_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

var update = flag.Bool("update", false, "write what compile makes of the cases as what is expected of it; read the difference against docs/semantics.md")

// TestGolden compiles each folder of testdata, whose name begins with the rule
// that it shows: input.yaml, with config.yaml where the configuration is not the
// usual one, must mean mesh.txt.
func TestGolden(t *testing.T) {
	for _, folder := range cases(t) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			objects := readObjects(t, filepath.Join(folder, "input.yaml"))
			config := readConfig(t, folder)
			got := text(t, compiled(config, objects))
			golden := filepath.Join(folder, "mesh.txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v: go test ./internal/compile -run TestGolden -update writes it", err)
			}
			if diff := cmp.Diff(lines(string(want)), lines(got)); diff != "" {
				t.Errorf("%s is not what compile makes of the input (-file +compile):\n%s", golden, diff)
			}
			// The order in which objects come must mean nothing.
			slices.Reverse(objects)
			if diff := cmp.Diff(lines(got), lines(text(t, compiled(config, objects)))); diff != "" {
				t.Errorf("the same objects in another order mean something else:\n%s", diff)
			}
		})
	}
}

// rules are those that compile decides, wholly or in part.
var rules = []string{
	"ID-1", "ID-4", "ID-5", "ID-6", "PR-1", "PR-2", "PR-5",
	"SP-1", "SP-2", "SP-3", "SP-4", "SP-5", "SP-6", "SP-7", "SP-8",
	"AC-1", "AC-3", "AC-4", "AC-5", "AC-6", "AC-7", "AC-8", "AC-9", "AC-10", "AC-11", "AC-13", "AC-16", "AC-18",
	"TS-1", "TS-2", "TS-3", "TS-4", "TS-5", "TS-6", "TS-7", "TS-8", "TS-9",
}

func TestEveryRuleHasACase(t *testing.T) {
	shown := map[string]bool{}
	for _, folder := range cases(t) {
		rule := ruleOf(folder)
		if !slices.Contains(rules, rule) {
			t.Errorf("%s: the folder's name must begin with a rule that compile decides and a hyphen", folder)
		}
		shown[rule] = true
	}
	for _, rule := range rules {
		if !shown[rule] {
			t.Errorf("no case shows %s", rule)
		}
	}
}

func TestFindingsAreComplete(t *testing.T) {
	known := regexp.MustCompile(`^(ID|PR|SP|AC|TS)-[1-9][0-9]?$`)
	for _, folder := range cases(t) {
		m := compiled(readConfig(t, folder), readObjects(t, filepath.Join(folder, "input.yaml")))
		for _, f := range m.Findings {
			if !known.MatchString(f.Rule) || f.Reason == "" || f.Message == "" || f.Object.Name == "" {
				t.Errorf("%s: the finding %+v is not complete", folder, f)
			}
		}
	}
}

func cases(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob("testdata/[A-Z][A-Z]-*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no cases in testdata (%v)", err)
	}
	return folders
}

// ruleOf returns the rule that a folder's name begins with.
func ruleOf(folder string) string {
	parts := strings.SplitN(filepath.Base(folder), "-", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[0] + "-" + parts[1]
}

// readObjects reads manifests as smi check does. Whatever the files themselves
// are wrong in has no place in a case of compile.
func readObjects(t *testing.T, path string) []store.Object {
	t.Helper()
	read, err := file.Load([]string{path}, file.Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range read.Findings {
		t.Errorf("%s: %s", f.Object, f.Message)
	}
	return withStatus(slices.Clone(read.Objects))
}

// Annotations by which a case gives a pod the status that files cannot have.
const (
	addressesOfPod = "test/addresses"
	unreadyPod     = "test/unready"
)

func withStatus(objects []store.Object) []store.Object {
	for i, o := range objects {
		pod, ok := o.(*corev1.Pod)
		if !ok || pod.Annotations[addressesOfPod] == "" {
			continue
		}
		pod = pod.DeepCopy()
		for ip := range strings.SplitSeq(pod.Annotations[addressesOfPod], ",") {
			pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
		}
		pod.Status.PodIP = pod.Status.PodIPs[0].IP
		if pod.Annotations[unreadyPod] != "" {
			pod.Status.Conditions = nil
		}
		objects[i] = pod
	}
	return objects
}

func readConfig(t *testing.T, folder string) compile.Config {
	t.Helper()
	var config compile.Config
	written, err := os.ReadFile(filepath.Join(folder, "config.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return config
	}
	if err == nil {
		err = yaml.UnmarshalStrict(written, &config)
	}
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func compiled(config compile.Config, objects []store.Object) *mesh.Mesh {
	s := store.New()
	s.Put(objects...)
	return compile.New(config).Compile(s.Snapshot())
}

func text(t *testing.T, m *mesh.Mesh) string {
	t.Helper()
	var b strings.Builder
	if err := m.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// lines makes differences readable.
func lines(text string) []string { return strings.Split(text, "\n") }
