package cluster

import (
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// driverPort is where the drivers of workloads listen, at their pods' loopback:
// no mesh stands in front of that, and port forwarding leads there.
const driverPort = 7999

// endSeconds is how long a pod of the suite may take to end.
const endSeconds = 10

// markOutside is how the suite's own manifests keep a namespace or a pod out of the
// mesh; a profile says it in the words of its mesh.
const (
	markOutside = "smi-spec.io/inject"
	outside     = "disabled"
)

// adapt puts an object of the suite into the words of the mesh: its marks, and the
// image and the driver of workloads.
func (o *Options) adapt(object *unstructured.Unstructured) {
	switch object.GetKind() {
	case "Namespace":
		o.adaptNamespace(object)
	case "Deployment":
		o.adaptDeployment(object)
	}
}

func (o *Options) adaptNamespace(namespace *unstructured.Unstructured) {
	labels := namespace.GetLabels()
	if labels[markOutside] == outside {
		delete(labels, markOutside)
		namespace.SetLabels(labels)
		return
	}
	namespace.SetLabels(merged(labels, o.Profile.NamespaceLabels))
	namespace.SetAnnotations(merged(namespace.GetAnnotations(), o.Profile.NamespaceAnnotations))
}

func (o *Options) adaptDeployment(deployment *unstructured.Unstructured) {
	template, _, _ := unstructured.NestedMap(deployment.Object, "spec", "template") // the fixture's own shape
	pod := &unstructured.Unstructured{Object: template}
	if labels := pod.GetLabels(); labels[markOutside] == outside {
		delete(labels, markOutside)
		pod.SetLabels(merged(labels, o.Profile.OutsideLabels))
		pod.SetAnnotations(merged(pod.GetAnnotations(), o.Profile.OutsideAnnotations))
	} else {
		pod.SetAnnotations(merged(pod.GetAnnotations(), o.Profile.PodAnnotations))
	}
	// The suite waits for pods that end.
	_ = unstructured.SetNestedField(template, int64(endSeconds), "spec", "terminationGracePeriodSeconds")
	containers, _, _ := unstructured.NestedSlice(template, "spec", "containers")
	for _, c := range containers {
		container := c.(map[string]any)
		container["image"] = o.Image
		container["imagePullPolicy"] = "IfNotPresent"
		args, _ := container["args"].([]any)
		for i, arg := range args {
			args[i] = strings.ReplaceAll(fmt.Sprint(arg), "$(CONTROL)", fmt.Sprintf("127.0.0.1:%d", driverPort))
		}
	}
	_ = unstructured.SetNestedSlice(template, containers, "spec", "containers")
	_ = unstructured.SetNestedMap(deployment.Object, template, "spec", "template")
}

func merged(into, from map[string]string) map[string]string {
	if len(from) == 0 {
		return into
	}
	out := maps.Clone(into)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, from)
	return out
}
