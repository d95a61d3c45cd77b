package cluster

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestAdapt puts what the suite says into the words of a mesh.
func TestAdapt(t *testing.T) {
	o := &Options{Image: "registry.example/sample:v1", Profile: &Profile{
		NamespaceLabels: map[string]string{"mesh": "on"}, OutsideAnnotations: map[string]string{"mesh": "off"},
	}}
	for name, test := range map[string]struct{ in, want string }{
		"a namespace": {
			"kind: Namespace\nmetadata: {name: a, labels: {x: z}}",
			"kind: Namespace\nmetadata: {name: a, labels: {mesh: 'on', x: z}}",
		},
		"a namespace outside": {
			"kind: Namespace\nmetadata: {name: a, labels: {x: z, smi-spec.io/inject: disabled}}",
			"kind: Namespace\nmetadata: {name: a, labels: {x: z}}",
		},
		"a workload": {
			"kind: Deployment\nspec: {template: {metadata: {labels: {app: a}}, spec: {containers: [{image: smi-sample, args: [-control=$(CONTROL)]}]}}}",
			"kind: Deployment\nspec: {template: {metadata: {labels: {app: a}}, spec: {terminationGracePeriodSeconds: 10, containers: [{image: 'registry.example/sample:v1', imagePullPolicy: IfNotPresent, args: ['-control=127.0.0.1:7999']}]}}}",
		},
		"a workload outside": {
			"kind: Deployment\nspec: {template: {metadata: {labels: {app: a, smi-spec.io/inject: disabled}}, spec: {containers: [{image: smi-sample}]}}}",
			"kind: Deployment\nspec: {template: {metadata: {labels: {app: a}, annotations: {mesh: 'off'}}, spec: {terminationGracePeriodSeconds: 10, containers: [{image: 'registry.example/sample:v1', imagePullPolicy: IfNotPresent}]}}}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, want := read(t, test.in), read(t, test.want)
			o.adapt(got)
			a, _ := yaml.Marshal(got.Object)
			b, _ := yaml.Marshal(want.Object)
			if strings.TrimSpace(string(a)) != strings.TrimSpace(string(b)) {
				t.Errorf("got\n%s\nwanted\n%s", a, b)
			}
		})
	}
}

func read(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := new(unstructured.Unstructured)
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}
