package rootkeeper

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/sidecar"
)

// Two replicas that both believe to lead, and one that does not, end up with one
// root; and so do those that come after them.
func TestCAIsMadeOnce(t *testing.T) {
	c := newCluster(t)
	replicas := []*replica{c.start("a", true), c.start("b", true), c.start("c", false)}
	root := c.ready(replicas[0]).Root()
	for _, r := range replicas {
		if !c.ready(r).Root().Equal(root) {
			t.Errorf("replica %s has another root", r.name)
		}
	}
	for _, r := range replicas {
		r.kill()
	}
	if !c.ready(c.start("d", true)).Root().Equal(root) {
		t.Error("the next replica made another root")
	}
}

func TestFollowerWaitsForLeader(t *testing.T) {
	c := newCluster(t)
	follower := c.start("a", false)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := follower.CA(ctx); err == nil || !strings.Contains(err.Error(), "smi-system/smi-ca does not exist yet") {
		t.Fatalf("got %v", err)
	}
	if _, _, err := follower.Issue(nil, identity.XDSAccount, ""); err == nil {
		t.Error("a replica without a CA signs")
	}
	c.start("b", true)
	c.ready(follower)
}

func TestDeletedSecretIsRestored(t *testing.T) {
	c := newCluster(t)
	r := c.start("a", true)
	root := c.ready(r).Root()
	if err := c.client.CoreV1().Secrets(system).Delete(t.Context(), OwnSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, func(ctx context.Context) error {
		_, err := c.client.CoreV1().Secrets(system).Get(ctx, OwnSecret, metav1.GetOptions{})
		return err
	})
	r.kill()
	if !c.ready(c.start("b", true)).Root().Equal(root) {
		t.Error("the Secret that was restored has another root")
	}
}

func TestEveryMeshedNamespaceHasTheRoots(t *testing.T) {
	c := newCluster(t)
	r := c.start("a", true)
	want := func(ctx context.Context, namespace string) error {
		bundle, err := identity.ParseBundle("cluster.local", []byte(c.roots(ctx, namespace)))
		if err != nil {
			return fmt.Errorf("namespace %s: %w", namespace, err)
		}
		if !bundle.Roots()[0].Equal(c.ready(r).Root()) {
			return errors.New("another root")
		}
		return nil
	}
	shop := func(ctx context.Context) error { return want(ctx, "shop") }
	kubetest.Eventually(t, shop)
	configMaps := c.client.CoreV1().ConfigMaps("shop")

	edited, err := configMaps.Get(t.Context(), sidecar.RootsConfigMap, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	edited.Data[sidecar.RootsKey] = "mine"
	edited.Data["more"] = "text"
	immutable := true
	edited.Immutable = &immutable
	if _, err := configMaps.Update(t.Context(), edited, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, shop)
	if err := configMaps.Delete(t.Context(), sidecar.RootsConfigMap, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, shop)
	// Held by a finalizer, it cannot be put right, and that is told.
	held := `{"data":{"roots.pem":"mine"},"immutable":true,"metadata":{"finalizers":["example.org/held"]}}`
	if _, err := configMaps.Patch(t.Context(), sidecar.RootsConfigMap, types.MergePatchType, []byte(held), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until(Stable, `the finalizers ["example.org/held"] keep it from being made anew`)
	if _, err := configMaps.Patch(t.Context(), sidecar.RootsConfigMap, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, shop)
	c.until(Stable, "")

	if c.roots(t.Context(), "other") != "" || c.roots(t.Context(), system) != "" {
		t.Error("a namespace outside the mesh has the roots")
	}
	c.namespace("other", sidecar.InjectEnabled)
	r.Changed()
	kubetest.Eventually(t, func(ctx context.Context) error { return want(ctx, "other") })
	c.namespace("other", "")
	r.Changed()
	kubetest.Eventually(t, func(ctx context.Context) error {
		if c.roots(ctx, "other") != "" {
			return errors.New("the namespace left the mesh and kept the roots")
		}
		return nil
	})
	if err := shop(t.Context()); err != nil {
		t.Error(err)
	}
}
