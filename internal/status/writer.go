package status

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// WriterConfig is what a Writer is made of.
type WriterConfig struct {
	// Client reads the kinds of SMI, preferably from a cache, and writes.
	Client   client.Client
	Recorder events.EventRecorder
	// Pushed is what proxies were last sent and the objects that it was made of; nil
	// before there was anything.
	Pushed func() (*mesh.Mesh, *store.Snapshot)
	// Replicas say how far all proxies are: this replica and all others.
	Replicas func() []*Summary
	// QueueDepth, where set, is told how many objects are to be written.
	QueueDepth func(int)
	Logger     *slog.Logger
}

// Writer writes conditions. Only one replica at a time may run one.
type Writer struct {
	config WriterConfig
	poked  chan struct{}
	queue  workqueue.TypedRateLimitingInterface[mesh.ObjectRef]

	mu    sync.Mutex
	state map[mesh.ObjectRef]*object
}

// object is what is known of an object.
type object struct {
	uid     string
	desired []metav1.Condition
	// written tells that the cluster has what is desired.
	written bool
	// programmed is the generation that proxies have carried out once.
	programmed int64
}

const (
	// evaluateEvery is the least time between two looks at all objects.
	evaluateEvery = time.Second
	// verifyEvery is how often what others may have written is looked at.
	verifyEvery = 5 * time.Minute
	// writesPerSecond and writeBurst bound the load on the API server.
	writesPerSecond, writeBurst = 50, 100
	// workers write at the same time.
	workers = 4
	// firstRetry and lastRetry bound the pauses after a write that failed.
	firstRetry, lastRetry = 200 * time.Millisecond, time.Minute
)

// NewWriter returns a writer; Run starts it.
func NewWriter(config WriterConfig) *Writer {
	if config.QueueDepth == nil {
		config.QueueDepth = func(int) {}
	}
	return &Writer{config: config, poked: make(chan struct{}, 1), state: map[mesh.ObjectRef]*object{}}
}

// Changed tells that something may be news.
func (w *Writer) Changed() {
	select {
	case w.poked <- struct{}{}:
	default:
	}
}

// Run writes until the context ends.
func (w *Writer) Run(ctx context.Context) error {
	w.mu.Lock()
	// What another replica wrote meanwhile is not known.
	w.state = map[mesh.ObjectRef]*object{}
	w.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedMaxOfRateLimiter(
		workqueue.NewTypedItemExponentialFailureRateLimiter[mesh.ObjectRef](firstRetry, lastRetry),
	))
	queue := w.queue
	w.mu.Unlock()
	limit := rate.NewLimiter(writesPerSecond, writeBurst)
	group, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, queue.ShutDown)
	for range workers {
		group.Go(func() error {
			for w.work(ctx, queue, limit) {
			}
			return nil
		})
	}
	group.Go(func() error {
		w.loop(ctx)
		return nil
	})
	return group.Wait()
}

func (w *Writer) loop(ctx context.Context) {
	verify := time.NewTicker(verifyEvery)
	defer verify.Stop()
	for {
		w.evaluate(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(evaluateEvery):
		}
		select {
		case <-ctx.Done():
			return
		case <-verify.C:
			w.forgetWritten()
		case <-w.poked:
		}
	}
}

func (w *Writer) forgetWritten() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.state {
		o.written = false
	}
}

