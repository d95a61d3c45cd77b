package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/status"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func target(name, group string) *access.TrafficTarget {
	return &access.TrafficTarget{ObjectMeta: meta("shop", name), Spec: access.TrafficTargetSpec{
		Destination: access.IdentityBindingSubject{Kind: access.KindServiceAccount, Name: "default"},
		Sources:     []access.IdentityBindingSubject{{Kind: access.KindServiceAccount, Name: "default"}},
		Rules:       []access.TrafficTargetRule{{Kind: access.KindHTTPRouteGroup, Name: group}},
	}}
}

// says waits until a condition of an object has a status and a reason.
func (c *cluster) says(o client.Object, conditions func() []metav1.Condition, kind string, want metav1.ConditionStatus, reason string) {
	c.t.Helper()
	kubetest.Eventually(c.t, func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		got := apimeta.FindStatusCondition(conditions(), kind)
		if got == nil || got.Status != want || got.Reason != reason || got.ObservedGeneration != o.GetGeneration() {
			return fmt.Errorf("%T %s: condition %s is %+v, want %s for %s at generation %d", o, o.GetName(), kind, got, want, reason, o.GetGeneration())
		}
		return nil
	})
}

// TestStatus starts before any definition of SMI is installed, and follows
// resources that are broken, mended and in each other's way.
func TestStatus(t *testing.T) {
	c := newCluster(t)
	c.namespace("shop", nil)
	r := c.start("one")
	if got := r.source.Missing(); len(got) != 6 {
		t.Errorf("missing kinds: %v, want all six", got)
	}
	c.installCRDs()

	broken := target("buyers", "routes")
	c.create(broken)
	conditions := func() []metav1.Condition { return broken.Status.Conditions }
	c.says(broken, conditions, status.ResolvedRefs, metav1.ConditionFalse, "UnknownRoute")
	c.says(broken, conditions, status.Accepted, metav1.ConditionTrue, status.ReasonAccepted)
	kubetest.Eventually(t, func(ctx context.Context) error {
		var events eventsv1.EventList
		if err := c.List(ctx, &events, client.InNamespace("shop")); err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Regarding.Name == "buyers" && e.Regarding.Kind == "TrafficTarget" && e.Type == corev1.EventTypeWarning && e.Reason == "UnknownRoute" &&
				strings.Contains(e.Note, "there is no HTTPRouteGroup") {
				return nil
			}
		}
		return fmt.Errorf("no Event about the broken reference among %d", len(events.Items))
	})

	spec := broken.Spec.DeepCopy()
	c.create(&specs.HTTPRouteGroup{ObjectMeta: meta("shop", "routes"), Spec: specs.HTTPRouteGroupSpec{Matches: []specs.HTTPMatch{{Name: "all"}}}})
	c.says(broken, conditions, status.ResolvedRefs, metav1.ConditionTrue, status.ReasonResolved)
	c.says(broken, conditions, status.Programmed, metav1.ConditionTrue, status.ReasonProgrammed)
	if broken.Generation != 1 || fmt.Sprint(broken.Spec) != fmt.Sprint(*spec) {
		t.Errorf("the spec was written: generation %d, %+v", broken.Generation, broken.Spec)
	}

	// A condition of somebody else stays.
	apimeta.SetStatusCondition(&broken.Status.Conditions, metav1.Condition{Type: "Reviewed", Status: metav1.ConditionTrue, Reason: "ByHand"})
	if err := c.Status().Update(context.Background(), broken); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(context.Background(), &specs.HTTPRouteGroup{ObjectMeta: meta("shop", "routes")}); err != nil {
		t.Fatal(err)
	}
	c.says(broken, conditions, status.ResolvedRefs, metav1.ConditionFalse, "UnknownRoute")
	if apimeta.FindStatusCondition(broken.Status.Conditions, "Reviewed") == nil {
		t.Errorf("somebody else's condition is gone: %+v", broken.Status.Conditions)
	}

	udp := &specs.UDPRoute{ObjectMeta: meta("shop", "dns"), Spec: specs.UDPRouteSpec{Matches: specs.UDPMatch{Name: "all"}}}
	c.create(udp)
	c.says(udp, func() []metav1.Condition { return udp.Status.Conditions }, status.Programmed, metav1.ConditionFalse, "NotProgrammed")

	for _, name := range []string{"web", "web-v1"} {
		c.create(&corev1.Service{ObjectMeta: meta("shop", name), Spec: corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80}}}})
	}
	var splits []*split.TrafficSplit
	for _, name := range []string{"a", "b"} {
		splits = append(splits, &split.TrafficSplit{ObjectMeta: meta("shop", name), Spec: split.TrafficSplitSpec{
			Service: "web", Backends: []split.TrafficSplitBackend{{Service: "web-v1", Weight: 1}},
		}})
		c.create(splits[len(splits)-1])
	}
	c.says(splits[0], func() []metav1.Condition { return splits[0].Status.Conditions }, status.Conflicted, metav1.ConditionFalse, status.ReasonNoConflict)
	c.says(splits[1], func() []metav1.Condition { return splits[1].Status.Conditions }, status.Conflicted, metav1.ConditionTrue, "Conflicted")
	c.says(splits[1], func() []metav1.Condition { return splits[1].Status.Conditions }, status.Programmed, metav1.ConditionFalse, status.ReasonNothing)
}

