package sidecar_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/agent"
	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/netlab"
	"github.com/smi-project/smi/internal/redirect"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/internal/tool"
	"github.com/smi-project/smi/mesh"
)

// town is a small cluster: pods with real sidecars, and one without.
type town struct {
	t     *testing.T
	lab   *netlab.Lab
	store *store.Store
	plane *controlplane.ControlPlane
	pods  map[string]*pod
}

// pod is a pod of the town. Its name is its app label and its account.
type pod struct {
	mesh.Name
	net         *netlab.Namespace
	meshed      bool
	annotations map[string]string
	redirection sidecar.Redirection
	admin       *agent.Admin
	mu          sync.Mutex
	greeted     int
}

// options say what a town is like.
type options struct {
	manifests string
	ranges    []netip.Prefix
	// excluded are the ports that the configuration excludes of new pods.
	excluded []uint16
	render   envoy.Options
	binary   string
}

// citizen is a pod that a town has.
type citizen struct {
	namespace, name string
	plain           bool
	ipv4            bool // and no IPv6
	annotations     map[string]string
	redirection     sidecar.Redirection
}

// settleTime bounds the wait for sidecars on a busy machine.
const settleTime = 60 * time.Second

func startTown(t *testing.T, o options, citizens ...citizen) *town {
	t.Helper()
	if o.binary == "" {
		binary, err := tool.Envoy("")
		if err != nil {
			t.Fatal(err)
		}
		o.binary = binary
	}
	ca, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		t.Fatal(err)
	}
	w := &town{t: t, lab: netlab.New(t), store: store.New(), pods: map[string]*pod{}}
	o.render.TrustDomain = "cluster.local"
	w.plane = controlplane.New(controlplane.Config{
		Store: w.store, CA: ca, Compile: compile.Config{Sidecars: true, PodRanges: o.ranges, Excluded: sidecar.Redirection{ExcludeInbound: o.excluded}}, Render: o.render,
		Place: func(name mesh.Name) (envoy.Placement, bool) {
			p := w.pods[name.Name]
			if p == nil || p.Name != name {
				return envoy.Placement{}, false
			}
			return envoy.Placement{Cluster: true, IPv6: p.net.IPv6.IsValid()}, true
		},
		OnMesh: func(m *mesh.Mesh) {
			if os.Getenv("RIG_LOG") != "" {
				_ = m.WriteText(os.Stderr)
			}
		},
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	xds := w.lab.Node.Listen(t, netip.AddrPortFrom(w.lab.Node.IPv4, sidecar.PortControl).String())
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	running.Go(func() {
		if err := w.plane.Run(ctx, xds); err != nil {
			t.Errorf("control plane: %v", err)
		}
	})
	dir, err := os.MkdirTemp("", "smi-sidecar-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := agentConfig{XDSAddress: xds.Addr().String(), Envoy: shared(t, dir, o.binary), LogLevel: os.Getenv("RIG_LOG")}
	if config.CA, config.CAKey, err = ca.MarshalPEM(); err != nil {
		t.Fatal(err)
	}
	for _, c := range citizens {
		network := w.lab.Pod
		if c.ipv4 {
			network = w.lab.PodIPv4
		}
		p := &pod{Name: mesh.Name{Namespace: c.namespace, Name: c.name}, net: network(c.name), meshed: !c.plain, annotations: c.annotations, redirection: c.redirection}
		w.pods[c.name] = p
		p.serve(t)
		if p.meshed {
			p.net.Must(t, func() error { return redirect.Apply(ctx, redirect.Options{Redirection: c.redirection}) })
			config.Pod, config.ServiceAccount, config.Dir = p.Name, c.name, filepath.Join(dir, c.name)
			p.admin = agent.NewAdmin(filepath.Join(config.Dir, "admin.sock"))
			p.startAgent(t, config)
		}
	}
	w.serveOutside(t)
	w.apply(o.manifests)
	w.awaitSidecars()
	return w
}

// apply makes manifests, further objects and the pods of the town all that there
// is.
func (w *town) apply(manifests string, further ...store.Object) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "manifests.yaml")
	if err := os.WriteFile(path, []byte(manifests), 0o600); err != nil {
		w.t.Fatal(err)
	}
	read, err := file.Load([]string{path}, file.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range read.Findings {
		w.t.Fatalf("%s: %s", f.Object, f.Message)
	}
	all := append(further, read.Objects...)
	for _, p := range w.pods {
		all = append(all, p.object())
	}
	w.store.Replace(all)
	w.plane.Push()
}

// object is the pod as Kubernetes would have it.
func (p *pod) object() *corev1.Pod {
	o := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name.Name, Labels: map[string]string{"app": p.Name.Name}, Annotations: p.annotations},
		Spec:       corev1.PodSpec{ServiceAccountName: p.Name.Name, Containers: []corev1.Container{{Name: "app"}}},
		Status: corev1.PodStatus{
			PodIP: p.net.IPv4.String(), PodIPs: []corev1.PodIP{{IP: p.net.IPv4.String()}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	if p.net.IPv6.IsValid() {
		o.Status.PodIPs = append(o.Status.PodIPs, corev1.PodIP{IP: p.net.IPv6.String()})
	}
	if p.meshed {
		o.Spec.InitContainers = []corev1.Container{{Name: sidecar.RedirectContainer, Args: p.redirection.Args()}, {Name: sidecar.Container}}
	}
	return o
}

// awaitSidecars waits until every sidecar has what the store means, and serves.
func (w *town) awaitSidecars() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for _, p := range w.pods {
		for p.meshed && !p.listens() {
			select {
			case <-ctx.Done():
				w.t.Fatalf("the sidecar of %s does not listen", p.Name)
			case <-ticker.C:
			}
		}
	}
	if err := w.plane.Settle(ctx); err != nil {
		w.t.Fatalf("the mesh does not settle: %v", err)
	}
	for _, p := range w.plane.Proxies() {
		if p.LastError != "" {
			w.t.Errorf("%s refuses %s", p.Node, p.LastError)
		}
	}
}

// listens tells whether the sidecar takes what comes in.
func (p *pod) listens() bool {
	listening := false
	_ = p.net.Do(func() error {
		table, err := os.ReadFile("/proc/thread-self/net/tcp")
		listening = strings.Contains(string(table), fmt.Sprintf("00000000:%04X 00000000:0000 0A", sidecar.PortInbound))
		return err
	})
	return listening
}

// Ports of every pod. Nothing declares the last one.
const (
	portHTTP       = 8080
	portGRPC       = 9090
	portTCP        = 5432
	portUndeclared = 7000
	portHidden     = 9999
)

// serve runs the application of a pod, on all of its addresses.
func (p *pod) serve(t *testing.T) {
	t.Helper()
	for _, port := range []int{portHTTP, portGRPC, portHidden} {
		p.serveHTTP(t, p.net.Listen(t, fmt.Sprintf(":%d", port)), port)
	}
	for _, port := range []int{portTCP, portUndeclared} {
		go p.greet(p.net.Listen(t, fmt.Sprintf(":%d", port)))
	}
}

func (p *pod) serveHTTP(t *testing.T, l net.Listener, port int) {
	server := &http.Server{ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %s %s on %d, xfcc=%s", p.Name.Name, r.Proto, r.Method, r.RequestURI, port, r.Header.Get("X-Forwarded-Client-Cert"))
	})}
	server.Protocols.SetHTTP1(port != portGRPC)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
}

