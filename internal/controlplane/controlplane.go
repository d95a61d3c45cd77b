package controlplane

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/internal/xds"
	"github.com/smi-project/smi/mesh"
)

// Config is what a control plane is made of.
type Config struct {
	Store   *store.Store
	CA      *identity.CA
	Compile compile.Config
	Render  envoy.Options
	// Place tells where the sidecar of a pod is, and false where there is none
	// to be configured. It is called during every push.
	Place func(pod mesh.Name) (envoy.Placement, bool)
	// BeforePush, where set, is called before a push looks at the store: what the
	// store holds by then is in the push.
	BeforePush func()
	// OnMesh, where set, is told of every new mesh after it was published.
	OnMesh func(*mesh.Mesh)
	// OnPush, where set, is told what each push took, after OnMesh.
	OnPush func(Push)
	// OnProxy, where set, is told of every change of a proxy's status. It must
	// return quickly.
	OnProxy func(xds.ProxyStatus)
	// Beside, where set, registers services that share the port of xDS. Peers
	// without a certificate reach them, and them alone: they have to find out by
	// other means who calls.
	Beside func(grpc.ServiceRegistrar)
	Logger *slog.Logger
}

// ControlPlane compiles, renders and publishes what a store holds.
type ControlPlane struct {
	config Config
	server *xds.Server
	poked  chan struct{}

	// mu guards what a push works on.
	mu       sync.Mutex
	compiler *compile.Compiler
	renderer *envoy.Renderer
	epochs   envoy.Epochs
	// closed are the policies as they were when everything was closed at a port, for
	// a proxy that had missed a change.
	closed map[servedPort]*mesh.Policy
	mesh   *mesh.Mesh
	views  map[string]*view
	// pushed is what the last push was made of.
	pushed store.Snapshot
	// order are the views in the order of the last push.
	order []*view
	// published are the views alone, as the server takes them.
	published map[string]*xds.View
}

// Push tells how long the parts of one push took.
type Push struct {
	Compile, Render, Publish time.Duration
}

// view is what one proxy was published, with the resources it was made of.
type view struct {
	node      string
	resources []*envoy.Resource
	view      *xds.View
}

// New returns a control plane that has published nothing yet.
func New(config Config) *ControlPlane {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	c := &ControlPlane{
		config:   config,
		poked:    make(chan struct{}, 1),
		compiler: compile.New(config.Compile),
		renderer: envoy.New(config.Render),
		views:    map[string]*view{}, published: map[string]*xds.View{},
		epochs: envoy.NewEpochs(epochBase()), closed: map[servedPort]*mesh.Policy{},
	}
	c.server = xds.New(xds.Config{
		PeerPrincipal: func(state tls.ConnectionState) (mesh.Principal, error) {
			return config.CA.Bundle().PeerPrincipal(state)
		},
		Authorize: c.authorize,
		OnChange:  config.OnProxy,
		OnStray:   c.stray, StrayPrefixes: rulePrefixes,
		Logger: config.Logger,
	})
	return c
}

// Changes are collected for a moment before they are pushed, so that a burst
// costs one push, but never for long.
const (
	debounce    = 50 * time.Millisecond
	debounceMax = 250 * time.Millisecond
)

// Run serves xDS on the listener over mutual TLS and pushes what changes, until
// the context ends.
func (c *ControlPlane) Run(ctx context.Context, listener net.Listener) error {
	keeper := identity.NewKeeper(c.config.CA.XDSSource(), c.config.Logger)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return keeper.Run(ctx) })
	group.Go(func() error { return keeper.Follow(ctx, c.config.CA.Bundle()) })
	group.Go(func() error {
		if _, err := keeper.Wait(ctx); err != nil {
			return err
		}
		if c.config.Beside == nil {
			return c.server.Serve(ctx, listener, identity.ServerTLS(keeper, c.config.CA.Bundle()))
		}
		return c.server.Serve(ctx, listener, identity.ControlTLS(keeper, c.config.CA.Bundle()), c.config.Beside)
	})
	group.Go(func() error {
		c.loop(ctx)
		return nil
	})
	err := group.Wait()
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Reconfigure gives the objects the meaning that they have with another
// configuration. The next push compiles everything anew.
func (c *ControlPlane) Reconfigure(config compile.Config) {
	c.mu.Lock()
	c.compiler = compile.New(config)
	c.mu.Unlock()
	c.Changed()
}

// Changed tells that the store or a placement has changed.
func (c *ControlPlane) Changed() {
	select {
	case c.poked <- struct{}{}:
	default:
	}
}

func (c *ControlPlane) loop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.poked:
		}
		c.calm(ctx)
		c.Push()
	}
}

// calm waits until nothing has changed for a moment.
func (c *ControlPlane) calm(ctx context.Context) {
	latest := time.After(debounceMax)
	for {
		select {
		case <-ctx.Done():
			return
		case <-latest:
			return
		case <-time.After(debounce):
			return
		case <-c.poked:
		}
	}
}

