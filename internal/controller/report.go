package controller

import (
	"context"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/status"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/internal/xds"
	"github.com/smi-project/smi/mesh"
)

// reporter tells what became of resources: every replica sums up its proxies, and
// the leader writes conditions.
type reporter struct {
	controller *Controller
	writer     *status.Writer
	replicas   *status.Replicas

	mu sync.Mutex
	// observing is what the push that is being made holds, observed what was pushed.
	observing, observed map[string]string
}

func (c *Controller) newReporter() *reporter {
	r := &reporter{controller: c, replicas: status.NewReplicas(c.clientset, c.options.Namespace, c.options.Replica)}
	r.writer = status.NewWriter(status.WriterConfig{
		Client: c.manager.GetClient(), Recorder: c.manager.GetEventRecorder(status.FieldManager),
		Pushed: r.pushed, Replicas: r.all, Logger: c.log,
		QueueDepth: func(n int) { c.metrics.queue.Set(float64(n)) },
	})
	return r
}

func (r *reporter) beforePush() {
	observing := r.controller.source.Observed()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observing = observing
}

func (r *reporter) afterPush() {
	r.mu.Lock()
	r.observed = r.observing
	r.mu.Unlock()
	r.writer.Changed()
}

func (r *reporter) proxy(xds.ProxyStatus) { r.writer.Changed() }

func (r *reporter) pushed() (*mesh.Mesh, *store.Snapshot) {
	plane := r.controller.plane.Load()
	if plane == nil {
		return nil, nil
	}
	return plane.Pushed()
}

// collect sums up the proxies of this replica.
func (r *reporter) collect(plane *controlplane.ControlPlane) (*status.Summary, *store.Snapshot) {
	r.mu.Lock()
	observed := r.observed
	r.mu.Unlock()
	_, snapshot := plane.Pushed()
	return status.Summarise(r.controller.options.Replica, observed, plane.Proxies(), func(node string) mesh.Account {
		namespace, name, _ := strings.Cut(node, "/")
		pod, found := snapshot.Pods.Get(namespace, name)
		if !found {
			return mesh.Account{}
		}
		return controlplane.AccountOf(pod)
	}), snapshot
}

// all are the summaries of all replicas, this one as it is now.
func (r *reporter) all() []*status.Summary {
	all := r.replicas.All()
	if plane := r.controller.plane.Load(); plane != nil {
		own, _ := r.collect(plane)
		all = append(all, own)
	}
	return all
}

// publish keeps the summary of this replica where the leader reads it.
func (r *reporter) publish(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.controller.serving:
	}
	publisher := &status.Publisher{
		Client: r.controller.clientset, Namespace: r.controller.options.Namespace, Replica: r.controller.options.Replica, Logger: r.controller.log,
		Collect: func() (*status.Summary, *store.Snapshot) { return r.collect(r.controller.plane.Load()) },
	}
	return publisher.Run(ctx)
}

// write writes conditions, for as long as this replica leads.
func (r *reporter) write(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.controller.serving:
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.replicas.Run(ctx, r.writer.Changed) })
	group.Go(func() error { return r.writer.Run(ctx) })
	return group.Wait()
}
