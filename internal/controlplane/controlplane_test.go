package controlplane

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// TestPending tells what was pushed from what the store has got since then.
func TestPending(t *testing.T) {
	ca, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		t.Fatal(err)
	}
	objects := store.New()
	plane := New(Config{Store: objects, CA: ca, Place: func(mesh.Name) (envoy.Placement, bool) { return envoy.Placement{}, false }})
	shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	for _, step := range []struct {
		name string
		do   func()
		want bool
	}{
		{"nothing was pushed yet", func() {}, true},
		{"all was pushed", func() { plane.Push() }, false},
		{"an object came", func() { objects.Put(shop) }, true},
		{"it was pushed", func() { plane.Push() }, false},
		{"the same object came again", func() { objects.Put(shop) }, false},
		{"it is gone", func() { objects.Delete(shop) }, true},
	} {
		step.do()
		if got := plane.Pending(); got != step.want {
			t.Errorf("%s: pending is %t", step.name, got)
		}
	}
}