// greet speaks first, and then echoes.
func (p *pod) greet(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.greeted++
		p.mu.Unlock()
		go func() {
			defer func() { _ = conn.Close() }()
			if _, err := fmt.Fprintf(conn, "hello from %s\n", p.Name.Name); err == nil {
				_, _ = io.Copy(conn, conn)
			}
		}()
	}
}

func (p *pod) greetings() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.greeted
}

// serveOutside runs a server that is in no mesh, at an address of the node.
func (w *town) serveOutside(t *testing.T) {
	t.Helper()
	outside := &pod{Name: mesh.Name{Name: "outside"}, net: w.lab.Node}
	outside.serveHTTP(t, w.lab.Node.Listen(t, fmt.Sprintf(":%d", portHTTP)), portHTTP)
	go outside.greet(w.lab.Node.Listen(t, fmt.Sprintf(":%d", portTCP)))
}

// answer is what came of a call.
type answer struct {
	status int
	body   string
	err    error
}

func (a answer) String() string {
	if a.err != nil {
		return "failed: " + a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(a.body))
}

// get sends a request from the pod's application.
func (p *pod) get(address, path, host string) answer { return p.request(address, path, host, false) }

// getHTTP2 sends it over HTTP/2 without TLS, as gRPC clients do.
func (p *pod) getHTTP2(address, path, host string) answer {
	return p.request(address, path, host, true)
}

func (p *pod) request(address, path, host string, http2 bool) answer {
	client := p.client(http2)
	defer client.CloseIdleConnections()
	return ask(client, address, path, host)
}

// client is one that keeps its connections.
func (p *pod) client(http2 bool) *http.Client {
	transport := &http.Transport{
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			return p.net.Dial(network, address)
		},
		Protocols: new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func ask(client *http.Client, address, path, host string) answer {
	request, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return answer{err: err}
	}
	request.Host = host
	response, err := client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(body), err}
}

// talk opens a connection, waits for a greeting, and has a line echoed. It
// returns all that came.
func (p *pod) talk(address string) answer {
	conn, err := p.net.Dial("tcp", address)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	greeting, err := in.ReadString('\n')
	if err != nil {
		return answer{body: greeting, err: err}
	}
	if _, err := io.WriteString(conn, "ping\n"); err != nil {
		return answer{body: greeting, err: err}
	}
	echo, err := in.ReadString('\n')
	return answer{body: greeting + echo, err: err}
}

func at(a netip.Addr, port int) string { return netip.AddrPortFrom(a, uint16(port)).String() }