// evaluate finds out what every object should say, and has written what is news.
func (w *Writer) evaluate(ctx context.Context) {
	m, snapshot := w.config.Pushed()
	if m == nil {
		return
	}
	replicas := w.config.Replicas()
	fleet := newFleet(m, replicas)
	findings := map[mesh.ObjectRef][]mesh.Finding{}
	for _, f := range m.Findings {
		findings[f.Object] = append(findings[f.Object], f)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[mesh.ObjectRef]bool{}
	for _, o := range policyObjects(snapshot) {
		seen[o.ref] = true
		w.look(ctx, o, findings[o.ref], func(before bool) Progress {
			return fleet.progress(o.ref, lag(replicas, o.ref.Kind, o.meta.GetResourceVersion()), before)
		})
	}
	for ref := range w.state {
		if !seen[ref] {
			delete(w.state, ref)
		}
	}
	w.config.QueueDepth(w.queue.Len())
}

// look finds out what an object should say. w.mu is held.
func (w *Writer) look(ctx context.Context, o policyObject, findings []mesh.Finding, progress func(before bool) Progress) {
	s := w.state[o.ref]
	if uid := string(o.meta.GetUID()); s == nil || s.uid != uid {
		s = &object{uid: uid, programmed: programmedGeneration(w.current(ctx, o.ref))}
		w.state[o.ref] = s
	}
	generation := o.meta.GetGeneration()
	desired := Conditions(o.ref.Kind, generation, findings, progress(s.programmed == generation))
	if apimeta.IsStatusConditionTrue(desired, Programmed) {
		s.programmed = generation
	}
	if s.written && sameConditions(s.desired, desired) {
		return
	}
	s.desired, s.written = desired, false
	w.queue.Add(o.ref)
}

// work writes one object. It returns false when there is nothing left to do.
func (w *Writer) work(ctx context.Context, queue workqueue.TypedRateLimitingInterface[mesh.ObjectRef], limit *rate.Limiter) bool {
	ref, shutdown := queue.Get()
	if shutdown {
		return false
	}
	defer queue.Done(ref)
	err := w.write(ctx, ref, limit)
	w.config.QueueDepth(queue.Len())
	switch {
	case err == nil || ctx.Err() != nil:
		queue.Forget(ref)
	default:
		w.config.Logger.Warn("the status of an object could not be written, and is tried again", "object", ref.String(), "error", err)
		queue.AddRateLimited(ref)
	}
	return true
}

// write has the cluster say of an object what it should say.
func (w *Writer) write(ctx context.Context, ref mesh.ObjectRef, limit *rate.Limiter) error {
	w.mu.Lock()
	s := w.state[ref]
	if s == nil {
		w.mu.Unlock()
		return nil
	}
	desired, uid := s.desired, s.uid
	w.mu.Unlock()
	current := w.current(ctx, ref)
	if current == nil || string(current.GetUID()) != uid {
		return nil // Gone, or another one, which is looked at when it is known.
	}
	held := conditionsOf(current)
	if !sameConditions(ours(held, ref.Kind), desired) {
		if err := limit.Wait(ctx); err != nil {
			return err
		}
		if err := w.apply(ctx, current, ref, withTimes(held, desired)); apierrors.IsNotFound(err) {
			return nil
		} else if err != nil {
			return err
		}
		w.tell(current, held, desired)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if sameConditions(s.desired, desired) {
		s.written = true
	}
	return nil
}

// apply writes the conditions by server-side apply, which touches no other field.
func (w *Writer) apply(ctx context.Context, current client.Object, ref mesh.ObjectRef, conditions []metav1.Condition) error {
	gvk, err := w.config.Client.GroupVersionKindFor(current)
	if err != nil {
		return err
	}
	list := make([]any, len(conditions))
	for i := range conditions {
		if list[i], err = runtime.DefaultUnstructuredConverter.ToUnstructured(&conditions[i]); err != nil {
			return err
		}
	}
	wanted := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": ref.Name, "namespace": ref.Namespace, "uid": string(current.GetUID())},
		"status":   map[string]any{"conditions": list},
	}}
	wanted.SetGroupVersionKind(gvk)
	return w.config.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(wanted), client.FieldOwner(FieldManager), client.ForceOwnership)
}

// tell makes an Event of each condition that turned bad.
func (w *Writer) tell(o client.Object, held, desired []metav1.Condition) {
	for _, c := range desired {
		before := apimeta.FindStatusCondition(held, c.Type)
		if isBad(c) && (before == nil || !isBad(*before) || before.Reason != c.Reason) {
			w.config.Recorder.Eventf(o, nil, corev1.EventTypeWarning, c.Reason, c.Type, "%s", cut(c.Message, maxNote))
		}
	}
}

// maxNote is how long the note of an Event may be, in bytes.
const maxNote = 1000

// current reads an object, nil where it is not there.
func (w *Writer) current(ctx context.Context, ref mesh.ObjectRef) client.Object {
	o := newObject(ref.Kind)
	if err := w.config.Client.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, o); err != nil {
		return nil
	}
	return o
}
