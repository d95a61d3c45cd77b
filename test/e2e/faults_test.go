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

// TestFaults breaks and changes the control plane while the mesh is under load. No
// call may fail, and afterwards the mesh follows its resources as before.
func TestFaults(t *testing.T) {
	l := here.underLoad(t, "e2e-faults")
	t.Run("the controller is killed", func(t *testing.T) {
		l.during(t, "controller killed", func() { here.kill(t, controllers) })
		l.follows(t)
	})
	t.Run("a bad resource beside good ones", func(t *testing.T) {
		l.during(t, "bad resource", func() {
			here.apply(t, fmt.Sprintf(`
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {namespace: %[1]s, name: bad}
spec: {matches: [{name: unfinished, pathRegex: "/(["}]}
---
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {namespace: %[1]s, name: bad}
spec: {destination: {kind: ServiceAccount, name: server}, sources: [{kind: ServiceAccount, namespace: %[1]s, name: load}], rules: [{kind: HTTPRouteGroup, name: bad}, {kind: HTTPRouteGroup, name: nowhere}]}
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {namespace: %[1]s, name: bad}
spec: {service: nowhere, backends: [{service: server, weight: 1}]}
`, l.namespace))
			here.condition(t, "TrafficTarget", l.namespace, "bad", "ResolvedRefs", "False")
		})
		l.follows(t)
	})
	t.Run("the API server is restarted", func(t *testing.T) {
		here.needsMachine(t, "nobody else's API server is restarted")
		l.during(t, "kube-apiserver restarted", func() { here.onMachine(t, "restart", "kube-apiserver") })
		l.follows(t)
	})
	t.Run("the mesh is upgraded", func(t *testing.T) {
		l.during(t, "helm upgrade", func() { here.upgrade(t, "controller.podAnnotations.e2e=upgraded") })
		l.follows(t)
	})
	t.Run("the leader changes", func(t *testing.T) {
		here.upgrade(t, "highAvailability=true")
		defer here.upgrade(t)
		l.during(t, "leader killed", func() {
			old := here.leader(t, "")
			here.killPods(t, system, old)
			t.Logf("%s led, and now %s does", old, here.leader(t, old))
		})
		l.follows(t)
	})
	t.Run("all controllers are down for two minutes", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes two minutes; make e2e-full runs it")
		}
		l.during(t, "no controller for two minutes", func() {
			here.scaleController(t, 0)
			defer here.scaleController(t, 1)
			here.elapse(t, 2*time.Minute)
		})
		l.follows(t)
	})
}

// controllers selects the pods of the controller.
const controllers = "app.kubernetes.io/name=smi-controller"

// upgrade upgrades the mesh to the tests' values and those given.
func (c *cluster) upgrade(t *testing.T, values ...string) {
	t.Helper()
	if err := c.install(context.WithoutCancel(t.Context()), values...); err != nil {
		t.Fatal(err)
	}
}

// kill ends the pods of the mesh's namespace that a selector selects, without
// warning, and waits until others have taken their places.
func (c *cluster) kill(t *testing.T, selector string) {
	t.Helper()
	living, err := c.pods(t.Context(), system, selector)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(living))
	for i := range living {
		names[i] = living[i].Name
	}
	c.killPods(t, system, names...)
}

// killPods ends pods without warning, and waits until others have taken their places.
func (c *cluster) killPods(t *testing.T, namespace string, names ...string) {
	t.Helper()
	now := int64(0)
	for _, name := range names {
		if err := c.core.CoreV1().Pods(namespace).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			t.Fatal(err)
		}
	}
	// Until the Deployment has noticed, it counts those that are gone as ready.
	eventually(t, "the killed pods are noticed", func(ctx context.Context) string {
		list, err := c.core.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for i := range list.Items {
			for _, e := range list.Items[i].Endpoints {
				for _, name := range names {
					if e.TargetRef != nil && e.TargetRef.Name == name {
						return name + " is in " + list.Items[i].Name
					}
				}
			}
		}
		return ""
	})
	c.running(t, namespace)
}

// leader waits until a controller leads that is not the one named, and returns the
// name of its pod.
func (c *cluster) leader(t *testing.T, not string) string {
	t.Helper()
	var name string
	eventually(t, "a controller leads", func(ctx context.Context) string {
		lease, err := c.core.CoordinationV1().Leases(system).Get(ctx, "smi-controller", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" || *lease.Spec.HolderIdentity == not {
			return fmt.Sprintf("the Lease is that of %q still", not)
		}
		name = *lease.Spec.HolderIdentity
		if _, err := c.core.CoreV1().Pods(system).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
	return name
}

func (c *cluster) scaleController(t *testing.T, replicas int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := c.core.AppsV1().Deployments(system).Patch(context.WithoutCancel(t.Context()), "smi-controller", types.MergePatchType, patch, metav1.PatchOptions{}, "scale")
	if err != nil {
		t.Fatal(err)
	}
	c.running(t, system)
}

// needsMachine skips a test on a cluster that the project has not made.
func (c *cluster) needsMachine(t *testing.T, why string) {
	t.Helper()
	if len(c.machine) == 0 {
		t.Skip("only on a cluster of test/cluster (E2E_CLUSTER): " + why)
	}
}

// onMachine gives an order to the command that runs the cluster.
func (c *cluster) onMachine(t *testing.T, args ...string) {
	t.Helper()
	args = append(append([]string{}, c.machine[1:]...), args...)
	if _, err := c.command(t.Context(), c.machine[0], args...); err != nil {
		t.Fatal(err)
	}
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