// Push compiles, renders and publishes the store as it is now, and returns
// what it means.
func (c *ControlPlane) Push() *mesh.Mesh {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config.BeforePush != nil {
		c.config.BeforePush()
	}
	began := time.Now()
	snapshot := c.config.Store.Snapshot()
	m := c.compiler.Compile(snapshot)
	compiled := time.Now()
	c.pushed = *snapshot
	c.epochs = withdraw(c.epochs, c.mesh, m)
	c.mesh = m
	c.forgetClosed()
	proxies := c.proxies(m)
	c.makeViews(proxies, c.renderer.RenderList(m, proxies, c.epochs))
	rendered := time.Now()
	c.server.Publish(c.published)
	published := time.Now()
	if c.config.OnMesh != nil {
		c.config.OnMesh(m)
	}
	if c.config.OnPush != nil {
		c.config.OnPush(Push{Compile: compiled.Sub(began), Render: rendered.Sub(compiled), Publish: published.Sub(rendered)})
	}
	return m
}

// makeViews makes new views of the proxies whose resources have changed, and
// forgets those that are gone.
func (c *ControlPlane) makeViews(proxies []envoy.Proxy, rendered [][]*envoy.Resource) {
	order := make([]*view, len(proxies))
	// All pods of a class on a cluster have the very same list, and share its view.
	shared := map[**envoy.Resource]*xds.View{}
	for i, resources := range rendered {
		node := proxies[i].Node
		// A proxy is mostly where it was the last time.
		var v *view
		if i < len(c.order) && c.order[i].node == node {
			v = c.order[i]
		} else {
			v = c.views[node]
		}
		if v == nil || !same(v.resources, resources) {
			v = &view{node: node, resources: resources, view: viewOf(shared, resources)}
			c.views[node], c.published[node] = v, v.view
		}
		order[i] = v
	}
	c.order = order
	if len(c.views) > len(order) {
		kept := make(map[*view]bool, len(order))
		for _, v := range order {
			kept[v] = true
		}
		for node, v := range c.views {
			if !kept[v] {
				delete(c.views, node)
				delete(c.published, node)
			}
		}
	}
}

// viewOf returns the view of a list, which is made once for each.
func viewOf(shared map[**envoy.Resource]*xds.View, resources []*envoy.Resource) *xds.View {
	if len(resources) == 0 {
		return xds.NewView()
	}
	v := shared[&resources[0]]
	if v == nil {
		v = xds.NewView(resources)
		shared[&resources[0]] = v
	}
	return v
}

// same tells whether two lists hold the same resources. What a renderer did not
// render anew is the very same list.
func same(a, b []*envoy.Resource) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// proxies are the sidecars of all pods that have one.
func (c *ControlPlane) proxies(m *mesh.Mesh) []envoy.Proxy {
	proxies := make([]envoy.Proxy, 0, len(c.views))
	for _, w := range m.Workloads {
		for _, pod := range w.Pods {
			if placement, ok := c.config.Place(pod); ok {
				proxies = append(proxies, envoy.Proxy{Node: pod.String(), Workload: w, Placement: placement})
			}
		}
	}
	return proxies
}

// Settle pushes what the store holds now and waits until every connected proxy
// of it has acknowledged that. The error names the proxies that did not.
func (c *ControlPlane) Settle(ctx context.Context) error {
	m := c.Push()
	var nodes []string
	for _, p := range c.proxies(m) {
		nodes = append(nodes, p.Node)
	}
	return c.server.Wait(ctx, nodes...)
}

// Pending tells whether the store holds anything that was not pushed yet. Asked
// before Proxies, it tells whether what these have acknowledged is all there is.
func (c *ControlPlane) Pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pushed != *c.config.Store.Snapshot()
}

// Pushed is what the last push published and what it was made of; nil before the
// first.
func (c *ControlPlane) Pushed() (*mesh.Mesh, *store.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	snapshot := c.pushed
	return c.mesh, &snapshot
}

// Mesh is what the last push published, nil before the first.
func (c *ControlPlane) Mesh() *mesh.Mesh {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mesh
}

// Proxies tells how far each proxy is.
func (c *ControlPlane) Proxies() []xds.ProxyStatus { return c.server.Status() }

// authorize lets a proxy speak for a pod only when it has proved to be the
// pod's ServiceAccount. The node id alone is believed in nothing.
func (c *ControlPlane) authorize(_ context.Context, peer mesh.Principal, node string) error {
	namespace, name, ok := strings.Cut(node, "/")
	if !ok {
		return fmt.Errorf("node id %q is not of the form NAMESPACE/POD", node)
	}
	pod, found := c.config.Store.Snapshot().Pods.Get(namespace, name)
	if !found {
		return fmt.Errorf("there is no pod %s", node)
	}
	if want := mesh.PrincipalOf(c.config.CA.TrustDomain(), AccountOf(pod)); peer != want {
		return fmt.Errorf("pod %s runs as %s, and the peer is %s", node, want, peer)
	}
	return nil
}

// AccountOf is the account that a pod runs as.
func AccountOf(pod *corev1.Pod) mesh.Account {
	return mesh.Account{Namespace: pod.Namespace, Name: cmp.Or(pod.Spec.ServiceAccountName, "default")}
}
