package xds_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/xds"
	"github.com/smi-project/smi/mesh"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// The type URLs by their short names.
var typeURLs = map[string]string{
	"Cluster":                    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
	"ClusterLoadAssignment":      "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
	"Secret":                     "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
	"Listener":                   "type.googleapis.com/envoy.config.listener.v3.Listener",
	"RouteConfiguration":         "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
	"ScopedRouteConfiguration":   "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration",
	"TypedExtensionConfig":       "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
	"type.unknown.to.the.server": "type.googleapis.com/type.unknown.to.the.server",
}

// view makes a view of resources written as "Type name@version ...", such as
// "Cluster a@1 b@1". Clusters get their endpoints, of the same name, by EDS, but
// for those whose name begins with "static". "a@1?" is spare.
func view(lines ...string) *xds.View {
	list := []*envoy.Resource{resource("Secret", barrier, "1")}
	for _, line := range lines {
		words := strings.Fields(line)
		for _, word := range words[1:] {
			name, version, _ := strings.Cut(strings.TrimSuffix(word, "?"), "@")
			r := resource(words[0], name, version)
			r.Spare = strings.HasSuffix(word, "?")
			list = append(list, r)
		}
	}
	return xds.NewView(list)
}

// barrier is a secret that every view has, for quiet.
const barrier = "barrier"

func resource(kind, name, version string) *envoy.Resource {
	body := []byte(name + "@" + version)
	if kind == "Cluster" && !strings.HasPrefix(name, "static") {
		body = must(proto.Marshal(&clusterv3.Cluster{
			Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
			EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{},
		}))
	}
	return &envoy.Resource{Type: typeURLs[kind], Name: name, Version: version, Body: [][]byte{body}}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// fixture is a server that listens on loopback with mutual TLS.
type fixture struct {
	*xds.Server
	t         testing.TB
	config    xds.Config
	bound     time.Duration
	address   string
	authority *authority
	log       *logBuffer
	stop      func()
}

// serve starts a server. The options change its configuration. It gives proxies
// all the time in the world, unless an option says otherwise.
func serve(t testing.TB, options ...func(*xds.Config, *time.Duration)) *fixture {
	t.Helper()
	f := &fixture{t: t, authority: newAuthority(t), log: &logBuffer{}, bound: time.Hour, address: "127.0.0.1:0"}
	f.config = xds.Config{
		PeerPrincipal: peerPrincipal,
		Authorize:     func(context.Context, mesh.Principal, string) error { return nil },
		Logger:        slog.New(slog.NewTextHandler(f.log, nil)),
	}
	for _, option := range options {
		option(&f.config, &f.bound)
	}
	f.start()
	t.Cleanup(func() { f.stop() })
	return f
}

// start serves with a new server, which knows nothing.
func (f *fixture) start() {
	f.t.Helper()
	f.Server = xds.New(f.config)
	f.SetPatience(f.bound)
	listener, err := net.Listen("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	server := f.Server
	go func() { served <- server.Serve(ctx, listener, f.authority.serverConfig(f.t)) }()
	f.stop = func() {
		cancel()
		if err := <-served; err != nil {
			f.t.Error(err)
		}
	}
}

// restart replaces the server by a new one on the same address.
func (f *fixture) restart() {
	f.t.Helper()
	f.stop()
	f.start()
}

// publish gives the node "ns/pod" a view, and all other nodes none.
func (f *fixture) publish(v *xds.View) { f.Publish(map[string]*xds.View{"ns/pod": v}) }

// proxy is one delta stream, as Envoy would open it.
type proxy struct {
	t      testing.TB
	node   string
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	close  func()
	// first tells that the node was not sent yet.
	first bool
}

// connect opens a stream for the node "ns/pod".
func (f *fixture) connect() *proxy {
	return f.connectAs("ns/pod", "spiffe://cluster.local/ns/ns/sa/pod")
}

func (f *fixture) connectAs(node, uri string) *proxy {
	return f.connectWith(node, f.authority.clientConfig(f.t, uri))
}

func (f *fixture) connectWith(node string, config *tls.Config) *proxy {
	f.t.Helper()
	connection := must(grpc.NewClient("passthrough:///"+f.address, grpc.WithTransportCredentials(credentials.NewTLS(config))))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	p := &proxy{t: f.t, node: node, stream: stream, first: true}
	p.close = sync.OnceFunc(func() {
		cancel()
		_ = connection.Close()
	})
	f.t.Cleanup(p.close)
	return p
}

// send sends a request, with the node if it is the first one.
func (p *proxy) send(req *discovery.DeltaDiscoveryRequest) {
	p.t.Helper()
	if p.first {
		req.Node = &corev3.Node{Id: p.node}
		p.first = false
	}
	if err := p.stream.Send(req); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// subscribe asks for names; without any, it is a first request for a collection.
func (p *proxy) subscribe(kind string, names ...string) {
	p.t.Helper()
	p.send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs[kind], ResourceNamesSubscribe: names})
}

func (p *proxy) unsubscribe(kind string, names ...string) {
	p.t.Helper()
	p.send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs[kind], ResourceNamesUnsubscribe: names})
}

// reply is a response that is not acknowledged yet.
type reply struct {
	p       *proxy
	typeURL string
	nonce   string
}

func (p *proxy) receive() *discovery.DeltaDiscoveryResponse {
	p.t.Helper()
	response, err := p.stream.Recv()
	if err != nil {
		p.t.Fatalf("receive: %v", err)
	}
	return response
}

// expect receives a response and compares it with "Type +name@version ... -name ...".
func (p *proxy) expect(want string) *reply {
	p.t.Helper()
	response := p.receive()
	if got := describe(response); got != want {
		p.t.Fatalf("got  %s\nwant %s", got, want)
	}
	return &reply{p: p, typeURL: response.GetTypeUrl(), nonce: response.GetNonce()}
}

func describe(response *discovery.DeltaDiscoveryResponse) string {
	words := []string{response.GetTypeUrl()[strings.LastIndexByte(response.GetTypeUrl(), '.')+1:]}
	for _, r := range response.GetResources() {
		words = append(words, "+"+r.GetName()+"@"+r.GetVersion())
		if r.GetResource().GetTypeUrl() != response.GetTypeUrl() {
			words = append(words, "of another type, "+r.GetResource().GetTypeUrl())
		}
	}
	for _, name := range response.GetRemovedResources() {
		words = append(words, "-"+name)
	}
	return strings.Join(words, " ")
}

// ack acknowledges, and asks for more names in the same request.
func (r *reply) ack(names ...string) {
	r.p.t.Helper()
	r.p.send(&discovery.DeltaDiscoveryRequest{TypeUrl: r.typeURL, ResponseNonce: r.nonce, ResourceNamesSubscribe: names})
}

func (r *reply) nack(reason string) {
	r.p.t.Helper()
	r.p.send(&discovery.DeltaDiscoveryRequest{TypeUrl: r.typeURL, ResponseNonce: r.nonce, ErrorDetail: &status.Status{Code: 13, Message: reason}})
}

// quiet fails if the server sends anything before it answers two questions that
// it always answers at once. Two, because the first answer may overtake what a
// publication just made ready.
func (p *proxy) quiet() {
	p.t.Helper()
	for range 2 {
		p.subscribe("Secret", barrier)
		p.expect("Secret +" + barrier + "@1").ack()
	}
}

// wait blocks until the node "ns/pod" is synchronised.
func (f *fixture) wait() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.Wait(ctx, "ns/pod"); err != nil {
		f.t.Fatal(err)
	}
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
