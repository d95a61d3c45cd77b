// Package scaletest makes meshes of any size, always the same for the same
// size, to measure how long things take. It is for benchmarks and never part of
// a product.
package scaletest

import (
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// Size says how large a world is.
type Size struct {
	// Services is the number of Services, each with a ServiceAccount, one meshed
	// pod and one HTTP port of its own.
	Services int
	// Targets is the number of TrafficTargets, each with Sources sources.
	Targets, Sources int
	// Splits is the number of TrafficSplits, each with a root and another backend.
	Splits int
	// Namespaces is what all of it is spread over.
	Namespaces int
}

// Standard is the size that the figures of docs/performance.md are for, scaled
// to a number of Services: two TrafficTargets of five sources for each, a
// TrafficSplit for every fourth, a hundred Services to a namespace.
func Standard(services int) Size {
	return Size{Services: services, Targets: 2 * services, Sources: 5, Splits: services / 4, Namespaces: max(1, services/100)}
}

// Ports of every Service and of the pods behind it.
const (
	ServicePort = 80
	PodPort     = 8080
)

// World is a mesh of a size.
type World struct {
	Size     Size
	Objects  []store.Object
	Services []*corev1.Service
	Pods     []*corev1.Pod
	Targets  []*access.TrafficTarget
	Splits   []*split.TrafficSplit
	places   map[mesh.Name]envoy.Placement
}

// New makes the world of a size.
func New(size Size) *World {
	w := &World{Size: size, places: make(map[mesh.Name]envoy.Placement, size.Services)}
	dice := rand.New(rand.NewPCG(1, uint64(size.Services)))
	for n := range size.Namespaces {
		w.add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace(n)}}, routes(n))
	}
	for i := range size.Services {
		w.addService(i)
	}
	for i := range size.Targets {
		w.addTarget(i, dice)
	}
	for i := range size.Splits {
		w.addSplit(i)
	}
	return w
}

func (w *World) add(objects ...store.Object) { w.Objects = append(w.Objects, objects...) }

func namespace(n int) string { return fmt.Sprintf("team-%03d", n) }

func name(i int) string { return fmt.Sprintf("service-%05d", i) }

// home is the namespace of a Service.
func (w *World) home(i int) string { return namespace(i % w.Size.Namespaces) }

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// routes are the requests that the TrafficTargets of a namespace allow.
func routes(n int) *specs.HTTPRouteGroup {
	return &specs.HTTPRouteGroup{ObjectMeta: meta(namespace(n), "api"), Spec: specs.HTTPRouteGroupSpec{Matches: []specs.HTTPMatch{
		{Name: "read", Methods: []string{"GET", "HEAD"}, PathRegex: "/api/v[0-9]+/items(/.*)?"},
		{Name: "write", Methods: []string{"POST", "PUT"}, PathRegex: "/api/v[0-9]+/items"},
		{Name: "metrics", Methods: []string{"GET"}, PathRegex: "/metrics$"},
	}}}
}

// Placement is where a sidecar stands: a loopback address of its own.
func (w *World) Placement(pod mesh.Name) (envoy.Placement, bool) {
	p, ok := w.places[pod]
	return p, ok
}

func (w *World) addService(i int) {
	at := meta(w.home(i), name(i))
	labels := map[string]string{"app": at.Name}
	service := &corev1.Service{ObjectMeta: at, Spec: corev1.ServiceSpec{
		Selector:  labels,
		ClusterIP: fmt.Sprintf("10.96.%d.%d", i/250, i%250+1),
		Ports:     []corev1.ServicePort{{Name: "http", Port: ServicePort, TargetPort: intstr.FromInt32(PodPort)}},
	}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: at.Namespace, Name: at.Name + "-0", Labels: labels,
			OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: at.Name}},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: at.Name,
			Containers:         []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{ContainerPort: PodPort}}}},
		},
		Status: corev1.PodStatus{
			PodIP:      fmt.Sprintf("127.1.%d.%d", i/250, i%250+1),
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	w.Services, w.Pods = append(w.Services, service), append(w.Pods, pod)
	w.places[mesh.Name{Namespace: pod.Namespace, Name: pod.Name}] = envoy.Placement{
		SidecarAddress: pod.Status.PodIP, AppAddress: fmt.Sprintf("127.2.%d.%d", i/250, i%250+1),
	}
	w.add(&corev1.ServiceAccount{ObjectMeta: at}, service, pod)
}

func (w *World) account(i int) access.IdentityBindingSubject {
	return access.IdentityBindingSubject{Kind: "ServiceAccount", Namespace: w.home(i), Name: name(i)}
}

func (w *World) addTarget(i int, dice *rand.Rand) {
	destination := i % w.Size.Services
	rule := access.TrafficTargetRule{Kind: "HTTPRouteGroup", Name: "api", Matches: []string{"read"}}
	if i >= w.Size.Services {
		rule.Matches = []string{"write", "metrics"}
	}
	t := &access.TrafficTarget{
		ObjectMeta: meta(w.home(destination), fmt.Sprintf("target-%05d", i)),
		Spec:       access.TrafficTargetSpec{Destination: w.account(destination), Rules: []access.TrafficTargetRule{rule}},
	}
	for range w.Size.Sources {
		t.Spec.Sources = append(t.Spec.Sources, w.account(dice.IntN(w.Size.Services)))
	}
	w.Targets = append(w.Targets, t)
	w.add(t)
}

func (w *World) addSplit(i int) {
	root := i * (w.Size.Services / w.Size.Splits)
	other := (root + w.Size.Namespaces) % w.Size.Services // of the same namespace
	s := &split.TrafficSplit{
		ObjectMeta: meta(w.home(root), fmt.Sprintf("split-%05d", i)),
		Spec: split.TrafficSplitSpec{Service: name(root), Backends: []split.TrafficSplitBackend{
			{Service: name(root), Weight: 90}, {Service: name(other), Weight: 10},
		}},
	}
	w.Splits = append(w.Splits, s)
	w.add(s)
}
