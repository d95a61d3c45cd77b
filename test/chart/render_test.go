package chart

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the expected manifests anew")

const (
	folder = "../../charts/smi"
	system = "smi-system"
)

// helm runs Helm on the chart.
func helm(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	program := os.Getenv("HELM")
	if program == "" {
		program = "helm"
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("Helm 4 is needed; make test sets HELM, and by hand: make bin/helm && export HELM=$PWD/bin/helm (%v)", err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	return out.String(), problems.String(), err
}

// render returns what the chart makes of values, as helm template prints it.
func render(t *testing.T, args ...string) string {
	t.Helper()
	out, problems, err := helm(t, append([]string{"template", "smi", folder, "--namespace", system, "--kube-version", "1.36.0"}, args...)...)
	if err != nil {
		t.Fatalf("helm template %v: %s", args, problems)
	}
	return out
}

// objects are what the chart makes of values, by "Kind/name".
func objects(t *testing.T, args ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	found := map[string]*unstructured.Unstructured{}
	for document := range strings.SplitSeq("\n"+render(t, args...), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &object.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(object.Object) == 0 {
			continue
		}
		key := object.GetKind() + "/" + object.GetName()
		if found[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		found[key] = object
	}
	return found
}

// as returns an object as its type.
func as[T any](t *testing.T, all map[string]*unstructured.Unstructured, key string) *T {
	t.Helper()
	object := all[key]
	if object == nil {
		t.Fatalf("there is no %s", key)
	}
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return typed
}

func TestLint(t *testing.T) {
	t.Parallel()
	if out, problems, err := helm(t, "lint", "--strict", folder); err != nil {
		t.Errorf("%s%s", out, problems)
	}
}

// TestManifests compares with manifests that a person has read.
func TestManifests(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/*/values.yaml")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, values := range cases {
		dir := filepath.Dir(values)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			got := render(t, "--values", values)
			expected := filepath.Join(dir, "manifests.yaml")
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("make golden writes it anew (-want +got):\n%s", d)
			}
		})
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, values, says string }{
		{"a name that does not exist", `replicas: 2`, "additional properties 'replicas' not allowed"},
		{"a misspelt name further down", `controller: {replica: 2}`, "additional properties 'replica' not allowed"},
		{"no controller", `controller: {replicas: 0}`, "controller/replicas"},
		{"a failure policy", `webhook: {failurePolicy: Ignore}`, "additional properties 'webhook' not allowed"},
		{"a registry with a scheme", `image: {registry: "https://registry.example.org"}`, "image/registry"},
		{"a registry with a slash at its end", `image: {registry: registry.example.org/}`, "image/registry"},
		{"a tag with a digest", `image: {tag: "v1@sha256:00"}`, "image/tag"},
		{"a pull policy", `image: {pullPolicy: Sometimes}`, "image/pullPolicy"},
		{"a budget that lets none go", `podDisruptionBudget: {maxUnavailable: 0}`, "podDisruptionBudget/maxUnavailable"},
		{"a heap that is collected at every turn", `controller: {gcPercent: 0}`, "controller/gcPercent"},
		{"a quantity", `controller: {resources: {limits: {memory: much}}}`, "limits/memory"},
		{"a mode", `config: {mode: lenient}`, "config/mode"},
		{"a range", `config: {exclude: {cidrs: [10.0.0.1]}}`, "exclude/cidrs/0"},
		{"a port", `config: {exclude: {inboundPorts: [65536]}}`, "exclude/inboundPorts/0"},
		{"another Service", `config: {service: other}`, "config/service"},
		{"a certificate authority of one's own without a name", `config: {ca: {source: secret}}`, "config/ca"},
		{"a certificate authority of one's own under our name", `config: {ca: {source: secret, secret: smi-ca}}`, "config/ca/secret"},
		{"another kind of configuration", `config: {kind: Other}`, "config/kind"},
		{"no ports of the API server", `networkPolicy: {apiServerPorts: []}`, "networkPolicy/apiServerPorts"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			values := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(values, []byte(test.values), 0o600); err != nil {
				t.Fatal(err)
			}
			_, problems, err := helm(t, "template", "smi", folder, "--values", values)
			if err == nil || !strings.Contains(problems, test.says) {
				t.Errorf("want it refused for %q, got %v: %s", test.says, err, problems)
			}
		})
	}
}
