package inject_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/diff"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/internal/inject"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

var update = flag.Bool("update", false, "write what injection makes of the cases as what is expected of it; read the difference against docs/injection.md")

// TestGolden injects into the pod of each folder of testdata: input.yaml is its
// namespace and the pod, pod.diff what changes in it. The mesh's own containers
// and volumes are shown in full by the case plain and in short by the others.
func TestGolden(t *testing.T) {
	for _, folder := range cases(t) {
		name := filepath.Base(folder)
		t.Run(name, func(t *testing.T) {
			namespace, pod := readCase(t, folder)
			asGiven := pod.DeepCopy()
			injected, err := newInjector(t, options()).Inject(namespace, pod)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(asGiven, pod); diff != "" {
				t.Errorf("the given pod was changed (-before +after):\n%s", diff)
			}
			got := diff.Diff("pod", text(t, pod, true), "pod in the mesh", text(t, injected, name == "plain"))
			golden := filepath.Join(folder, "pod.diff")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v: go test ./internal/inject -run TestGolden -update writes it", err)
			}
			if !bytes.Equal(want, got) {
				t.Errorf("%s is not what becomes of the pod, but:\n%s", golden, got)
			}
		})
	}
}

// TestTwiceIsOnce injects into what was injected, as the API server does when
// another webhook has changed something.
func TestTwiceIsOnce(t *testing.T) {
	o := options()
	o.Token = nil // the real ones, each another
	for _, folder := range cases(t) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			namespace, pod := readCase(t, folder)
			injector := newInjector(t, o)
			once, err := injector.Inject(namespace, pod)
			if err != nil {
				t.Fatal(err)
			}
			twice, err := injector.Inject(namespace, once)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(once, twice); diff != "" {
				t.Errorf("a second injection changes the pod (-once +twice):\n%s", diff)
			}
		})
	}
}

// token is what the tests' pods have for their probes.
const token = "TOKENTHATISNOTTHEREALTHING"

func options() inject.Options {
	return inject.Options{
		Image:            "registry.test/smi-proxy:1.0.0",
		Controller:       "smi-controller.smi-system.svc:15012",
		TrustDomain:      "cluster.local",
		SystemNamespaces: []string{"smi-system"},
		PreStopSeconds:   inject.DefaultPreStopSeconds,
		Version:          "1.0.0",
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{"cpu": resource.MustParse("50m"), "memory": resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{"memory": resource.MustParse("256Mi")},
		},
		Token: func() string { return token },
		Mode:  func(n *corev1.Namespace) mesh.Mode { return mesh.Mode(n.Labels[sidecar.LabelAccess]) },
	}
}

func newInjector(t testing.TB, o inject.Options) *inject.Injector {
	t.Helper()
	injector, err := inject.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return injector
}

func cases(t testing.TB) []string {
	t.Helper()
	inputs, err := filepath.Glob("testdata/*/input.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("testdata has no cases: %v", err)
	}
	folders := make([]string, len(inputs))
	for i, input := range inputs {
		folders[i] = filepath.Dir(input)
	}
	return folders
}

func readCase(t testing.TB, folder string) (*corev1.Namespace, *corev1.Pod) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(folder, "input.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	first, second, found := strings.Cut(string(raw), "\n---\n")
	if !found {
		t.Fatalf("%s has not a namespace and a pod", folder)
	}
	namespace, pod := &corev1.Namespace{}, &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(first), namespace); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(second), pod); err != nil {
		t.Fatal(err)
	}
	return namespace, pod
}

// text is a pod to be read by a person: the sidecar's settings are spread over
// lines, and what all sidecars have alike is left out unless all is asked for.
func text(t *testing.T, pod *corev1.Pod, all bool) []byte {
	t.Helper()
	pod = pod.DeepCopy()
	pod.Status = corev1.PodStatus{}
	for i, c := range pod.Spec.InitContainers {
		if c.Name != sidecar.Container && c.Name != sidecar.RedirectContainer {
			continue
		}
		for k := range c.Env {
			if c.Env[k].Name == sidecar.SettingsVariable {
				c.Env[k].Value = spread(t, c.Env[k].Value)
			}
		}
		if !all {
			c = corev1.Container{Name: c.Name, Args: c.Args, Env: settingsOnly(c.Env)}
		}
		pod.Spec.InitContainers[i] = c
	}
	if !all {
		pod.Spec.Volumes = pod.Spec.Volumes[:max(0, len(pod.Spec.Volumes)-3)]
	}
	raw, err := yaml.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func settingsOnly(env []corev1.EnvVar) []corev1.EnvVar {
	for _, v := range env {
		if v.Name == sidecar.SettingsVariable {
			return []corev1.EnvVar{v}
		}
	}
	return nil
}

func spread(t *testing.T, settings string) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(settings), "", "  "); err != nil {
		t.Fatalf("the settings are no JSON: %v", err)
	}
	return out.String()
}
