package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/discovery"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/store"
)

// Config is what a Source is made of.
type Config struct {
	Store *store.Store
	// Changed is called after every change of the store. It must return quickly.
	Changed func()
	// PodCIDRs, where set, is called with the ranges of the nodes' pods, sorted, at
	// first and whenever they change.
	PodCIDRs func([]netip.Prefix)
	Logger   *slog.Logger
}

// Source keeps a store in step with a cluster.
type Source struct {
	config Config
	log    *slog.Logger
	synced chan struct{}

	mu sync.Mutex
	// initial are the objects that came before everything was read once; nil after
	// that. The store gets them as one change.
	initial map[key]client.Object
	// waiting are the kinds that were not read once, by name.
	waiting map[string]bool
	// missing are the kinds that the cluster does not serve.
	missing map[string]bool
	// observed is, per kind, the newest resource version that was seen.
	observed map[string]string
	nodes    map[string][]string
	ranges   []netip.Prefix
}

type key struct{ kind, namespace, name string }

// Pauses between attempts to read a kind that is not served, or fails.
const retryAfter = 3 * time.Second

// New returns a source that has read nothing yet.
func New(config Config) *Source {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.PodCIDRs == nil {
		config.PodCIDRs = func([]netip.Prefix) {}
	}
	s := &Source{
		config: config, log: config.Logger, synced: make(chan struct{}),
		initial: map[key]client.Object{}, waiting: map[string]bool{}, missing: map[string]bool{}, observed: map[string]string{}, nodes: map[string][]string{},
	}
	for _, k := range kinds() {
		s.waiting[k.name] = true
	}
	return s
}

// Run reads from the cache, which was made with CacheOptions and which its owner
// starts, until the context ends. A kind of SMI that is not installed is waited
// for, and keeps nothing else back.
func (s *Source) Run(ctx context.Context, informers cache.Informers, served discovery.DiscoveryInterface) error {
	var all sync.WaitGroup
	for _, k := range kinds() {
		all.Go(func() { s.follow(ctx, k, informers, served) })
	}
	all.Wait()
	return nil
}

// Synced is closed when the store holds all that the cluster had at first.
func (s *Source) Synced() <-chan struct{} { return s.synced }

// Waiting are the kinds that were not read once, sorted.
func (s *Source) Waiting() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.waiting))
}

// Missing are the kinds of SMI that the cluster does not serve, sorted.
func (s *Source) Missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.missing))
}

// Observed is, per kind, the newest resource version of an object that the store has
// heard of. What was observed before a snapshot of the store is in it.
func (s *Source) Observed() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.observed)
}

// Follows tells whether the source reads objects of the kind.
func (s *Source) Follows(name string) bool {
	return slices.ContainsFunc(kinds(), func(k kind) bool { return k.name == name && !k.aside })
}

// follow hands on what becomes of the objects of a kind.
func (s *Source) follow(ctx context.Context, k kind, informers cache.Informers, served discovery.DiscoveryInterface) {
	for {
		err := s.subscribe(ctx, k, informers, served)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !errors.Is(err, errNotServed) {
			s.log.Warn("cannot read a kind of objects yet", "kind", k.name, "error", err)
		} else if s.isMissing(k) {
			s.log.Warn("a kind of SMI is not installed: install its CustomResourceDefinition (smi crds); until then the mesh does without",
				"kind", k.name, "apiVersion", k.groupVersion().String())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
		}
	}
}

// errNotServed tells that the cluster does not know a kind.
var errNotServed = errors.New("the cluster does not serve this kind")

// subscribe returns when the objects that exist were handed on.
func (s *Source) subscribe(ctx context.Context, k kind, informers cache.Informers, served discovery.DiscoveryInterface) error {
	if k.smi {
		if err := isServed(k, served); err != nil {
			return err
		}
	}
	informer, err := informers.GetInformer(ctx, k.object, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	registration, err := informer.AddEventHandler(s.handler(k))
	if err != nil {
		return err
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return ctx.Err()
	}
	s.read(k)
	return nil
}

func isServed(k kind, served discovery.DiscoveryInterface) error {
	resources, err := served.ServerResourcesForGroupVersion(k.groupVersion().String())
	if apierrors.IsNotFound(err) {
		return errNotServed
	}
	if err != nil {
		return fmt.Errorf("ask whether the cluster serves %s: %w", k.groupVersion(), err)
	}
	for _, r := range resources.APIResources {
		if r.Kind == k.name {
			return nil
		}
	}
	return errNotServed
}

// isMissing notes that a kind is not served, and tells whether that is news.
func (s *Source) isMissing(k kind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := !s.missing[k.name]
	s.missing[k.name] = true
	delete(s.waiting, k.name)
	s.begin()
	return news
}

// read notes that the objects of a kind were handed on.
func (s *Source) read(k kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, k.name)
	delete(s.missing, k.name)
	s.begin()
}

// begin fills the store when every kind was read or is not served. s.mu is held.
func (s *Source) begin() {
	if len(s.waiting) > 0 || s.initial == nil {
		return
	}
	objects := make([]store.Object, 0, len(s.initial))
	for _, o := range s.initial {
		objects = append(objects, o)
	}
	s.initial = nil
	s.config.Store.Replace(objects)
	s.config.Changed()
	close(s.synced)
}

func (s *Source) handler(k kind) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { s.put(k, nil, o.(client.Object)) },
		UpdateFunc: func(old, o any) {
			s.put(k, old.(client.Object), o.(client.Object))
		},
		DeleteFunc: func(o any) {
			if missed, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = missed.Obj
			}
			if object, ok := o.(client.Object); ok {
				s.remove(k, object)
			}
		},
	}
}

// put takes over an object. One that means what it meant leaves the store as it
// is, so that nothing is compiled for a status that somebody wrote.
func (s *Source) put(k kind, old, o client.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case k.aside:
		s.node(o.GetName(), o.(*corev1.Node).Spec.PodCIDRs)
	case s.initial != nil:
		s.initial[key{k.name, o.GetNamespace(), o.GetName()}] = o
	case old == nil || !k.same(old, o):
		s.config.Store.Put(o)
		s.config.Changed()
	}
	s.observe(k.name, o.GetResourceVersion())
}

func (s *Source) remove(k kind, o client.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case k.aside:
		s.node(o.GetName(), nil)
	case s.initial != nil:
		delete(s.initial, key{k.name, o.GetNamespace(), o.GetName()})
	default:
		s.config.Store.Delete(o)
		s.config.Changed()
	}
	s.observe(k.name, o.GetResourceVersion())
}

// observe keeps the newer version. s.mu is held.
func (s *Source) observe(kind, version string) {
	if newer, err := resourceversion.CompareResourceVersion(version, s.observed[kind]); err != nil || newer > 0 {
		s.observed[kind] = version
	}
}

// node takes over the ranges of a node, none where it is gone. s.mu is held.
func (s *Source) node(name string, written []string) {
	if slices.Equal(s.nodes[name], written) {
		return
	}
	s.nodes[name] = written
	if written == nil {
		delete(s.nodes, name)
	}
	if all := ranges(s.nodes); !slices.Equal(all, s.ranges) {
		s.ranges = all
		s.config.PodCIDRs(slices.Clone(all))
	}
}

// ranges are those that nodes say, by their names, sorted.
func ranges(nodes map[string][]string) []netip.Prefix {
	var all []netip.Prefix
	for _, written := range nodes {
		for _, text := range written {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				all = append(all, prefix.Masked())
			}
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}
