//go:build linux

package live_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/rig"
	"github.com/smi-project/smi/internal/rootkeeper"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// rotateRootsUnderLoad loads the mesh while its root is replaced, twice, as on a
// cluster: the state in a Secret of a real API server, the roots told by a
// ConfigMap, and pods that take them up one after the other. Nothing fails.
func rotateRootsUnderLoad(t *testing.T) {
	client := kubernetes.NewForConfigOrDie(kubetest.Start(t))
	for _, name := range []string{"smi-system", "shop"} {
		if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	meshed := store.New()
	keeper, err := rootkeeper.New(rootkeeper.Options{
		Client: client, Namespace: "smi-system", TrustDomain: "cluster.local", Replica: "one", Snapshot: meshed.Snapshot, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = keeper.Run(ctx) })
	running.Go(func() { _ = keeper.Lead(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	ca, err := keeper.CA(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := canaries(t, rig.Options{CA: ca, Source: func(pod mesh.Name, account mesh.Account) identity.CertificateSource {
		uid := types.UID(pod.String())
		meshed.Put(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: uid},
			Spec:       corev1.PodSpec{InitContainers: []corev1.Container{{Name: sidecar.Container}}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1"},
		})
		return identity.SourceFunc(func(_ context.Context, csr []byte) ([]byte, []byte, error) { return keeper.Issue(csr, account, uid) })
	}})
	r.Store.Put(splitsOf(weights{1, 1}, weights{1, 1})...)
	r.Settle()

	l := everyKind(r)
	l.run()
	authority := &rootkeeper.Remote{Client: client, Namespace: "smi-system"}
	seen := map[rootkeeper.Phase]int{}
	for _, request := range []string{"first", "second"} {
		before := ca.Root()
		if err := authority.Rotate(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		rotateWith(t, r, authority, request, seen)
		if ca.Root().Equal(before) || len(ca.Bundle().Roots()) != 1 {
			t.Errorf("after the %s rotation %s signs, of %d roots", request, ca.Root().Subject, len(ca.Bundle().Roots()))
		}
	}
	l.report(t, l.stop())
	checkBackends(t, l)
	t.Logf("pods took up: %v", seen)
	for _, phase := range []rootkeeper.Phase{rootkeeper.Trusting, rootkeeper.Signing, rootkeeper.Removing} {
		if seen[phase] < 2 {
			t.Errorf("the phase %s was taken up %d times", phase, seen[phase])
		}
	}
}

// rotateWith lets the pods take up every step of a rotation, one after the other
// with a pause, as kubelets do, until it is done.
func rotateWith(t *testing.T, r *rig.Rig, authority *rootkeeper.Remote, request string, seen map[rootkeeper.Phase]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	epoch := int64(0)
	for {
		status, err := authority.Status(ctx)
		switch {
		case err != nil:
			t.Fatal(err)
		case status.Phase == rootkeeper.Stable && status.Request == request:
			return
		case status.Phase != rootkeeper.Stable && status.Epoch != epoch:
			epoch = status.Epoch
			seen[status.Phase]++
			for _, pod := range r.Pods {
				pod.Agent.Renew()
				pause(ctx, t, 300*time.Millisecond)
			}
		}
		pause(ctx, t, 100*time.Millisecond)
	}
}

func pause(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		t.Fatal(errors.Join(errors.New("the rotation does not end"), ctx.Err()))
	}
}