// leader is the replica that holds the Lease.
func (c *cluster) leader() string {
	c.t.Helper()
	var lease coordinationv1.Lease
	kubetest.Eventually(c.t, func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKey{Namespace: system, Name: LeaseName}, &lease); err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return errors.New("nobody leads")
		}
		return nil
	})
	return *lease.Spec.HolderIdentity
}

// TestLeaderHandOver ends the leader and sees the other replica take over, with
// the certificate authority that the first one made.
func TestLeaderHandOver(t *testing.T) {
	c := newCluster(t)
	c.installCRDs()
	c.namespace("shop", nil)
	replicas := []*replica{c.start("one"), c.start("two")}
	first := c.leader()
	i := slices.IndexFunc(replicas, func(r *replica) bool { return r.name == first })
	if i < 0 {
		t.Fatalf("%s leads, which is none of the replicas", first)
	}
	old, other := replicas[i], replicas[1-i]
	if !old.ca.Root().Equal(other.ca.Root()) {
		t.Error("the replicas sign under different roots")
	}
	old.stop()
	if now := c.leader(); now != other.name {
		t.Errorf("%s leads after %s has ended, want %s", now, old.name, other.name)
	}
	later := target("later", "none")
	c.create(later)
	c.says(later, func() []metav1.Condition { return later.Status.Conditions }, status.ResolvedRefs, metav1.ConditionFalse, "UnknownRoute")
	kubetest.Eventually(t, func(ctx context.Context) error {
		var left corev1.ConfigMapList
		if err := c.List(ctx, &left, client.InNamespace(system), client.MatchingLabels{status.PartLabel: status.SummaryPart}); err != nil {
			return err
		}
		if len(left.Items) != 1 || left.Items[0].Name != status.SummaryPrefix+other.name {
			return fmt.Errorf("%d summaries of replicas, want that of %s alone", len(left.Items), other.name)
		}
		return nil
	})
}

// injector is the webhook's configuration as the chart has it, but for the port.
func injector(port int32) *admissionregistrationv1.MutatingWebhookConfiguration {
	path, none, fail := InjectorPath, admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: InjectorName},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "namespace.inject.smi-spec.io", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &fail,
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{sidecar.LabelInject: sidecar.InjectEnabled}},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				Service: &admissionregistrationv1.ServiceReference{Namespace: system, Name: "smi-controller", Path: &path, Port: &port},
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}
}

// pod is one that runs as an account, which this API server does not fill in.
func pod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: meta(namespace, name), Spec: corev1.PodSpec{ServiceAccountName: "default", Containers: []corev1.Container{{Name: "app", Image: "app"}}}}
}

// TestInjection has the real API server call the webhook by the certificate that
// the mesh's own authority has signed.
func TestInjection(t *testing.T) {
	c := newCluster(t)
	c.installCRDs()
	c.namespace("shop", map[string]string{sidecar.LabelInject: sidecar.InjectEnabled})
	c.namespace("plain", nil)
	r := c.start("one")
	_, port, err := net.SplitHostPort(r.options.Addresses.Webhook)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	// The API server calls the Service by its name, wherever that leads.
	c.create(&corev1.Service{ObjectMeta: meta(system, "smi-controller"), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}},
		injector(int32(number)))
	kubetest.Eventually(t, func(ctx context.Context) error { return c.Create(ctx, pod("shop", "web")) })
	web := &corev1.Pod{}
	if err := c.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "web"}, web); err != nil {
		t.Fatal(err)
	}
	if !sidecar.Meshed(web) {
		t.Errorf("the pod has no sidecar: %v", web.Spec.InitContainers)
	}
	for _, container := range web.Spec.InitContainers {
		if container.Image != "smi-proxy:test" {
			t.Errorf("container %s has the image %s", container.Name, container.Image)
		}
	}
	hostile := pod("shop", "host")
	hostile.Spec.HostNetwork = true
	if err := c.Create(context.Background(), hostile); err == nil || !strings.Contains(err.Error(), "hostNetwork") {
		t.Errorf("a pod in the node's network: %v, want a refusal that names hostNetwork", err)
	}
	c.create(pod("plain", "web"))
	if err := c.Get(context.Background(), client.ObjectKey{Namespace: "plain", Name: "web"}, web); err != nil || sidecar.Meshed(web) {
		t.Errorf("a pod of a namespace that did not opt in has a sidecar, or is not there: %v", err)
	}
}
