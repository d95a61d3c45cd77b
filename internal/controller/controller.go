package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/rootkeeper"
	"github.com/smi-project/smi/internal/source/kube"
	"github.com/smi-project/smi/internal/store"
)

// Controller is one replica of the mesh's control plane on a cluster.
type Controller struct {
	options   Options
	log       *slog.Logger
	manager   manager.Manager
	clientset kubernetes.Interface
	store     *store.Store
	source    *kube.Source
	metrics   *metrics
	roots     *rootkeeper.Keeper
	webhook   *webhook
	announced atomic.Pointer[announced]
	reporter  *reporter

	// plane is nil before there is a certificate authority and all objects are read.
	plane atomic.Pointer[controlplane.ControlPlane]
	// ca may be read when certified is closed.
	ca        *identity.CA
	certified chan struct{}
	// serving is closed when the first push was made.
	serving chan struct{}
	// draining tells that the process ends, and unready why it was not ready when it
	// was asked last.
	draining atomic.Bool
	unready  atomic.Pointer[string]

	// mu guards the ranges that the cluster gives addresses from.
	mu     sync.Mutex
	ranges kube.Ranges
}

// DrainTime is how long a replica that is told to end goes on serving, so that
// nobody is sent to it any more when it stops.
const DrainTime = 3 * time.Second

// defaultRequests are what a sidecar asks for unless the configuration says.
func defaultRequests() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("20m"),
		corev1.ResourceMemory: resource.MustParse("64Mi"),
	}
}

// New puts a controller together. Run starts it.
func New(options Options) (*Controller, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	c := &Controller{options: options, log: options.Logger, store: store.New(), metrics: newMetrics(options.Registry), certified: make(chan struct{}), serving: make(chan struct{})}
	if err := c.newManager(); err != nil {
		return nil, err
	}
	var err error
	if c.clientset, err = kubernetes.NewForConfig(options.Cluster); err != nil {
		return nil, fmt.Errorf("controller: %w", err)
	}
	c.source = kube.New(kube.Config{Store: c.store, Changed: c.changed, Ranges: c.addressRanges, Logger: c.log})
	if c.roots, err = c.newRoots(); err != nil {
		return nil, err
	}
	if c.webhook, err = c.newWebhook(); err != nil {
		return nil, err
	}
	c.reporter = c.newReporter()
	return c, nil
}

// newManager makes the manager: caches, metrics and health.
func (c *Controller) newManager() error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, kube.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	grace := 10 * time.Second
	m, err := manager.New(c.options.Cluster, manager.Options{
		Scheme: scheme, Logger: logr.FromSlogHandler(c.log.Handler()), Cache: kube.CacheOptions(),
		// What is not read from the cache is read as it is, and not kept.
		Client:                  client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}, &corev1.Namespace{}, &corev1.Pod{}}}},
		Metrics:                 metricsserver.Options{BindAddress: c.options.Addresses.Metrics},
		HealthProbeBindAddress:  c.options.Addresses.Health,
		GracefulShutdownTimeout: &grace,
	})
	if err != nil {
		return fmt.Errorf("controller: cannot reach the cluster at %s: %w", c.options.Cluster.Host, err)
	}
	if err := errors.Join(m.AddHealthzCheck("alive", func(*http.Request) error { return nil }), m.AddReadyzCheck("serving", c.readyz)); err != nil {
		return err
	}
	c.manager = m
	return nil
}

// Run runs the controller until the context ends, goes on for DrainTime, and
// returns nil. An error says why it could not go on.
func (c *Controller) Run(ctx context.Context) error {
	served, err := discovery.NewDiscoveryClientForConfig(c.options.Cluster)
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, running := errgroup.WithContext(running)
	group.Go(func() error {
		select {
		case <-running.Done():
			return nil
		case <-ctx.Done():
		}
		c.draining.Store(true)
		c.log.Info("ending", "in", DrainTime)
		select {
		case <-running.Done():
		case <-time.After(DrainTime):
		}
		stop()
		return nil
	})
	group.Go(func() error { return c.manager.Start(running) })
	group.Go(func() error { return c.source.Run(running, c.manager.GetCache(), served) })
	group.Go(func() error { return c.keepRoots(running) })
	group.Go(func() error { return c.serve(running) })
	group.Go(func() error { return c.webhook.serve(running) })
	group.Go(func() error { return c.serveDebug(running) })
	group.Go(func() error { return c.reporter.publish(running) })
	group.Go(func() error { return c.lead(running) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// readyz is ready for probes. It logs why this replica is not, when that is news.
func (c *Controller) readyz(*http.Request) error {
	err := c.ready()
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	if said := c.unready.Swap(&reason); err != nil && (said == nil || *said != reason) {
		c.log.Info("not ready", "reason", reason)
	}
	return err
}

// ready tells whether this replica can serve proxies, pods and the API server.
func (c *Controller) ready() error {
	switch {
	case c.draining.Load():
		return errors.New("this replica is ending")
	case !isClosed(c.certified):
		return errors.Join(errors.New("there is no certificate authority yet"), c.roots.Err())
	case len(c.source.Waiting()) > 0:
		return fmt.Errorf("not read yet: %v", c.source.Waiting())
	case !isClosed(c.serving):
		return errors.New("nothing was compiled yet")
	case c.webhook.keeper.Load() == nil || c.webhook.keeper.Load().Current() == nil:
		return errors.New("the webhook has no certificate yet")
	}
	return nil
}

// changed takes over that the store has changed.
func (c *Controller) changed() {
	c.roots.Changed()
	if plane := c.plane.Load(); plane != nil {
		c.metrics.changed()
		plane.Changed()
	}
}

// addressRanges takes over the ranges that the cluster gives addresses from.
func (c *Controller) addressRanges(ranges kube.Ranges) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.meaning()
	c.ranges = ranges
	now := c.meaning()
	same := slices.Equal(before.PodRanges, now.PodRanges) && slices.Equal(before.ServiceRanges, now.ServiceRanges)
	if plane := c.plane.Load(); plane != nil && !same {
		c.log.Info("the ranges of addresses have changed", "pods", now.PodRanges, "services", now.ServiceRanges)
		plane.Reconfigure(now)
	}
}

// meaning is that of resources, by the configuration and the ranges. c.mu is held.
func (c *Controller) meaning() compile.Config {
	return c.options.Config.Meaning(c.ranges.Pods, c.ranges.Services)
}

// waitForCA returns the certificate authority as soon as there is one.
func (c *Controller) waitForCA(ctx context.Context) (*identity.CA, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.certified:
		return c.ca, nil
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
