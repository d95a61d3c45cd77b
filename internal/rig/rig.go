//go:build linux

package rig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/agent"
	"github.com/smi-project/smi/internal/agent/accesslog"
	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/internal/tool"
	"github.com/smi-project/smi/mesh"
)

// Slot is a pod of the rig. Its application accepts HTTP/1.1, HTTP/2 without
// TLS and any other bytes on each of its ports.
type Slot struct {
	Namespace, Name string
	ServiceAccount  string
	Labels          map[string]string
	Ports           []uint16
}

// Options say how a rig runs.
type Options struct {
	// TTL is how long certificates live; 24 h when zero.
	TTL time.Duration
	// CA signs for the control plane; one of the rig's own, with TTL, where it is
	// nil. Source tells who signs for a pod; CA where it is nil.
	CA     *identity.CA
	Source func(pod mesh.Name, account mesh.Account) identity.CertificateSource
	// Sink takes the access log.
	Sink    accesslog.Sink
	Compile compile.Config
	Metrics envoy.Metrics
}

// Rig is a running mesh.
type Rig struct {
	tb    testing.TB
	Store *store.Store
	Plane *controlplane.ControlPlane
	CA    *identity.CA
	Pods  map[string]*Pod

	mu        sync.Mutex
	upstreams map[envoy.ServicePort]uint16
}

// Pod is a slot with its sidecar and its application.
type Pod struct {
	Slot
	App, Sidecar string
	Agent        *agent.Agent
	rig          *Rig
}

// portProxy is where a sidecar takes the HTTP requests of its application.
const portProxy = envoy.DefaultOutboundPort

// Start runs a sidecar and an application for every slot, without any policy.
// All of it ends with the test.
func Start(tb testing.TB, slots []Slot, options Options) *Rig {
	tb.Helper()
	binary, err := tool.Envoy("")
	if err != nil {
		tb.Fatal(err)
	}
	ca := options.CA
	if ca == nil {
		if ca, err = identity.NewCA(identity.Config{TrustDomain: "cluster.local", TTL: options.TTL}); err != nil {
			tb.Fatal(err)
		}
	}
	source := options.Source
	if source == nil {
		source = func(_ mesh.Name, account mesh.Account) identity.CertificateSource { return ca.Source(account) }
	}
	listener, block := claim(tb)
	r := &Rig{tb: tb, Store: store.New(), CA: ca, Pods: map[string]*Pod{}, upstreams: map[envoy.ServicePort]uint16{}}
	r.Plane = controlplane.New(controlplane.Config{
		Store: r.Store, CA: ca, Compile: options.Compile, Place: r.place,
		Render: envoy.Options{TrustDomain: "cluster.local", Metrics: options.Metrics}, Logger: slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	tb.Cleanup(func() {
		stop()
		running.Wait()
	})
	running.Go(func() {
		if err := r.Plane.Run(ctx, listener); err != nil {
			tb.Errorf("control plane: %v", err)
		}
	})
	dir := socketDir(tb)
	for i, slot := range slots {
		p := &Pod{Slot: slot, rig: r, App: address(block, 256+2*i), Sidecar: address(block, 257+2*i)}
		r.Pods[slot.Namespace+"/"+slot.Name] = p
		p.serve(tb)
		p.Agent, err = agent.New(agent.Config{
			TrustDomain: "cluster.local", Pod: mesh.Name{Namespace: slot.Namespace, Name: slot.Name}, ServiceAccount: slot.ServiceAccount,
			Source:     source(mesh.Name{Namespace: slot.Namespace, Name: slot.Name}, mesh.Account{Namespace: slot.Namespace, Name: slot.ServiceAccount}),
			XDSAddress: listener.Addr().String(),
			Dir:        filepath.Join(dir, fmt.Sprint(i)), Sink: options.Sink, Envoy: agent.Envoy{Binary: binary, LogLevel: cmp.Or(os.Getenv("RIG_LOG"), "error")},
			Logger: slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: logLevel()})).With("pod", slot.Namespace+"/"+slot.Name),
		})
		if err != nil {
			tb.Fatal(err)
		}
		running.Go(func() {
			if err := p.Agent.Run(ctx); err != nil {
				tb.Errorf("agent: %v", err)
			}
		})
	}
	return r
}

