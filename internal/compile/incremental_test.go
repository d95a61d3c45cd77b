package compile_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/oracle"
	"github.com/smi-project/smi/internal/oracle/worldgen"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// TestIncrementalEqualsFresh changes one object after the other and compares a
// compiler that saw every change with one that sees the last state only.
func TestIncrementalEqualsFresh(t *testing.T) {
	const worlds, changes = 30, 60
	for seed := range uint64(worlds) {
		dice := rand.New(rand.NewPCG(seed, 1))
		world := worldgen.Pure(seed)
		config := compile.Config{Mode: mesh.Mode(world.Config.Mode), Floor: mesh.Mode(world.Config.Floor)}
		objects := objectsOf
		if seed%2 == 1 {
			config.Sidecars, config.PodRanges = true, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/25")}
			objects = func(w *oracle.World) []store.Object { return onCluster(objectsOf(w)) }
		}
		s := store.New()
		s.Put(objects(world)...)
		// Objects of other worlds have the same vocabulary, so that they replace
		// some, refer to some and conflict with some.
		var pool []store.Object
		for other := range uint64(4) {
			pool = append(pool, objects(worldgen.Pure(seed+other))...)
		}
		longLived := compile.New(config)
		var log []string
		for range changes {
			o := pool[dice.IntN(len(pool))]
			if dice.IntN(3) == 0 {
				s.Delete(o)
				log = append(log, fmt.Sprintf("delete %T %s/%s", o, o.GetNamespace(), o.GetName()))
			} else {
				s.Put(o)
				log = append(log, fmt.Sprintf("put %T %s/%s", o, o.GetNamespace(), o.GetName()))
			}
			got := text(t, longLived.Compile(s.Snapshot()))
			want := text(t, compile.New(config).Compile(s.Snapshot()))
			if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
				t.Fatalf("seed %d: after\n  %s\nthe compiler that saw all changes differs (-fresh +incremental):\n%s", seed, strings.Join(log, "\n  "), diff)
			}
		}
	}
}

func objectsOf(w *oracle.World) []store.Object {
	var all []store.Object
	all = appendObjects(all, w.Namespaces)
	all = appendObjects(all, w.ServiceAccounts)
	all = appendObjects(all, w.Pods)
	all = appendObjects(all, w.Services)
	all = appendObjects(all, w.TrafficTargets)
	all = appendObjects(all, w.IdentityBindings)
	all = appendObjects(all, w.HTTPRouteGroups)
	all = appendObjects(all, w.TCPRoutes)
	all = appendObjects(all, w.UDPRoutes)
	return appendObjects(all, w.TrafficSplits)
}

// onCluster gives most pods a sidecar, and each an address, which for some of them
// also stands behind a Service without selector.
func onCluster(objects []store.Object) []store.Object {
	var byHand []store.Object
	for i, o := range objects {
		pod, ok := o.(*corev1.Pod)
		if !ok {
			continue
		}
		pod = pod.DeepCopy()
		if i%4 > 0 {
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{Name: sidecar.Container})
		}
		pod.Status.PodIP = fmt.Sprintf("10.0.0.%d", i)
		objects[i] = pod
		if i%3 == 0 {
			byHand = append(byHand, leader(pod)...)
		}
	}
	return append(objects, byHand...)
}

// leader is a Service whose endpoint somebody else writes, as operators of
// databases do.
func leader(pod *corev1.Pod) []store.Object {
	name := "leader-" + pod.Name
	return []store.Object{
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: name},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
		},
		&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{pod.Status.PodIP}}},
			Ports:      []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
		},
	}
}

func appendObjects[T store.Object](all []store.Object, list []T) []store.Object {
	for _, o := range list {
		all = append(all, o)
	}
	return all
}

