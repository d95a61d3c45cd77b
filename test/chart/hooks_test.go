package chart

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/crds"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/uninstall"
)

// TestHooksMayDoTheirWork runs what the Jobs run, on a real API server, with the
// permissions that the chart gives them and no others.
func TestHooksMayDoTheirWork(t *testing.T) {
	config := kubetest.Start(t)
	admin := kubetest.Client(t, config)
	create(t, admin, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}})
	for _, object := range objects(t, "--set", "crds.keep=false") {
		switch object.GetKind() {
		case "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "MutatingWebhookConfiguration":
			create(t, admin, object)
		}
	}
	create(t, admin, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "smi-ca"}})
	mine := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "mine"}}
	create(t, admin, mine)
	create(t, admin, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: sidecar.RootsConfigMap, Labels: map[string]string{"app.kubernetes.io/managed-by": "smi"},
	}})
	create(t, admin, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(bool),
			InitContainers:               []corev1.Container{{Name: sidecar.Container, Image: "none"}},
			Containers:                   []corev1.Container{{Name: "web", Image: "none"}},
		},
	})

	installer := kubetest.Client(t, kubetest.As(config, system, "smi-crds"))
	quiet := func(string) {}
	// The API server learns of new roles a moment later.
	kubetest.Eventually(t, func(ctx context.Context) error { return crds.Apply(ctx, installer, crds.Options{Report: quiet}) })

	remover := kubetest.Client(t, kubetest.As(config, system, "smi-uninstall"))
	var report []string
	steps := uninstall.Remover{Client: remover, Namespace: system, Report: func(line string) { report = append(report, line) }}
	if err := steps.Prepare(t.Context()); err != nil {
		t.Error(err)
	}
	if err := steps.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"MutatingWebhookConfiguration smi-injector", "1 pod(s) in default", "Secret smi-system/smi-ca", "ConfigMap default/smi-root"} {
		if !strings.Contains(strings.Join(report, "\n"), want) {
			t.Errorf("nothing is said of %q in %q", want, report)
		}
	}

	// And no others.
	for name, err := range map[string]error{
		"read a Secret":                 remover.Get(t.Context(), client.ObjectKeyFromObject(mine), mine.DeepCopy()),
		"delete another Secret":         remover.Delete(t.Context(), mine.DeepCopy()),
		"delete definitions to install": crds.Delete(t.Context(), installer, quiet),
		"list pods to install":          installer.List(t.Context(), &corev1.PodList{}),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want it forbidden", name, err)
		}
	}
	if err := crds.Delete(t.Context(), remover, quiet); err != nil {
		t.Error(err)
	}
}

func create(t *testing.T, c client.Client, object client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatalf("%T %s: %v", object, object.GetName(), err)
	}
}
