package store_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/store"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func pod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: meta(namespace, name)}
}

func names(pods []*corev1.Pod) []string {
	var list []string
	for _, p := range pods {
		list = append(list, p.Namespace+"/"+p.Name)
	}
	return list
}

func TestEveryKindHasItsTable(t *testing.T) {
	s := store.New()
	s.Put(
		&corev1.Namespace{ObjectMeta: meta("", "shop")},
		pod("shop", "web-0"),
		&corev1.ServiceAccount{ObjectMeta: meta("shop", "web")},
		&corev1.Service{ObjectMeta: meta("shop", "web")},
		&discoveryv1.EndpointSlice{ObjectMeta: meta("shop", "web-x")},
		&access.TrafficTarget{ObjectMeta: meta("shop", "buy")},
		&access.IdentityBinding{ObjectMeta: meta("shop", "buyers")},
		&specs.HTTPRouteGroup{ObjectMeta: meta("shop", "routes")},
		&specs.TCPRoute{ObjectMeta: meta("shop", "tcp")},
		&specs.UDPRoute{ObjectMeta: meta("shop", "udp")},
		&split.TrafficSplit{ObjectMeta: meta("shop", "canary")},
	)
	snap := s.Snapshot()
	for kind, n := range map[string]int{
		"Namespaces": snap.Namespaces.Len(), "Pods": snap.Pods.Len(), "ServiceAccounts": snap.ServiceAccounts.Len(),
		"Services": snap.Services.Len(), "EndpointSlices": snap.EndpointSlices.Len(), "TrafficTargets": snap.TrafficTargets.Len(),
		"IdentityBindings": snap.IdentityBindings.Len(), "HTTPRouteGroups": snap.HTTPRouteGroups.Len(),
		"TCPRoutes": snap.TCPRoutes.Len(), "UDPRoutes": snap.UDPRoutes.Len(), "TrafficSplits": snap.TrafficSplits.Len(),
	} {
		if n != 1 {
			t.Errorf("%s has %d objects, want 1", kind, n)
		}
	}
	if _, ok := snap.Namespaces.Get("", "shop"); !ok {
		t.Error("the Namespace is not found by its name")
	}
	if _, ok := snap.TrafficSplits.Get("shop", "canary"); !ok {
		t.Error("the TrafficSplit is not found by its name")
	}
}

func TestAnEmptyStoreHasEmptyTables(t *testing.T) {
	snap := store.New().Snapshot()
	if _, ok := snap.Pods.Get("shop", "web-0"); ok {
		t.Error("found a pod that was never put")
	}
	if n := len(snap.TCPRoutes.All()); n != 0 {
		t.Errorf("TCPRoutes has %d objects", n)
	}
}

func TestAKindWithoutTableIsAProgrammingMistake(t *testing.T) {
	defer func() {
		if r := recover(); r == nil {
			t.Error("Put of a ConfigMap did not panic")
		}
	}()
	store.New().Put(&corev1.ConfigMap{ObjectMeta: meta("shop", "settings")})
}

func TestChanges(t *testing.T) {
	first, second := pod("shop", "web-0"), pod("shop", "web-0")
	cases := []struct {
		name   string
		change func(*store.Store)
		want   []string
		held   *corev1.Pod // what shop/web-0 is afterwards
	}{
		{"put adds in order", func(s *store.Store) { s.Put(pod("shop", "a"), pod("bank", "z")) }, []string{"bank/z", "shop/a", "shop/web-0"}, first},
		{"put replaces a namesake", func(s *store.Store) { s.Put(second) }, []string{"shop/web-0"}, second},
		{"the last of two namesakes counts", func(s *store.Store) { s.Put(pod("shop", "web-0"), second) }, []string{"shop/web-0"}, second},
		{"delete goes by name, not by pointer", func(s *store.Store) { s.Delete(second) }, nil, nil},
		{"delete of what is not there", func(s *store.Store) { s.Delete(pod("shop", "b"), pod("shop", "z")) }, []string{"shop/web-0"}, first},
		{"replace is the whole content", func(s *store.Store) { s.Replace([]store.Object{pod("shop", "b"), pod("shop", "a")}) }, []string{"shop/a", "shop/b"}, nil},
		{"replace by nothing empties", func(s *store.Store) { s.Replace(nil) }, nil, nil},
		{"put of nothing", func(s *store.Store) { s.Put() }, []string{"shop/web-0"}, first},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := store.New()
			s.Put(first)
			c.change(s)
			pods := s.Snapshot().Pods
			if diff := cmp.Diff(c.want, names(pods.All())); diff != "" {
				t.Errorf("pods (-want +got):\n%s", diff)
			}
			if held, _ := pods.Get("shop", "web-0"); held != c.held {
				t.Errorf("shop/web-0 is %p, want %p", held, c.held)
			}
		})
	}
}

