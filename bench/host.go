package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	"github.com/smi-project/smi/internal/agent"
	"github.com/smi-project/smi/internal/agent/accesslog"
	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/internal/tool"
	"github.com/smi-project/smi/mesh"
)

// hostQuestion says which mesh to run. A host runs one. Asked again, it grants
// something to one more source of the pod Grow.
type hostQuestion struct {
	Grow    string
	Metrics envoy.Metrics
	Pods    []hostPod
	// CertificatePEM and KeyPEM are the CA's, so that others can have certificates
	// of the same mesh.
	CertificatePEM, KeyPEM []byte
}

// hostAnswer tells how long each pod's sidecar took to be ready, in their order,
// or how long one took to have the new source.
type hostAnswer struct {
	Ready []time.Duration
	Grown time.Duration
}

// hostPod is a pod with a Service of its name, port 80, before port 8080.
type hostPod struct {
	Name         string
	Sidecar, App string
	// Upstreams are local ports of the sidecar for Services of other pods.
	Upstreams map[string]uint16
	// Callers are the accounts that may call it; everyone may where it is nil.
	Callers []string
}

// benchNamespace is where all pods live that must be called by permission,
// openNamespace where those live that everyone may call.
const (
	benchNamespace = "bench"
	openNamespace  = "open"
)

func (p hostPod) namespace() string {
	if p.Callers == nil {
		return openNamespace
	}
	return benchNamespace
}

func (p hostPod) mesh() mesh.Name { return mesh.Name{Namespace: p.namespace(), Name: p.Name} }

// runHost runs a control plane, and an agent and an Envoy for each pod, as the
// standalone runtime does: in one process that the Envoys report to.
func runHost([]string) error {
	ctx, stop := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	var grow func(ctx context.Context, pod string) (*hostAnswer, error)
	err := serve(func(q hostQuestion) (any, error) {
		if q.Grow != "" {
			return grow(ctx, q.Grow)
		}
		answer, plane, err := startMesh(ctx, group, q)
		grow = plane.grow
		return answer, err
	})
	stop()
	if waited := group.Wait(); err == nil {
		err = waited
	}
	return err
}

// hostPlane is the control plane of a host, and how many sources were added.
type hostPlane struct {
	store *store.Store
	plane *controlplane.ControlPlane
	grown int
}

// grow grants the pod's Service to an account that may nothing there so far, and
// waits until the pod's Envoy has acknowledged that.
func (h *hostPlane) grow(ctx context.Context, pod string) (*hostAnswer, error) {
	h.grown++
	name := fmt.Sprintf("%s-late-%d", pod, h.grown)
	more := hostPod{Name: pod, Callers: []string{name}}.target(name, []string{name})
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	begin := time.Now()
	h.store.Put(more)
	err := h.plane.Settle(ctx)
	return &hostAnswer{Grown: time.Since(begin)}, err
}

func startMesh(ctx context.Context, group *errgroup.Group, q hostQuestion) (*hostAnswer, *hostPlane, error) {
	ca, err := identity.LoadCA(identity.Config{TrustDomain: "cluster.local"}, q.CertificatePEM, q.KeyPEM)
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := store.New()
	places := map[mesh.Name]envoy.Placement{}
	for _, p := range q.Pods {
		s.Put(p.objects()...)
		places[p.mesh()] = p.placement(q.Pods)
	}
	plane := controlplane.New(controlplane.Config{
		Store: s, CA: ca, Logger: logger, Render: envoy.Options{Metrics: q.Metrics},
		Place: func(pod mesh.Name) (envoy.Placement, bool) { at, ok := places[pod]; return at, ok },
	})
	group.Go(func() error { return plane.Run(ctx, listener) })
	plane.Push()
	answer, err := startSidecars(ctx, group, q, func(p hostPod) agent.Config {
		return agent.Config{
			TrustDomain: ca.TrustDomain(), Pod: p.mesh(), ServiceAccount: p.Name, Workload: p.Name,
			Source: ca.Source(p.mesh()), XDSAddress: listener.Addr().String(), Logger: logger,
		}
	})
	if err != nil {
		return nil, nil, err
	}
	settling, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return answer, &hostPlane{store: s, plane: plane}, plane.Settle(settling)
}

