package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

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
	// Ranges, where set, is called with the ranges that the cluster gives addresses
	// from, at first and whenever they change. It must return quickly.
	Ranges func(Ranges)
	Logger *slog.Logger
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
	written  writtenRanges
	ranges   Ranges
}

type key struct{ kind, namespace, name string }

// Pauses between attempts to read a kind that fails, or that somebody is about to
// install; and between looks whether Kubernetes has been upgraded.
const (
	retryAfter   = 3 * time.Second
	upgradeAfter = time.Minute
)

// New returns a source that has read nothing yet.
func New(config Config) *Source {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Ranges == nil {
		config.Ranges = func(Ranges) {}
	}
	s := &Source{
		config: config, log: config.Logger, synced: make(chan struct{}),
		initial: map[key]client.Object{}, waiting: map[string]bool{}, missing: map[string]bool{}, observed: map[string]string{}, written: writtenRanges{},
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
	var missing []string
	for _, k := range kinds() {
		if k.smi && s.missing[k.name] {
			missing = append(missing, k.name)
		}
	}
	slices.Sort(missing)
	return missing
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
	return slices.ContainsFunc(kinds(), func(k kind) bool { return k.name == name && k.ranges == nil })
}

// follow hands on what becomes of the objects of a kind.
func (s *Source) follow(ctx context.Context, k kind, informers cache.Informers, served discovery.DiscoveryInterface) {
	for {
		err := s.subscribe(ctx, k, informers, served)
		if err == nil || ctx.Err() != nil {
			return
		}
		pause := retryAfter
		switch news := errors.Is(err, errNotServed) && s.isMissing(k); {
		case !errors.Is(err, errNotServed):
			s.log.Warn("cannot read a kind of objects yet", "kind", k.name, "error", err)
		case !k.smi:
			pause = upgradeAfter
			if news {
				s.log.Info("this Kubernetes does not tell the ranges of its addresses: the configuration can", "kind", k.name, "apiVersion", k.optional.String())
			}
		case news:
			s.log.Warn("a kind of SMI is not installed: install its CustomResourceDefinition (smi crds); until then the mesh does without",
				"kind", k.name, "apiVersion", k.optional.String())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// errNotServed tells that the cluster does not know a kind.
var errNotServed = errors.New("the cluster does not serve this kind")

// subscribe returns when the objects that exist were handed on.
func (s *Source) subscribe(ctx context.Context, k kind, informers cache.Informers, served discovery.DiscoveryInterface) error {
	if !k.optional.Empty() {
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
	resources, err := served.ServerResourcesForGroupVersion(k.optional.String())
	if apierrors.IsNotFound(err) {
		return errNotServed
	}
	if err != nil {
		return fmt.Errorf("ask whether the cluster serves %s: %w", k.optional, err)
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
	case k.ranges != nil:
		s.putRanges(k, o.GetName(), k.ranges(o))
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
	case k.ranges != nil:
		s.putRanges(k, o.GetName(), nil)
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

// putRanges takes over what an object says of ranges, nothing where it is gone. s.mu
// is held.
func (s *Source) putRanges(k kind, name string, written []string) {
	s.written.put(k, name, written)
	if now := s.written.read(); !now.equal(s.ranges) {
		s.ranges = now
		s.config.Ranges(now)
	}
}
