package status

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Replicas are what the other replicas say of their proxies.
type Replicas struct {
	client         kubernetes.Interface
	namespace, own string

	mu    sync.Mutex
	known map[string]known
}

type known struct {
	summary *Summary
	// version is the ConfigMap's, and at when it came, by the clock of this process.
	version string
	at      time.Time
}

// silence is how long a replica may say nothing before it counts as gone.
const silence = 3 * heartbeat

// maxSummary bounds what is read of a ConfigMap, in bytes.
const maxSummary = 512 << 10

// NewReplicas reads those of a namespace, but not the one of the given name.
func NewReplicas(client kubernetes.Interface, namespace, own string) *Replicas {
	return &Replicas{client: client, namespace: namespace, own: own, known: map[string]known{}}
}

// Run follows them until the context ends, and calls changed when one has changed, and
// now and then, as one may have fallen silent.
func (r *Replicas) Run(ctx context.Context, changed func()) error {
	factory := informers.NewSharedInformerFactoryWithOptions(r.client, 0, informers.WithNamespace(r.namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = PartLabel + "=" + SummaryPart }))
	informer := factory.Core().V1().ConfigMaps().Informer()
	put := func(o any) {
		if c, ok := o.(*corev1.ConfigMap); ok {
			r.put(c)
			changed()
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: put, UpdateFunc: func(_, o any) { put(o) },
		DeleteFunc: func(o any) {
			if missed, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = missed.Obj
			}
			if c, ok := o.(*corev1.ConfigMap); ok {
				r.forget(c.Name)
				changed()
			}
		},
	})
	if err != nil {
		return err
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { informer.RunWithContext(ctx) })
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			changed()
		}
	}
}

func (r *Replicas) put(c *corev1.ConfigMap) {
	text := c.Data[SummaryKey]
	var summary Summary
	if len(text) > maxSummary || json.Unmarshal([]byte(text), &summary) != nil {
		return // Of another release, or of nobody.
	}
	summary.Replica = strings.TrimPrefix(c.Name, SummaryPrefix)
	if summary.Replica == r.own {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, found := r.known[c.Name]; found && k.version == c.ResourceVersion {
		return // A watch that begins anew tells of everything again.
	}
	r.known[c.Name] = known{&summary, c.ResourceVersion, time.Now()}
}

func (r *Replicas) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, name)
}

// All returns the summaries of the replicas that live, sorted by name.
func (r *Replicas) All() []*Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*Summary
	for _, k := range r.known {
		if time.Since(k.at) < silence {
			all = append(all, k.summary)
		}
	}
	slices.SortFunc(all, func(a, b *Summary) int { return strings.Compare(a.Replica, b.Replica) })
	return all
}
