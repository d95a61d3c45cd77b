//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestStatus sees what the objects themselves tell their authors.
func TestStatus(t *testing.T) {
	const ns = "e2e-status"
	here.namespace(t, ns, meshed())
	here.apply(t, workload{namespace: ns, name: "server", ports: []string{"http:8080"}}.yaml()+
		workload{namespace: ns, name: "client"}.yaml()+
		allow(ns, "server", ns+"/client")+fmt.Sprintf(`
---
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {namespace: %[1]s, name: broken}
spec: {destination: {kind: ServiceAccount, name: server}, sources: [{kind: ServiceAccount, namespace: %[1]s, name: client}], rules: [{kind: HTTPRouteGroup, name: nowhere}]}
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {namespace: %[1]s, name: first}
spec: {service: server, backends: [{service: server, weight: 1}]}
`, ns))
	here.running(t, ns)
	here.condition(t, "TrafficTarget", ns, "server", "Programmed", "True")
	here.condition(t, "TrafficTarget", ns, "broken", "ResolvedRefs", "False")
	here.condition(t, "TrafficSplit", ns, "first", "Accepted", "True")
	eventually(t, "an Event tells of the broken target", func(ctx context.Context) string {
		list, err := here.core.EventsV1().Events(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for _, e := range list.Items {
			if e.Regarding.Name == "broken" && e.Type == "Warning" && strings.Contains(e.Note, "nowhere") {
				return ""
			}
		}
		return fmt.Sprintf("there are %d Events", len(list.Items))
	})
	// A later split of the same root is in conflict, and says with what.
	here.apply(t, fmt.Sprintf(`
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {namespace: %[1]s, name: second}
spec: {service: server, backends: [{service: server, weight: 1}]}
`, ns))
	here.condition(t, "TrafficSplit", ns, "second", "Conflicted", "True")
}

// condition waits for a condition of an SMI object, of its present generation.
func (c *cluster) condition(t *testing.T, kind, namespace, name, condition, status string) {
	t.Helper()
	o := smiObject(kind)
	eventually(t, fmt.Sprintf("%s %s/%s is %s=%s", kind, namespace, name, condition, status), func(ctx context.Context) string {
		if err := c.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
			return err.Error()
		}
		conditions, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
		if err != nil {
			return err.Error()
		}
		for _, one := range conditions {
			m := one.(map[string]any)
			if m["type"] == condition && m["status"] == status && m["observedGeneration"] == o.GetGeneration() {
				return ""
			}
		}
		return fmt.Sprintf("its conditions are %v", conditions)
	})
}

// smiObject is an empty object of one of SMI's kinds.
func smiObject(kind string) *unstructured.Unstructured {
	groups := map[string]string{"TrafficTarget": "access", "TrafficSplit": "split", "HTTPRouteGroup": "specs", "TCPRoute": "specs", "UDPRoute": "specs"}
	o := new(unstructured.Unstructured)
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: groups[kind] + ".smi-spec.io", Version: "v1alpha4", Kind: kind})
	return o
}

// removeOne deletes one of SMI's objects.
func (c *cluster) removeOne(t *testing.T, kind, namespace, name string) {
	t.Helper()
	o := smiObject(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	if err := c.client.Delete(t.Context(), o); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
}
