package kube_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/source/kube"
	"github.com/smi-project/smi/internal/store"
)

// servicesAtFirst is the range that a test's API server is started with, and makes a
// ServiceCIDR of.
const servicesAtFirst = "10.0.0.0/24"

// heard are the ranges that a source has told of last.
type heard struct {
	mu   sync.Mutex
	last kube.Ranges
}

func (h *heard) hear(ranges kube.Ranges) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = ranges
}

// expect waits until the ranges are, in words, those of pods and of Services.
func (h *heard) expect(t *testing.T, want string) {
	t.Helper()
	kubetest.Eventually(t, func(context.Context) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if got := fmt.Sprint(h.last); got != want {
			return fmt.Errorf("the ranges of pods and Services are %s, want %s", got, want)
		}
		return nil
	})
}

// serviceCIDR waits for the ServiceCIDR that the API server makes once it serves.
func serviceCIDR(t *testing.T, c client.Client) {
	t.Helper()
	kubetest.Eventually(t, func(ctx context.Context) error {
		return c.Get(ctx, client.ObjectKey{Name: "kubernetes"}, &networkingv1.ServiceCIDR{})
	})
}

// TestRanges follows those of nodes and of ServiceCIDRs on a real API server.
func TestRanges(t *testing.T) {
	config, c, scheme := world(t)
	first := &corev1.Node{ObjectMeta: meta("", "a"), Spec: corev1.NodeSpec{PodCIDR: "10.1.0.0/24", PodCIDRs: []string{"10.1.0.0/24", "fd00::/64"}}}
	create(t, c, first)
	serviceCIDR(t, c)
	ranges := &heard{}
	run(t, kube.New(kube.Config{Store: store.New(), Changed: func() {}, Ranges: ranges.hear}), config, scheme, discovery.NewDiscoveryClientForConfigOrDie(config))
	ranges.expect(t, "{[10.1.0.0/24 fd00::/64] ["+servicesAtFirst+"]}")

	more := &networkingv1.ServiceCIDR{ObjectMeta: meta("", "more"), Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.8.0.0/24", "fd08::/112"}}}
	create(t, c, more)
	ranges.expect(t, "{[10.1.0.0/24 fd00::/64] ["+servicesAtFirst+" 10.8.0.0/24 fd08::/112]}")
	if err := c.Delete(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	// No controller runs here that would let go of it.
	kubetest.Eventually(t, func(ctx context.Context) error {
		return client.IgnoreNotFound(c.Patch(ctx, more, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
	})
	if err := c.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	ranges.expect(t, "{[] ["+servicesAtFirst+"]}")
}

// withoutServiceCIDRs is an API server that does not serve them yet.
type withoutServiceCIDRs struct{ discovery.DiscoveryInterface }

func (d withoutServiceCIDRs) ServerResourcesForGroupVersion(version string) (*metav1.APIResourceList, error) {
	list, err := d.DiscoveryInterface.ServerResourcesForGroupVersion(version)
	if err != nil || version != networkingv1.SchemeGroupVersion.String() {
		return list, err
	}
	kept := list.DeepCopy()
	kept.APIResources = nil
	for _, r := range list.APIResources {
		if r.Kind != "ServiceCIDR" {
			kept.APIResources = append(kept.APIResources, r)
		}
	}
	return kept, nil
}

// TestRangesOfOldCluster reads everything else of a cluster without ServiceCIDRs, and
// does not call it incomplete.
func TestRangesOfOldCluster(t *testing.T) {
	config, c, scheme := world(t)
	create(t, c, &corev1.Node{ObjectMeta: meta("", "a"), Spec: corev1.NodeSpec{PodCIDR: "10.1.0.0/24", PodCIDRs: []string{"10.1.0.0/24"}}})
	ranges := &heard{}
	source := kube.New(kube.Config{Store: store.New(), Changed: func() {}, Ranges: ranges.hear})
	run(t, source, config, scheme, withoutServiceCIDRs{discovery.NewDiscoveryClientForConfigOrDie(config)})
	ranges.expect(t, "{[10.1.0.0/24] []}")
	if slices.Contains(source.Missing(), "ServiceCIDR") {
		t.Error("ServiceCIDR is called a kind of SMI that is missing")
	}
}
