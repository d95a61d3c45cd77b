package status

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"golang.org/x/time/rate"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/scaletest"
	"github.com/smi-project/smi/internal/source/kube"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// desk is a writer of one mesh whose queue is worked by hand.
type desk struct {
	*Writer
	client   client.Client
	events   *events.FakeRecorder
	writes   atomic.Int64
	objects  []store.Object
	replicas []*Summary
}

func newDesk(t testing.TB, objects []store.Object) *desk {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := kube.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	d := &desk{objects: objects, events: events.NewFakeRecorder(100)}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&access.TrafficTarget{}).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourceApply: func(ctx context.Context, c client.Client, sub string, o runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
				d.writes.Add(1)
				return c.SubResource(sub).Apply(ctx, o, opts...)
			},
		})
	for _, o := range objects {
		if target, ok := o.(*access.TrafficTarget); ok {
			builder = builder.WithObjects(target.DeepCopy())
		}
	}
	d.client = builder.Build()
	compiler, s := compile.New(compile.Config{}), store.New()
	d.Writer = NewWriter(WriterConfig{
		Client: d.client, Recorder: d.events, Logger: slog.New(slog.DiscardHandler), Replicas: func() []*Summary { return d.replicas },
		Pushed: func() (*mesh.Mesh, *store.Snapshot) {
			s.Replace(d.objects)
			snapshot := s.Snapshot()
			return compiler.Compile(snapshot), snapshot
		},
	})
	d.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[mesh.ObjectRef](firstRetry, lastRetry))
	t.Cleanup(d.queue.ShutDown)
	return d
}

// settle evaluates once, and writes all that is queued.
func (d *desk) settle(t testing.TB) {
	t.Helper()
	d.evaluate(context.Background())
	for d.queue.Len() > 0 {
		ref, _ := d.queue.Get()
		if err := d.write(context.Background(), ref, rate.NewLimiter(rate.Inf, 1)); err != nil {
			t.Fatal(err)
		}
		d.queue.Done(ref)
	}
}

func dangling(generation int64) *access.TrafficTarget {
	return &access.TrafficTarget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "buyers", UID: "1", Generation: generation, ResourceVersion: "10"},
		Spec: access.TrafficTargetSpec{
			Destination: access.IdentityBindingSubject{Kind: access.KindServiceAccount, Name: "web"},
			Sources:     []access.IdentityBindingSubject{{Kind: access.KindServiceAccount, Name: "till"}},
			Rules:       []access.TrafficTargetRule{{Kind: access.KindHTTPRouteGroup, Name: "none"}},
		},
	}
}

func (d *desk) target(t *testing.T) *access.TrafficTarget {
	t.Helper()
	var o access.TrafficTarget
	if err := d.client.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "buyers"}, &o); err != nil {
		t.Fatal(err)
	}
	return &o
}

// TestWriterWritesNewsOnly counts the writes and the Events of an object that stays
// as it is, is looked at again, and changes.
func TestWriterWritesNewsOnly(t *testing.T) {
	d := newDesk(t, []store.Object{dangling(1)})
	d.settle(t)
	first := apimeta.FindStatusCondition(d.target(t).Status.Conditions, ResolvedRefs)
	if first == nil || first.Reason != "UnknownRoute" || first.ObservedGeneration != 1 || first.LastTransitionTime.IsZero() {
		t.Fatalf("condition %+v", first)
	}
	told := len(d.events.Events)
	if told == 0 || d.writes.Load() != 1 {
		t.Errorf("%d Events and %d writes, want some and one", told, d.writes.Load())
	}
	d.settle(t)
	d.forgetWritten()
	d.settle(t)
	if n := d.writes.Load(); n != 1 || len(d.events.Events) != told {
		t.Errorf("%d writes and %d Events of what is no news, want one and %d", n, len(d.events.Events), told)
	}
	d.objects = []store.Object{dangling(2)}
	d.settle(t)
	second := apimeta.FindStatusCondition(d.target(t).Status.Conditions, ResolvedRefs)
	if d.writes.Load() != 2 || second.ObservedGeneration != 2 || !second.LastTransitionTime.Equal(&first.LastTransitionTime) {
		t.Errorf("after a change: %d writes, condition %+v", d.writes.Load(), second)
	}
	if len(d.events.Events) != told {
		t.Error("a condition that stays bad makes another Event")
	}
}

// What others write into conditions of ours is put right.
func TestWriterPutsRight(t *testing.T) {
	d := newDesk(t, []store.Object{dangling(1)})
	d.settle(t)
	spoilt := d.target(t)
	apimeta.SetStatusCondition(&spoilt.Status.Conditions, metav1.Condition{Type: ResolvedRefs, Status: metav1.ConditionTrue, Reason: "Lie", ObservedGeneration: 1})
	if err := d.client.Status().Update(context.Background(), spoilt); err != nil {
		t.Fatal(err)
	}
	d.forgetWritten()
	d.settle(t)
	got := d.target(t).Status.Conditions
	if c := apimeta.FindStatusCondition(got, ResolvedRefs); c.Reason != "UnknownRoute" {
		t.Errorf("the condition still says %s", c.Reason)
	}
}

// A replica that has not seen an object keeps it from being programmed.
func TestWriterWaitsForReplicas(t *testing.T) {
	d := newDesk(t, []store.Object{dangling(1)})
	d.replicas = []*Summary{{Replica: "two", Observed: map[string]string{"TrafficTarget": "9"}}}
	d.settle(t)
	if c := apimeta.FindStatusCondition(d.target(t).Status.Conditions, Programmed); c.Status != metav1.ConditionFalse {
		t.Errorf("condition %+v", c)
	}
}

func TestWriterForgetsWhatIsGone(t *testing.T) {
	d := newDesk(t, []store.Object{dangling(1)})
	d.settle(t)
	d.objects = nil
	d.settle(t)
	if len(d.state) != 0 {
		t.Errorf("%d objects are remembered", len(d.state))
	}
}

// BenchmarkEvaluate looks at all objects of a mesh that says what it said.
func BenchmarkEvaluate(b *testing.B) {
	for _, services := range []int{500, 2000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			d := newDesk(b, nil)
			d.objects = scaletest.New(scaletest.Standard(services)).Objects
			m, snapshot := d.config.Pushed()
			d.config.Pushed = func() (*mesh.Mesh, *store.Snapshot) { return m, snapshot }
			d.evaluate(context.Background())
			for _, o := range d.state {
				o.written = true
			}
			for b.Loop() {
				d.evaluate(context.Background())
			}
		})
	}
}