// logLevel lets Envoy's own log through where somebody asked for it, with
// RIG_LOG=debug.
func logLevel() slog.Level {
	if os.Getenv("RIG_LOG") != "" {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// socketDir is short enough for the paths of Unix sockets.
func socketDir(tb testing.TB) string {
	dir, err := os.MkdirTemp("", "smi-rig-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// claim takes a block of loopback addresses that no other rig uses.
func claim(tb testing.TB) (net.Listener, byte) {
	for block := 128; block < 192; block++ {
		l, err := net.Listen("tcp", address(byte(block), 1)+":15012")
		if err == nil {
			return l, byte(block)
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			tb.Fatal(err)
		}
	}
	tb.Fatal("every block of loopback addresses is in use")
	return nil, 0
}

func address(block byte, n int) string { return fmt.Sprintf("127.%d.%d.%d", block, n>>8, n&0xff) }

// Object is the pod as a source would have it.
func (p *Pod) Object() *corev1.Pod {
	o := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels},
		Spec:       corev1.PodSpec{ServiceAccountName: p.ServiceAccount, Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
	for i, port := range p.Ports {
		o.Spec.Containers[0].Ports = append(o.Spec.Containers[0].Ports, corev1.ContainerPort{Name: fmt.Sprintf("p%d", i), ContainerPort: int32(port)})
	}
	return p.Placed(o)
}

// Placed returns a pod object with the address of the slot, ready.
func (p *Pod) Placed(o *corev1.Pod) *corev1.Pod {
	o = o.DeepCopy()
	o.Status.PodIP = p.Sidecar
	o.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return o
}

// place is where the sidecar of a pod stands.
func (r *Rig) place(name mesh.Name) (envoy.Placement, bool) {
	p := r.Pods[name.String()]
	if p == nil {
		return envoy.Placement{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return envoy.Placement{SidecarAddress: p.Sidecar, AppAddress: p.App, Upstreams: r.upstreams}, true
}

// settleTime bounds the wait for acknowledgements on a busy machine.
const settleTime = 60 * time.Second

// Apply makes the objects the whole content of the store, with the pods of the
// slots in place of those of the same name, and waits until every sidecar has
// acknowledged what they mean.
func (r *Rig) Apply(objects ...store.Object) {
	r.tb.Helper()
	var all []store.Object
	r.mu.Lock()
	// A port is never used for another Service: its listener may still drain.
	upstreams := maps.Clone(r.upstreams)
	r.mu.Unlock()
	placed := map[string]bool{}
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Pod:
			name := o.Namespace + "/" + o.Name
			if p := r.Pods[name]; p != nil {
				placed[name] = true
				all = append(all, p.Placed(o))
			}
			continue
		case *corev1.Service:
			for _, port := range o.Spec.Ports {
				key := envoy.ServicePort{Service: mesh.Name{Namespace: o.Namespace, Name: o.Name}, Port: uint16(port.Port)}
				if upstreams[key] == 0 {
					upstreams[key] = uint16(20000 + len(upstreams))
				}
			}
		}
		all = append(all, o)
	}
	for name, p := range r.Pods {
		if !placed[name] {
			all = append(all, p.Object())
		}
	}
	r.mu.Lock()
	r.upstreams = upstreams
	r.mu.Unlock()
	r.Store.Replace(all)
	r.Settle()
}

// Settle waits until every sidecar has acknowledged what the store holds.
func (r *Rig) Settle() {
	r.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	if err := r.Plane.Settle(ctx); err != nil {
		r.tb.Fatalf("the mesh does not settle: %v", err)
	}
}

// Upstream is the address at the pod's sidecar for a Service's port.
func (p *Pod) Upstream(namespace, service string, port uint16) string {
	p.rig.mu.Lock()
	defer p.rig.mu.Unlock()
	local := p.rig.upstreams[envoy.ServicePort{Service: mesh.Name{Namespace: namespace, Name: service}, Port: port}]
	return fmt.Sprintf("%s:%d", p.Sidecar, local)
}

// Proxy is the address of the pod's HTTP proxy.
func (p *Pod) Proxy() string { return fmt.Sprintf("%s:%d", p.Sidecar, portProxy) }