// startSidecars starts one after the other.
func startSidecars(ctx context.Context, group *errgroup.Group, q hostQuestion, config func(hostPod) agent.Config) (*hostAnswer, error) {
	binary, err := tool.Envoy("")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "smi-bench-")
	if err != nil {
		return nil, err
	}
	group.Go(func() error {
		<-ctx.Done()
		return os.RemoveAll(dir)
	})
	answer := &hostAnswer{}
	metrics := accesslog.NewMetrics(1000)
	for _, p := range q.Pods {
		c := config(p)
		c.Dir, c.Sink, c.Envoy = filepath.Join(dir, p.Name), metrics, agent.Envoy{Binary: binary, LogLevel: "error"}
		a, err := agent.New(c)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		group.Go(func() error { return a.Run(ctx) })
		if err := eventually(ctx, 2*time.Minute, func() error { return a.Admin().Ready(ctx) }); err != nil {
			return nil, fmt.Errorf("the sidecar of %s is not ready: %w", p.Name, err)
		}
		answer.Ready = append(answer.Ready, time.Since(begin))
	}
	return answer, nil
}

func (p hostPod) placement(all []hostPod) envoy.Placement {
	at := envoy.Placement{SidecarAddress: p.Sidecar, AppAddress: p.App}
	for _, other := range all {
		if local, ok := p.Upstreams[other.Name]; ok {
			if at.Upstreams == nil {
				at.Upstreams = map[envoy.ServicePort]uint16{}
			}
			at.Upstreams[envoy.ServicePort{Service: other.mesh(), Port: 80}] = local
		}
	}
	return at
}

// sourcesPerTarget is how many sources a TrafficTarget of the bench has.
const sourcesPerTarget = 100

func (p hostPod) objects() []store.Object {
	meta := metav1.ObjectMeta{Namespace: p.namespace(), Name: p.Name}
	labels := map[string]string{"app": p.Name}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace(), Name: p.Name, Labels: labels},
		Spec:       corev1.PodSpec{ServiceAccountName: p.Name, Containers: []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{ContainerPort: 8080}}}}},
		Status:     corev1.PodStatus{PodIP: p.Sidecar, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}
	objects := []store.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: benchNamespace}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: openNamespace, Labels: map[string]string{"smi-spec.io/access": "permissive"}}},
		&corev1.ServiceAccount{ObjectMeta: meta}, service, pod,
		&specs.HTTPRouteGroup{ObjectMeta: metav1.ObjectMeta{Namespace: benchNamespace, Name: "api"}, Spec: specs.HTTPRouteGroupSpec{
			Matches: []specs.HTTPMatch{{Name: "read", Methods: []string{"GET"}, PathRegex: "/items(/[0-9]+)?$"}},
		}},
	}
	for i := 0; i < len(p.Callers); i += sourcesPerTarget {
		objects = append(objects, p.target(fmt.Sprintf("%s-%d", p.Name, i), p.Callers[i:min(i+sourcesPerTarget, len(p.Callers))]))
	}
	return objects
}

// target lets accounts of the pod's namespace call it.
func (p hostPod) target(name string, callers []string) *access.TrafficTarget {
	t := &access.TrafficTarget{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace(), Name: name},
		Spec: access.TrafficTargetSpec{
			Destination: access.IdentityBindingSubject{Kind: "ServiceAccount", Name: p.Name},
			Rules:       []access.TrafficTargetRule{{Kind: "HTTPRouteGroup", Name: "api"}},
		},
	}
	for _, caller := range callers {
		t.Spec.Sources = append(t.Spec.Sources, access.IdentityBindingSubject{Kind: "ServiceAccount", Name: caller, Namespace: benchNamespace})
	}
	return t
}

// startHost starts a mesh and returns once it is ready to be called.
func startHost(q hostQuestion) (*child, *hostAnswer, error) {
	host, err := startRole("role-host")
	if err != nil {
		return nil, nil, err
	}
	answer := &hostAnswer{}
	if err := host.ask(q, answer); err != nil {
		host.stop()
		return nil, nil, err
	}
	return host, answer, nil
}
