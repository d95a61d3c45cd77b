// Package store keeps the Kubernetes and SMI objects that the mesh is made of,
// in typed tables, and hands out immutable snapshots of them.
//
// It gives objects no meaning: that is compile's work. It never reads a
// cluster or a file: that is the work of the sources, which put objects in.
package store

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
)

// Object is a pointer to one of the kinds that a Snapshot has a table for. An
// object that was put into the store is never modified again: a change is a
// new object, so that equal pointers mean equal content.
type Object = metav1.Object

// Snapshot is the content of a store at one moment. It never changes.
type Snapshot struct {
	Namespaces       *Table[*corev1.Namespace]
	Pods             *Table[*corev1.Pod]
	ServiceAccounts  *Table[*corev1.ServiceAccount]
	Services         *Table[*corev1.Service]
	EndpointSlices   *Table[*discoveryv1.EndpointSlice]
	TrafficTargets   *Table[*access.TrafficTarget]
	IdentityBindings *Table[*access.IdentityBinding]
	HTTPRouteGroups  *Table[*specs.HTTPRouteGroup]
	TCPRoutes        *Table[*specs.TCPRoute]
	UDPRoutes        *Table[*specs.UDPRoute]
	TrafficSplits    *Table[*split.TrafficSplit]
}

// Store is the mutable side. Its methods may be called at once from several
// goroutines.
type Store struct {
	mu   sync.Mutex
	last Snapshot
}

// New returns an empty store.
func New() *Store {
	return &Store{last: Snapshot{
		Namespaces:       &Table[*corev1.Namespace]{},
		Pods:             &Table[*corev1.Pod]{},
		ServiceAccounts:  &Table[*corev1.ServiceAccount]{},
		Services:         &Table[*corev1.Service]{},
		EndpointSlices:   &Table[*discoveryv1.EndpointSlice]{},
		TrafficTargets:   &Table[*access.TrafficTarget]{},
		IdentityBindings: &Table[*access.IdentityBinding]{},
		HTTPRouteGroups:  &Table[*specs.HTTPRouteGroup]{},
		TCPRoutes:        &Table[*specs.TCPRoute]{},
		UDPRoutes:        &Table[*specs.UDPRoute]{},
		TrafficSplits:    &Table[*split.TrafficSplit]{},
	}}
}

// Snapshot returns the content as it is now. It costs nothing: tables are
// copied when they change, not when they are read.
func (s *Store) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := s.last
	return &snapshot
}

// Put adds the objects, replacing those of the same kind and name.
func (s *Store) Put(objs ...Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.apply(group(objs), put)
}

// Delete removes the objects of the same kind and name.
func (s *Store) Delete(objs ...Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.apply(group(objs), remove)
}

// Replace makes the objects the whole content of the store. Of several objects
// of one kind and name the last counts. A table whose objects are all the same
// pointers as before stays the same table.
func (s *Store) Replace(objs []Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.apply(group(objs), replace)
}

// objects are the objects of one change, by kind.
type objects struct {
	namespaces       []*corev1.Namespace
	pods             []*corev1.Pod
	serviceAccounts  []*corev1.ServiceAccount
	services         []*corev1.Service
	endpointSlices   []*discoveryv1.EndpointSlice
	trafficTargets   []*access.TrafficTarget
	identityBindings []*access.IdentityBinding
	httpRouteGroups  []*specs.HTTPRouteGroup
	tcpRoutes        []*specs.TCPRoute
	udpRoutes        []*specs.UDPRoute
	trafficSplits    []*split.TrafficSplit
}

// group sorts objects by kind. A kind without a table is a mistake of the
// source that put it, never of a user's file, so it panics.
func group(objs []Object) *objects {
	g := &objects{}
	for _, o := range objs {
		switch o := o.(type) {
		case *corev1.Namespace:
			g.namespaces = append(g.namespaces, o)
		case *corev1.Pod:
			g.pods = append(g.pods, o)
		case *corev1.ServiceAccount:
			g.serviceAccounts = append(g.serviceAccounts, o)
		case *corev1.Service:
			g.services = append(g.services, o)
		case *discoveryv1.EndpointSlice:
			g.endpointSlices = append(g.endpointSlices, o)
		case *access.TrafficTarget:
			g.trafficTargets = append(g.trafficTargets, o)
		case *access.IdentityBinding:
			g.identityBindings = append(g.identityBindings, o)
		case *specs.HTTPRouteGroup:
			g.httpRouteGroups = append(g.httpRouteGroups, o)
		case *specs.TCPRoute:
			g.tcpRoutes = append(g.tcpRoutes, o)
		case *specs.UDPRoute:
			g.udpRoutes = append(g.udpRoutes, o)
		case *split.TrafficSplit:
			g.trafficSplits = append(g.trafficSplits, o)
		default:
			panic(fmt.Sprintf("store: no table for %T", o))
		}
	}
	return g
}

func (s *Snapshot) apply(g *objects, c change) {
	s.Namespaces = update(s.Namespaces, g.namespaces, c)
	s.Pods = update(s.Pods, g.pods, c)
	s.ServiceAccounts = update(s.ServiceAccounts, g.serviceAccounts, c)
	s.Services = update(s.Services, g.services, c)
	s.EndpointSlices = update(s.EndpointSlices, g.endpointSlices, c)
	s.TrafficTargets = update(s.TrafficTargets, g.trafficTargets, c)
	s.IdentityBindings = update(s.IdentityBindings, g.identityBindings, c)
	s.HTTPRouteGroups = update(s.HTTPRouteGroups, g.httpRouteGroups, c)
	s.TCPRoutes = update(s.TCPRoutes, g.tcpRoutes, c)
	s.UDPRoutes = update(s.UDPRoutes, g.udpRoutes, c)
	s.TrafficSplits = update(s.TrafficSplits, g.trafficSplits, c)
}
