package uninstall_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/crds"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/status"
	"github.com/smi-project/smi/internal/uninstall"
)

const system = "smi-system"

func TestRemoval(t *testing.T) {
	c := kubetest.Client(t, kubetest.Start(t))
	if err := crds.Apply(t.Context(), c, crds.Options{Report: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{system, "shop"} {
		create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	made := []client.Object{
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: named("", uninstall.Injector)},
		&corev1.Secret{ObjectMeta: named(system, "smi-ca")},
		&coordinationv1.Lease{ObjectMeta: named(system, "smi-controller")},
		&corev1.ConfigMap{ObjectMeta: ours(named(system, "smi-ca-0"))},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "smi-proxies-0", Labels: map[string]string{status.PartLabel: "proxies"}}},
		&corev1.ConfigMap{ObjectMeta: ours(named("shop", sidecar.RootsConfigMap))},
	}
	kept := []client.Object{
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: named("", "somebody-elses")},
		&corev1.Secret{ObjectMeta: named(system, "my-own-ca")},
		&corev1.ConfigMap{ObjectMeta: named(system, "notes")},
		&corev1.ConfigMap{ObjectMeta: ours(named("shop", "settings"))},
		&corev1.ConfigMap{ObjectMeta: named("default", sidecar.RootsConfigMap)},
	}
	for _, object := range slices.Concat(made, kept) {
		create(t, c, object)
	}
	for i := range 12 {
		create(t, c, pod(fmt.Sprintf("web-%02d", i), sidecar.Container))
	}
	create(t, c, pod("plain", "something"))

	report := run(t, uninstall.Remover{Client: c, Namespace: system}, uninstall.Remover.Prepare)
	for _, want := range []string{
		"deleted the MutatingWebhookConfiguration smi-injector",
		"12 pod(s) in shop still have a sidecar",
		"  shop: web-00, web-01, web-02, web-03, web-04, web-05, web-06, web-07, web-08, web-09 and 2 more",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("preparing does not say %q but\n%s", want, report)
		}
	}
	if strings.Contains(report, "plain") {
		t.Errorf("a pod without a sidecar is named:\n%s", report)
	}
	var events corev1.EventList
	if err := c.List(t.Context(), &events, client.InNamespace(system)); err != nil || len(events.Items) != 1 || events.Items[0].Reason != "PodsStillMeshed" {
		t.Errorf("events: %v %v", events.Items, err)
	}
	gone(t, c, made[:1])
	present(t, c, made[1:])

	report = run(t, uninstall.Remover{Client: c, Namespace: system}, uninstall.Remover.Sweep)
	if !strings.Contains(report, "deleted the ConfigMap shop/smi-root") {
		t.Errorf("sweeping says\n%s", report)
	}
	gone(t, c, made)
	present(t, c, kept)
	if report := run(t, uninstall.Remover{Client: c, Namespace: system}, uninstall.Remover.Sweep); report != "" {
		t.Errorf("the second time it does something:\n%s", report)
	}
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// ours adds the label of what controllers make.
func ours(meta metav1.ObjectMeta) metav1.ObjectMeta {
	meta.Labels = map[string]string{"app.kubernetes.io/managed-by": "smi"}
	return meta
}

func pod(name, sidecar string) *corev1.Pod {
	container := func(name string) corev1.Container { return corev1.Container{Name: name, Image: "none"} }
	return &corev1.Pod{
		ObjectMeta: named("shop", name),
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{container(sidecar)}, Containers: []corev1.Container{container("app")},
			// There is no controller that would make a default one.
			AutomountServiceAccountToken: new(bool),
		},
	}
}

func create(t *testing.T, c client.Client, object client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, r uninstall.Remover, step func(uninstall.Remover, context.Context) error) string {
	t.Helper()
	var lines []string
	r.Report = func(line string) { lines = append(lines, line) }
	if err := step(r, t.Context()); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func gone(t *testing.T, c client.Client, objects []client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(object), object.DeepCopyObject().(client.Object)); err == nil {
			t.Errorf("%T %s is still there", object, object.GetName())
		} else if client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	}
}

func present(t *testing.T, c client.Client, objects []client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(object), object.DeepCopyObject().(client.Object)); err != nil {
			t.Errorf("%T %s: %v", object, object.GetName(), err)
		}
	}
}
