package kube_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/source/kube"
	"github.com/smi-project/smi/internal/store"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// world is an API server, and a client of it.
func world(t *testing.T) (*rest.Config, client.Client, *runtime.Scheme) {
	t.Helper()
	config := kubetest.Start(t)
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(kube.AddToScheme(scheme))
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return config, c, scheme
}

func create(t *testing.T, c client.Client, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := c.Create(context.Background(), o); err != nil {
			t.Fatalf("create %T %s: %v", o, o.GetName(), err)
		}
	}
}

func pod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: meta(namespace, name), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}}}
}

func slice(namespace, name, manager string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: meta(namespace, name), AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
	}
	s.Labels = map[string]string{discoveryv1.LabelServiceName: name, discoveryv1.LabelManagedBy: manager}
	return s
}

// follow runs a source and returns its store and how often it has changed.
func follow(t *testing.T, config *rest.Config, scheme *runtime.Scheme) (*store.Store, *kube.Source, func() int) {
	t.Helper()
	var mu sync.Mutex
	changes := 0
	s := store.New()
	source := kube.New(kube.Config{Store: s, Changed: func() {
		mu.Lock()
		defer mu.Unlock()
		changes++
	}})
	run(t, source, config, scheme, discovery.NewDiscoveryClientForConfigOrDie(config))
	return s, source, func() int {
		mu.Lock()
		defer mu.Unlock()
		return changes
	}
}

// run runs a source until the test ends, and returns when it has read everything.
func run(t *testing.T, source *kube.Source, config *rest.Config, scheme *runtime.Scheme, served discovery.DiscoveryInterface) {
	t.Helper()
	options := kube.CacheOptions()
	options.Scheme = scheme
	informers, err := cache.New(config, options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = informers.Start(ctx) })
	running.Go(func() { _ = source.Run(ctx, informers, served) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	kubetest.Eventually(t, func(context.Context) error {
		select {
		case <-source.Synced():
			return nil
		default:
			return fmt.Errorf("not read yet: %v", source.Waiting())
		}
	})
}

// TestSource fills a store from a real API server: all that is there as one change,
// then what changes, and kinds of SMI when they are installed.
func TestSource(t *testing.T) {
	config, c, scheme := world(t)
	ended := pod("default", "ended")
	create(t, c, pod("default", "web"), ended, slice("default", "ours", "endpointslice-controller.k8s.io"), slice("default", "outside", "somebody"))
	ended.Status.Phase = corev1.PodSucceeded
	if err := c.Status().Update(context.Background(), ended); err != nil {
		t.Fatal(err)
	}
	s, source, changes := follow(t, config, scheme)
	if n := changes(); n != 1 {
		t.Errorf("the first reading was %d changes, want one", n)
	}
	first := s.Snapshot()
	if _, found := first.Pods.Get("default", "web"); !found || first.Pods.Len() != 1 {
		t.Errorf("%d pods, want web alone", first.Pods.Len())
	}
	if _, found := first.EndpointSlices.Get("default", "ours"); found {
		t.Error("an EndpointSlice that Kubernetes makes of pods was read")
	}
	if _, found := first.EndpointSlices.Get("default", "outside"); !found {
		t.Error("an EndpointSlice of somebody else was not read")
	}

	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{"../../../config/crd"}}); err != nil {
		t.Fatal(err)
	}
	canary := &split.TrafficSplit{ObjectMeta: meta("default", "canary"), Spec: split.TrafficSplitSpec{Service: "web", Backends: []split.TrafficSplitBackend{{Service: "web-v2", Weight: 1}}}}
	create(t, c, canary)
	kubetest.Eventually(t, func(context.Context) error {
		if _, found := s.Snapshot().TrafficSplits.Get("default", "canary"); !found {
			return errors.New("the split is not in the store")
		}
		return nil
	})
	kubetest.Eventually(t, func(context.Context) error {
		if got := source.Missing(); len(got) > 0 {
			return fmt.Errorf("still missing: %v", got)
		}
		return nil
	})
	statusIsNoChange(t, c, s, source, canary)

	if err := c.Delete(context.Background(), pod("default", "web"), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, func(context.Context) error {
		if _, found := s.Snapshot().Pods.Get("default", "web"); found {
			return errors.New("the pod is still in the store")
		}
		return nil
	})
}

// statusIsNoChange writes a status, which the source observes and does not hand on.
func statusIsNoChange(t *testing.T, c client.Client, s *store.Store, source *kube.Source, canary *split.TrafficSplit) {
	t.Helper()
	before := s.Snapshot().TrafficSplits
	canary.Status.Conditions = []metav1.Condition{{Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", LastTransitionTime: metav1.Now()}}
	if err := c.Status().Update(context.Background(), canary); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, func(context.Context) error {
		if got := source.Observed()["TrafficSplit"]; got != canary.ResourceVersion {
			return fmt.Errorf("observed %s, want %s", got, canary.ResourceVersion)
		}
		return nil
	})
	if s.Snapshot().TrafficSplits != before {
		t.Error("a status that was written changed the store")
	}
}

func TestLoad(t *testing.T) {
	config, c, _ := world(t)
	create(t, c, &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("default", "web"), pod("shop", "till"))
	node := &corev1.Node{ObjectMeta: meta("", "worker"), Spec: corev1.NodeSpec{PodCIDRs: []string{"10.1.0.0/24"}}}
	create(t, c, node)
	serviceCIDR(t, c)
	said := map[string]int{}
	loaded, err := kube.Load(context.Background(), config, func(kind string, n int) { said[kind] = n })
	if err != nil {
		t.Fatal(err)
	}
	var pods []string
	for _, o := range loaded.Objects {
		if pod, ok := o.(*corev1.Pod); ok {
			pods = append(pods, pod.Name)
		}
	}
	slices.Sort(pods)
	if want := []string{"till", "web"}; !slices.Equal(pods, want) || said["Pod"] != len(want) {
		t.Errorf("pods %v, of which %d were told, want %v", pods, said["Pod"], want)
	}
	if got, want := fmt.Sprint(loaded.Ranges), "{[10.1.0.0/24] ["+servicesAtFirst+"]}"; got != want || said["Namespace"] < 2 {
		t.Errorf("ranges %s and %d namespaces, want %s and all namespaces", got, said["Namespace"], want)
	}
	store.New().Replace(loaded.Objects) // which has a table for each
}
