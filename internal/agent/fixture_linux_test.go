package agent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/internal/agent/accesslog"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/tool"
	"github.com/smi-project/smi/mesh"
)

// eventually waits until the condition holds; it fails with what the condition
// said last when that takes too long.
func eventually(t *testing.T, bound time.Duration, what string, condition func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, bound, err)
		case <-ticker.C:
		}
	}
}

// xdsServer is a small xDS server behind this project's own TLS.
type xdsServer struct {
	ca      *identity.CA
	address string
	cache   cachev3.SnapshotCache

	mu    sync.Mutex
	peers map[mesh.Principal]bool
}

func (x *xdsServer) sawPeer(p mesh.Principal) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.peers[p]
}

// serveXDS serves with the certificates of a source.
func serveXDS(t *testing.T, ca *identity.CA, source CertificateSource) *xdsServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &xdsServer{
		ca: ca, address: listener.Addr().String(), peers: make(map[mesh.Principal]bool),
		cache: cachev3.NewSnapshotCache(true, cachev3.IDHash{}, nil),
	}
	opened := func(ctx context.Context, _ int64, _ string) error {
		from, ok := peer.FromContext(ctx)
		if !ok {
			return fmt.Errorf("no peer")
		}
		principal, err := ca.Bundle().PeerPrincipal(from.AuthInfo.(credentials.TLSInfo).State)
		if err != nil {
			return err
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.peers[principal] = true
		return nil
	}
	callbacks := serverv3.CallbackFuncs{
		DeltaStreamOpenFunc: opened, StreamOpenFunc: opened,
		StreamDeltaRequestFunc: func(_ int64, r *discoveryv3.DeltaDiscoveryRequest) error {
			if r.GetErrorDetail() != nil {
				t.Errorf("Envoy refused %s: %s", r.GetTypeUrl(), r.GetErrorDetail().GetMessage())
			}
			return nil
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ServerTLS(keep(t, source), ca.Bundle()))))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, serverv3.NewServer(ctx, x.cache, callbacks))
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() { cancel(); server.Stop(); <-done })
	return x
}

// set gives a node listeners and clusters, each a YAML text.
func (x *xdsServer) set(t *testing.T, node string, listeners, clusters []string) {
	t.Helper()
	resources := map[resourcev3.Type][]types.Resource{}
	for _, text := range listeners {
		resources[resourcev3.ListenerType] = append(resources[resourcev3.ListenerType], fromYAML(t, text, &listenerv3.Listener{}))
	}
	for _, text := range clusters {
		resources[resourcev3.ClusterType] = append(resources[resourcev3.ClusterType], fromYAML(t, text, &clusterv3.Cluster{}))
	}
	snapshot, err := cachev3.NewSnapshot("1", resources)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.cache.SetSnapshot(context.Background(), node, snapshot); err != nil {
		t.Fatal(err)
	}
}

func fromYAML[M proto.Message](t *testing.T, text string, into M) M {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = protojson.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return into
}

// log collects access log entries.
type log struct {
	mu      sync.Mutex
	entries []accesslog.Entry
}

func (l *log) Observe(e *accesslog.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, *e)
}

func (l *log) all() []accesslog.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]accesslog.Entry(nil), l.entries...)
}

func envoyBinary(t *testing.T) string {
	t.Helper()
	binary, err := tool.Envoy("")
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// runAgent runs an agent with a real Envoy until the test ends, or until the
// returned function is called, which waits for its end. Without exited, an
// Envoy that ends by itself is an error.
func runAgent(t *testing.T, account mesh.Account, x *xdsServer, sink accesslog.Sink, exited func(Exit)) (*Agent, func()) {
	t.Helper()
	if exited == nil {
		exited = func(e Exit) { t.Errorf("the Envoy of %s ended: %v", account, e.Err) }
	}
	a, err := New(Config{
		TrustDomain: trustDomain, Pod: mesh.Name{Namespace: account.Namespace, Name: account.Name + "-0"},
		ServiceAccount: account.Name, Workload: account.Name, Source: x.ca.Source(account),
		XDSAddress: x.address, Dir: filepath.Join(t.TempDir(), "agent"), Sink: sink, Logger: testLogger(t),
		Envoy: Envoy{Binary: envoyBinary(t), OnExit: exited},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return a, stop
}

var dataListener = regexp.MustCompile(`data::(\S+)`)

// dataAddress is where the listener "data" of an agent's Envoy listens, once
// its Envoy is ready.
func dataAddress(t *testing.T, a *Agent) string {
	t.Helper()
	var address string
	eventually(t, 15*time.Second, "a ready Envoy", func(ctx context.Context) error {
		if err := a.Admin().Ready(ctx); err != nil {
			return err
		}
		body, err := a.Admin().Get(ctx, "/listeners")
		if err != nil {
			return err
		}
		for _, field := range dataListener.FindAllStringSubmatch(string(body), -1) {
			if at, err := netip.ParseAddrPort(field[1]); err == nil && at.Port() != 0 {
				address = at.String()
				return nil
			}
		}
		return fmt.Errorf("no listener in %q", body)
	})
	return address
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}
