package controller

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/certify"
	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/xds"
	"github.com/smi-project/smi/mesh"
)

// serve serves proxies, as soon as all is known that they need: one that was told
// of half a mesh would refuse the other half.
func (c *Controller) serve(ctx context.Context) error {
	ca, err := c.waitForCA(ctx)
	if err != nil {
		return nil //nolint:nilerr // the context has ended
	}
	select {
	case <-ctx.Done():
		return nil
	case <-c.source.Synced():
	}
	certification := c.certification()
	if err := c.options.Registry.Register(certification); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	plane := c.newPlane(ca, func(registrar grpc.ServiceRegistrar) { certification.Register(registrar) })
	plane.Push()
	close(c.serving)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.options.Addresses.Control)
	if err != nil {
		return fmt.Errorf("controller: xDS: %w", err)
	}
	c.log.Info("serving proxies", "address", listener.Addr().String())
	return plane.Run(ctx, listener)
}

// newPlane makes the control plane and lets changes reach it.
func (c *Controller) newPlane(ca *identity.CA, beside func(grpc.ServiceRegistrar)) *controlplane.ControlPlane {
	c.mu.Lock()
	defer c.mu.Unlock()
	plane := controlplane.New(controlplane.Config{
		Store: c.store, CA: ca, Compile: c.meaning(), Render: c.options.Config.Rendering(), Place: c.place,
		BeforePush: func() {
			c.metrics.beforePush()
			c.reporter.beforePush()
		},
		OnPush: func(p controlplane.Push) {
			c.metrics.afterPush(p)
			c.reporter.afterPush()
		},
		OnProxy: func(p xds.ProxyStatus) {
			c.metrics.proxy(p)
			c.reporter.proxy(p)
		},
		Beside: beside, Logger: c.log,
	})
	c.metrics.follow(plane)
	c.plane.Store(plane)
	return plane
}

// place tells where the sidecar of a pod is: in the pod, where it was injected.
func (c *Controller) place(name mesh.Name) (envoy.Placement, bool) {
	pod, found := c.store.Snapshot().Pods.Get(name.Namespace, name.Name)
	if !found || !sidecar.Meshed(pod) {
		return envoy.Placement{}, false
	}
	ipv6 := slices.ContainsFunc(pod.Status.PodIPs, func(ip corev1.PodIP) bool { return strings.Contains(ip.IP, ":") })
	return envoy.Placement{Cluster: true, IPv6: ipv6 || strings.Contains(pod.Status.PodIP, ":")}, true
}

// certification signs certificates for pods.
func (c *Controller) certification() *certify.Server {
	return certify.New(certify.Config{
		Issuer:   c.roots,
		Reviewer: certify.NewTokenReviews(c.clientset.AuthenticationV1().TokenReviews()),
		Pod:      func(namespace, name string) (*corev1.Pod, bool) { return c.store.Snapshot().Pods.Get(namespace, name) },
		Logger:   c.log,
	})
}
