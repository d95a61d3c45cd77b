package controller

import (
	"context"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/smi-project/smi/internal/kube/kubetest"
)

// TestPermissions asks a real API server what config/rbac leads to. That it
// suffices is shown by the tests that work with it.
func TestPermissions(t *testing.T) {
	c := newCluster(t)
	as, err := kubernetes.NewForConfig(kubetest.As(c.config, system, account))
	if err != nil {
		t.Fatal(err)
	}
	const access, specs, split = "access.smi-spec.io", "specs.smi-spec.io", "split.smi-spec.io"
	for _, test := range []struct {
		verb, group, resource, subresource, namespace, name string
		want                                                bool
	}{
		{"get", "", "secrets", "", system, "smi-ca", true},
		{"get", "", "secrets", "", system, "another", false},
		{"list", "", "secrets", "", system, "", false},
		{"get", "", "secrets", "", "shop", "smi-ca", false},
		{"list", "", "secrets", "", "", "", false},
		{"delete", "", "secrets", "", system, "smi-ca", false},
		{"patch", access, "traffictargets", "status", "shop", "a", true},
		{"patch", access, "traffictargets", "", "shop", "a", false},
		{"update", split, "trafficsplits", "", "shop", "a", false},
		{"create", specs, "httproutegroups", "", "shop", "", false},
		{"delete", specs, "udproutes", "", "shop", "a", false},
		{"update", "", "configmaps", "", "shop", "smi-root", true},
		{"create", "", "configmaps", "", "shop", "smi-root", true},
		{"create", "", "configmaps", "", "shop", "", false},
		{"create", "", "configmaps", "", "shop", "application", false},
		{"update", "", "configmaps", "", "shop", "application", false},
		{"get", "", "configmaps", "", "shop", "application", false},
		{"create", "", "pods", "", "shop", "", false},
		{"create", "", "pods", "exec", "shop", "a", false},
		{"update", "", "namespaces", "", "", "shop", false},
		{"patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "", InjectorName, true},
		{"patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "", "another", false},
		{"create", "", "serviceaccounts", "token", "shop", "default", false},
		{"impersonate", "", "users", "", "", "admin", false},
		{"create", "authentication.k8s.io", "tokenreviews", "", "", "", true},
		{"update", "coordination.k8s.io", "leases", "", system, LeaseName, true},
		{"update", "coordination.k8s.io", "leases", "", "kube-system", "kube-scheduler", false},
	} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: test.verb, Group: test.group, Resource: test.resource, Subresource: test.subresource, Namespace: test.namespace, Name: test.name,
		}}}
		kubetest.Eventually(t, func(ctx context.Context) error {
			var err error
			review, err = as.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			return err
		})
		if review.Status.Allowed != test.want {
			t.Errorf("%+v: allowed %t", test, review.Status.Allowed)
		}
	}
}
