package status

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/smi-project/smi/internal/store"
)

func publisher(client *fake.Clientset) *Publisher {
	return &Publisher{
		Client: client, Namespace: "mesh", Replica: "one", Logger: slog.New(slog.DiscardHandler),
		Collect: func() (*Summary, *store.Snapshot) { return &Summary{Replica: "one"}, new(store.Snapshot) },
	}
}

// TestSummaryGoesWithItsPod sees that a replica whose Pod is gone already writes
// nothing that stays: the owner of what it writes is the Pod that it had.
func TestSummaryGoesWithItsPod(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "mesh", Name: "one", UID: "its-uid"}}
	client := fake.NewClientset(pod)
	p := publisher(client)
	if err := p.publish(t.Context(), &Summary{Replica: "one"}); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().Pods("mesh").Delete(t.Context(), "one", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := p.publish(t.Context(), &Summary{Replica: "one", Connected: 1}); err != nil {
		t.Fatal(err)
	}
	got, err := client.CoreV1().ConfigMaps("mesh").Get(t.Context(), SummaryPrefix+"one", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if owners := got.OwnerReferences; len(owners) != 1 || owners[0].UID != pod.UID {
		t.Errorf("the summary belongs to %v", owners)
	}
}

// TestHeartbeats sees that a summary which does not change is told of again, so that
// its replica does not count as gone.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- publisher(client).Run(ctx) }()
		synctest.Wait()
		heard := func() string {
			got, err := client.CoreV1().ConfigMaps("mesh").Get(ctx, SummaryPrefix+"one", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return got.Annotations[heardAnnotation]
		}
		first := heard()
		<-time.After(heartbeat + publishEvery)
		synctest.Wait()
		if again := heard(); again == first {
			t.Errorf("it says %s still", again)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestSilentReplicaIsGone sees that what a replica said counts for a time only, that
// a watch which begins anew does not prolong it, and that its end is told.
func TestSilentReplicaIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReplicas(fake.NewClientset(), "mesh", "one")
		said := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "mesh", Name: SummaryPrefix + "two", ResourceVersion: "1"},
			Data:       map[string]string{SummaryKey: `{"replica":"two"}`},
		}
		r.put(said)
		ctx, stop := context.WithCancel(t.Context())
		var told atomic.Int64
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx, func() { told.Add(1) }) }()
		<-time.After(silence - heartbeat)
		r.put(said)
		synctest.Wait()
		if all := r.All(); len(all) != 1 {
			t.Errorf("before its time there are %d", len(all))
		}
		before := told.Load()
		<-time.After(heartbeat)
		synctest.Wait()
		if all := r.All(); len(all) != 0 || told.Load() == before {
			t.Errorf("after its time there are %d, which was told %d times", len(all), told.Load()-before)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
