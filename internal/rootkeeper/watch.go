package rootkeeper

import (
	"context"
	"errors"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/sidecar"
)

// watches are the objects that a Keeper follows. It sees those of these names
// and no others, which is all it needs to be allowed to.
type watches struct {
	namespace string
	// secrets are by name; roots are the ConfigMaps of all namespaces with the
	// roots, own those of the mesh's namespace about the CA.
	secrets map[string]cache.SharedIndexInformer
	roots   cache.SharedIndexInformer
	own     cache.SharedIndexInformer
	parsed  parsed
}

func newWatches(options Options, wake func()) *watches {
	w := &watches{namespace: options.Namespace, secrets: map[string]cache.SharedIndexInformer{}}
	factory := func(namespace string, tweak func(*metav1.ListOptions)) informers.SharedInformerFactory {
		return informers.NewSharedInformerFactoryWithOptions(options.Client, 0,
			informers.WithNamespace(namespace), informers.WithTweakListOptions(tweak))
	}
	named := func(name string) func(*metav1.ListOptions) {
		return func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
		}
	}
	labelled := func(o *metav1.ListOptions) { o.LabelSelector = labelPart }
	for _, name := range []string{OwnSecret, options.Secret} {
		if name != "" {
			w.secrets[name] = factory(options.Namespace, named(name)).Core().V1().Secrets().Informer()
		}
	}
	w.roots = factory(metav1.NamespaceAll, named(sidecar.RootsConfigMap)).Core().V1().ConfigMaps().Informer()
	w.own = factory(options.Namespace, labelled).Core().V1().ConfigMaps().Informer()
	events := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { wake() }, UpdateFunc: func(any, any) { wake() }, DeleteFunc: func(any) { wake() },
	}
	for _, informer := range w.all() {
		// Only an informer that has stopped refuses a handler.
		_, _ = informer.AddEventHandler(events)
	}
	return w
}

func (w *watches) all() []cache.SharedIndexInformer {
	all := []cache.SharedIndexInformer{w.roots, w.own}
	for _, informer := range w.secrets {
		all = append(all, informer)
	}
	return all
}

func (w *watches) run(ctx context.Context) error {
	for _, informer := range w.all() {
		go informer.RunWithContext(ctx)
	}
	<-ctx.Done()
	return nil
}

// wait returns when everything has been read once.
func (w *watches) wait(ctx context.Context) error {
	var synced []cache.InformerSynced
	for _, informer := range w.all() {
		synced = append(synced, informer.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return errors.New("the context has ended")
	}
	return nil
}

func (w *watches) secret(name string) (*corev1.Secret, bool) {
	return get[*corev1.Secret](w.secrets[name], w.namespace, name)
}

func get[T any](informer cache.SharedIndexInformer, namespace, name string) (found T, ok bool) {
	object, exists, err := informer.GetStore().GetByKey(namespace + "/" + name)
	if err != nil || !exists {
		return found, false
	}
	found, ok = object.(T)
	return found, ok
}

// list returns what an informer holds.
func list[T any](informer cache.SharedIndexInformer) []T {
	objects := informer.GetStore().List()
	all := make([]T, 0, len(objects))
	for _, object := range objects {
		if typed, ok := object.(T); ok {
			all = append(all, typed)
		}
	}
	return all
}

// parsed keeps what Secrets said, so that an unchanged Secret is not read again
// and gives the same pointers.
type parsed struct {
	mu                sync.Mutex
	ownFrom, userFrom *corev1.Secret
	own               *record
	user              *given
	ownErr, userErr   error
}

func (p *parsed) record(config identity.Config, secret *corev1.Secret) (*record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ownFrom != secret {
		p.ownFrom = secret
		p.own, p.ownErr = parseRecord(config, secret)
	}
	return p.own, p.ownErr
}

func (p *parsed) given(config identity.Config, secret *corev1.Secret) (*given, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.userFrom != secret {
		p.userFrom = secret
		p.user, p.userErr = readGiven(config, secret)
	}
	return p.user, p.userErr
}
