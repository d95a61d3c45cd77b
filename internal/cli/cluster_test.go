package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/smi-project/smi/internal/kube/kubetest"
)

// stored is an object of a cluster.
type stored interface {
	metav1.Object
	runtime.Object
}

// clusterOf is a small mesh: shop/web calls shop/cart, and a pod of shop opens a port.
func clusterOf(t *testing.T, create func(stored) error) {
	t.Helper()
	namespace := func(name string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"smi-spec.io/inject": "enabled"}}}
	}
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": name}, Annotations: map[string]string{"smi-spec.io/plaintext-ports": "no-port"}},
			Spec: corev1.PodSpec{
				ServiceAccountName: "default", InitContainers: []corev1.Container{{Name: "smi-proxy", Image: "proxy"}},
				Containers: []corev1.Container{{Name: "app", Image: "app"}},
			},
		}
	}
	for _, o := range []stored{
		namespace("shop"), namespace("smi-system"), namespace("empty"),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}, Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "cart"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		}},
		pod("cart"),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "smi-system", Name: "smi-controller-config"}, Data: map[string]string{
			"config.yaml": "apiVersion: config.smi-spec.io/v1alpha1\nkind: ControllerConfig\ntrustDomain: mesh.example\nmode: audit\n",
		}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "viewer"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"", "apps"}, Resources: []string{"configmaps", "deployments", "namespaces", "pods"}, Verbs: []string{"get", "list"}},
		}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "viewer"}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "viewer"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "viewer"}},
		},
	} {
		if err := create(o); err != nil {
			t.Fatal(err)
		}
	}
}

// What commands without -f say of a cluster: the exit code, and words on their output
// and among their errors.
func TestCommandsReadClusters(t *testing.T) {
	config := kubetest.Start(t)
	c := kubetest.Client(t, config)
	clusterOf(t, func(o stored) error { return c.Create(t.Context(), o) })
	admin, viewer := kubetest.Kubeconfig(t, config), kubetest.Kubeconfig(t, kubetest.As(config, "default", "viewer"))
	nobody := kubetest.Kubeconfig(t, kubetest.As(config, "default", "nobody"))
	for _, c := range []struct {
		line, kubeconfig string
		code             int
		out, errs        string
	}{
		{"check -n shop", admin, ExitNo, "Pod shop/cart", "this is about namespace shop"},
		{"check -n empty", admin, ExitOK, "there is nothing to check", "smi crds apply"},
		{"check", admin, ExitOK, "nothing is wrong", "namespace default"},
		{"check -A", admin, ExitNo, "Pod shop/cart", "all namespaces"},
		{"check -n nowhere", admin, ExitUsage, "", "has no namespace nowhere"},
		{"check -A -n shop", admin, ExitUsage, "", "all-namespaces"},
		{"check -f x.yaml -n shop", admin, ExitUsage, "", "is for a cluster"},
		{"check -A", nobody, ExitUsage, "", "cannot list resource \"namespaces\""},
		{"check -A --smi-namespace empty", admin, ExitNo, "", "There is no ConfigMap empty/smi-controller-config"},
		// The cluster's own mode is audit, and its trust domain another than the default.
		{"explain -n shop --from default --to cart:80", admin, ExitOK, "ALLOWED", "Read "},
		{"explain -n shop --from default --to cart:80 --mode strict", admin, ExitNo, "DENIED", "Read "},
		{"explain -n shop --from default --to crat:80", admin, ExitUsage, "", "there is no Service shop/crat"},
		{"compile -n shop", admin, ExitOK, "trust domain mesh.example", "Read "},
		{"compile -n shop -o envoy", admin, ExitOK, "account: shop/default", "Read "},
		{"compile -n empty", admin, ExitOK, "no findings", "Read "},
		{"status", admin, ExitNo, "there is no Deployment smi-system/smi-controller", ""},
		{"status -o json", viewer, ExitNo, "you lack the permission to get customresourcedefinitions", ""},
		{"status", nobody, ExitUsage, "", "you may read nothing"},
		{"proxy config web -n shop", admin, ExitUsage, "", "has no pod web"},
		{"proxy logs", admin, ExitUsage, "", "its name is missing"},
	} {
		var out, errs bytes.Buffer
		args := append(strings.Fields(c.line), "--kubeconfig", c.kubeconfig)
		code := Run(t.Context(), &App{Out: &out, Err: &errs, Getenv: os.Getenv}, args)
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.errs) {
			t.Errorf("smi %s: code %d, want %d with %q and %q\n%s%s", c.line, code, c.code, c.out, c.errs, out.String(), errs.String())
		}
	}
}
