//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestFaults breaks and changes things while the mesh is under load. No call may fail.
func TestFaults(t *testing.T) {
	l := here.underLoad(t, "e2e-faults")
	t.Run("the controller is killed", func(t *testing.T) {
		l.during(t, "controller killed", func() { here.killController(t) })
	})
	t.Run("a bad resource beside good ones", func(t *testing.T) {
		l.during(t, "bad resource", func() {
			here.apply(t, fmt.Sprintf(`
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {namespace: %[1]s, name: bad}
spec: {destination: {kind: ServiceAccount, name: server}, sources: [{kind: Nonsense, name: x}], rules: [{kind: Nonsense, name: y}]}
`, l.namespace))
			here.condition(t, "TrafficTarget", l.namespace, "bad", "ResolvedRefs", "False")
		})
	})
	t.Run("the application is rolled over", func(t *testing.T) {
		l.during(t, "rolling update", func() { here.restart(t, l.namespace, "server") })
	})
	t.Run("the mesh is upgraded", func(t *testing.T) {
		l.during(t, "helm upgrade", func() {
			if err := here.install(t.Context(), "podAnnotations.e2e=upgraded"); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("all controllers are down for two minutes", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes two minutes; make e2e-full runs it")
		}
		l.during(t, "no controller", func() {
			here.scaleController(t, 0)
			defer here.scaleController(t, 1)
			here.elapse(t, 2*time.Minute)
		})
	})
}

// killController deletes every pod of the controller at once, and waits until others
// serve.
func (c *cluster) killController(t *testing.T) {
	t.Helper()
	now := int64(0)
	err := c.core.CoreV1().Pods(system).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{LabelSelector: controllers})
	if err != nil {
		t.Fatal(err)
	}
	c.running(t, system)
}

// controllers selects the pods of the controller.
const controllers = "app.kubernetes.io/name=smi-controller"

func (c *cluster) scaleController(t *testing.T, replicas int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := c.core.AppsV1().Deployments(system).Patch(context.WithoutCancel(t.Context()), "smi-controller", types.MergePatchType, patch, metav1.PatchOptions{}, "scale")
	if err != nil {
		t.Fatal(err)
	}
	c.running(t, system)
}

// restart makes new pods of a Deployment, one after the other.
func (c *cluster) restart(t *testing.T, namespace, name string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"e2e/restarted":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
	if _, err := c.core.AppsV1().Deployments(namespace).Patch(t.Context(), name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	c.running(t, namespace)
}

// elapse lets time pass where time is what a test is about.
func (c *cluster) elapse(t *testing.T, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