func TestASnapshotNeverChanges(t *testing.T) {
	s := store.New()
	s.Put(pod("shop", "b"), pod("shop", "d"))
	before := s.Snapshot()
	s.Put(pod("shop", "a"), pod("shop", "c"), pod("shop", "d"))
	s.Delete(pod("shop", "b"))
	s.Replace([]store.Object{pod("shop", "e")})
	if diff := cmp.Diff([]string{"shop/b", "shop/d"}, names(before.Pods.All())); diff != "" {
		t.Errorf("the old snapshot changed (-want +got):\n%s", diff)
	}
}

// Whoever compares snapshots compares tables first, so a change that changes
// nothing must not make a new one.
func TestATableStaysWhenNothingChanged(t *testing.T) {
	web := pod("shop", "web-0")
	service := &corev1.Service{ObjectMeta: meta("shop", "web")}
	for name, change := range map[string]func(*store.Store){
		"put of what is held":            func(s *store.Store) { s.Put(web) },
		"replace by what is held":        func(s *store.Store) { s.Replace([]store.Object{service, web}) },
		"delete of what is not there":    func(s *store.Store) { s.Delete(pod("shop", "other")) },
		"change of an object elsewhere":  func(s *store.Store) { s.Put(&corev1.Service{ObjectMeta: meta("shop", "web")}) },
		"replace of an object elsewhere": func(s *store.Store) { s.Replace([]store.Object{web}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := store.New()
			s.Put(web, service)
			before := s.Snapshot()
			change(s)
			if s.Snapshot().Pods != before.Pods {
				t.Error("the table of pods is another one")
			}
		})
	}
}

// Any sequence of changes leaves what a plain map would hold, sorted.
func TestStoreIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := store.New()
		model := map[string]*corev1.Pod{}
		objects := rapid.SliceOf(rapid.Custom(func(t *rapid.T) store.Object {
			return pod(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "namespace"), rapid.StringMatching("[a-c]{0,2}").Draw(t, "name"))
		}))
		key := func(o store.Object) string { return o.GetNamespace() + "/" + o.GetName() }
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				objs := objects.Draw(t, "objects")
				s.Put(objs...)
				for _, o := range objs {
					model[key(o)] = o.(*corev1.Pod)
				}
			},
			"delete": func(t *rapid.T) {
				objs := objects.Draw(t, "objects")
				s.Delete(objs...)
				for _, o := range objs {
					delete(model, key(o))
				}
			},
			"replace": func(t *rapid.T) {
				objs := objects.Draw(t, "objects")
				s.Replace(objs)
				clear(model)
				for _, o := range objs {
					model[key(o)] = o.(*corev1.Pod)
				}
			},
			"": func(t *rapid.T) {
				pods := s.Snapshot().Pods
				if want := slices.Sorted(maps.Keys(model)); !slices.Equal(want, names(pods.All())) {
					t.Fatalf("pods are %v, want %v", names(pods.All()), want)
				}
				for _, p := range model {
					if held, ok := pods.Get(p.Namespace, p.Name); !ok || held != p {
						t.Fatalf("%s/%s is not the one that was put last", p.Namespace, p.Name)
					}
				}
			},
		})
	})
}

func TestConcurrentUse(t *testing.T) {
	s := store.New()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				s.Put(pod("shop", fmt.Sprintf("web-%d-%d", i, j)))
				for _, p := range s.Snapshot().Pods.All() {
					_ = p.Name
				}
			}
		})
	}
	all.Wait()
	if n := s.Snapshot().Pods.Len(); n != 400 {
		t.Errorf("%d pods, want 400", n)
	}
}

func full(n int) (*store.Store, []store.Object) {
	var objs []store.Object
	for i := range n {
		objs = append(objs, pod(fmt.Sprintf("team-%d", i%100), fmt.Sprintf("web-%d", i)))
	}
	s := store.New()
	s.Replace(objs)
	return s, objs
}

// A change of one pod must not cost what the whole table costs: it is allowed
// the new slice and a handful of small things, whatever the size of the table.
func TestAPutOfOneAllocatesAlmostNothing(t *testing.T) {
	s, _ := full(10_000)
	changed := []store.Object{pod("team-7", "web-7"), pod("team-7", "web-7")}
	i := 0
	if n := testing.AllocsPerRun(100, func() { i++; s.Put(changed[i%2]) }); n > 10 {
		t.Errorf("a Put allocates %v times, want at most 10", n)
	}
}

func BenchmarkPutOneOf10000(b *testing.B) {
	s, _ := full(10_000)
	changed := []store.Object{pod("team-7", "web-7"), pod("team-7", "web-7")}
	i := 0
	for b.Loop() {
		i++
		s.Put(changed[i%2])
	}
}

func BenchmarkGetOneOf10000(b *testing.B) {
	s, objs := full(10_000)
	pods, i := s.Snapshot().Pods, 0
	for b.Loop() {
		i = (i + 7919) % len(objs)
		pods.Get(objs[i].GetNamespace(), objs[i].GetName())
	}
}

func BenchmarkReplace10000(b *testing.B) {
	s, objs := full(10_000)
	for b.Loop() {
		s.Replace(objs)
	}
}