// TestUnchangedPartsKeepTheirPointers says, for each change of one object, which
// parts of the mesh are new; all others must be the same pointers as before.
func TestUnchangedPartsKeepTheirPointers(t *testing.T) {
	const (
		root, v1, v2, others             = "service shop/store", "service shop/v1", "service shop/v2", "service other/app"
		policy, policyOther              = "policy shop/v1", "policy other/app"
		buyer, workV1, workV2, workOther = "workload shop/buyer", "workload shop/v1", "workload shop/v2", "workload other/app"
		clientOther                      = "workload other/client"
	)
	for _, c := range []struct {
		name   string
		change func(w *world)
		new    []string
	}{
		{"nothing", func(*world) {}, nil},
		{"an object that nobody refers to", func(w *world) {
			w.s.Put(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "idle"}})
		}, nil},
		// Whoever reaches the root has a new port of it among what it reaches.
		{"a weight", func(w *world) {
			edit(w, w.snapshot().TrafficSplits, "shop", "canary", func(o *split.TrafficSplit) { o.Spec.Backends[0].Weight++ })
		}, []string{root, buyer}},
		{"the sources of a target", func(w *world) {
			edit(w, w.snapshot().TrafficTargets, "shop", "buyers", func(o *access.TrafficTarget) {
				o.Spec.Sources = append(o.Spec.Sources, access.IdentityBindingSubject{Kind: "ServiceAccount", Name: "v2"})
			})
		}, []string{policy, workV1, workV2}},
		{"the routes of a target", func(w *world) {
			edit(w, w.snapshot().HTTPRouteGroups, "shop", "routes", func(o *specs.HTTPRouteGroup) { o.Spec.Matches[0].PathRegex = "/sell$" })
		}, []string{policy, workV1}},
		{"readiness", func(w *world) {
			edit(w, w.snapshot().Pods, "shop", "v2", func(o *corev1.Pod) { o.Status.Conditions[0].Status = corev1.ConditionFalse })
		}, []string{root, v2, workV2, buyer}},
		{"the mode of another namespace", func(w *world) {
			w.s.Put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other", Labels: map[string]string{"smi-spec.io/access": "audit"}}})
		}, []string{others, workOther, clientOther, buyer, workV1, workV2}},
		{"a target of another namespace", func(w *world) {
			edit(w, w.snapshot().TrafficTargets, "other", "clients", func(o *access.TrafficTarget) { o.Spec.Rules = nil })
		}, []string{policyOther, workOther, clientOther}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			before := parts(w.compiler.Compile(w.snapshot()))
			c.change(w)
			m := w.compiler.Compile(w.snapshot())
			got := newParts(before, parts(m))
			slices.Sort(c.new)
			if diff := cmp.Diff(c.new, got); diff != "" {
				t.Errorf("new parts differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(lines(text(t, compile.New(compile.Config{}).Compile(w.snapshot()))), lines(text(t, m))); diff != "" {
				t.Errorf("the mesh is not what a fresh compiler makes (-fresh +incremental):\n%s", diff)
			}
		})
	}
}

// world is a small mesh of two namespaces that have nothing to do with each
// other.
type world struct {
	s        *store.Store
	compiler *compile.Compiler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := store.New()
	s.Put(readObjects(t, filepath.Join("testdata", "two-namespaces.yaml"))...)
	return &world{s: s, compiler: compile.New(compile.Config{})}
}

func (w *world) snapshot() *store.Snapshot { return w.s.Snapshot() }

// edit replaces an object by a changed copy.
func edit[T interface {
	store.Object
	DeepCopy() T
}](w *world, table *store.Table[T], namespace, name string, change func(T)) {
	o, found := table.Get(namespace, name)
	if !found {
		panic(namespace + "/" + name + " is not there")
	}
	o = o.DeepCopy()
	change(o)
	w.s.Put(o)
}

// parts are the pointers of a mesh by what they stand for.
func parts(m *mesh.Mesh) map[string]any {
	all := map[string]any{}
	for _, s := range m.Services {
		all["service "+s.Name.String()] = s
	}
	for _, p := range m.Policies {
		all["policy "+p.Account.String()] = p
	}
	for _, w := range m.Workloads {
		all["workload "+w.Account.String()] = w
	}
	return all
}

// newParts are the parts that are there in one of both only, or differ.
func newParts(before, after map[string]any) []string {
	var found []string
	all := maps.Clone(before)
	maps.Copy(all, after)
	for name := range all {
		if before[name] != after[name] {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}
