//go:build linux

package xds_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/tool"
	"github.com/smi-project/smi/internal/xds"
)

// realEnvoy is an Envoy that takes everything from a server. It listens on a
// socket in its directory.
type realEnvoy struct {
	t         testing.TB
	directory string
	client    *http.Client
}

// bootstrap takes: directory, host and port of the server.
const bootstrap = `
node: {id: ns/pod, cluster: pod}
admin: {address: {pipe: {path: %[1]s/admin.sock}}}
dynamic_resources:
  ads_config: {api_type: DELTA_GRPC, transport_api_version: V3, set_node_on_first_message_only: true, grpc_services: [{envoy_grpc: {cluster_name: ads}}]}
  cds_config: {ads: {}, resource_api_version: V3}
  lds_config: {ads: {}, resource_api_version: V3}
static_resources:
  clusters:
  - name: ads
    type: STATIC
    connect_timeout: 5s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment: {cluster_name: ads, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %[2]s, port_value: %[3]s}}}}]}]}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}
          tls_certificates: [{certificate_chain: {filename: %[1]s/tls.crt}, private_key: {filename: %[1]s/tls.key}}]
          validation_context: {trusted_ca: {filename: %[1]s/ca.crt}}
`

// startEnvoy starts an Envoy as the node "ns/pod".
func (f *fixture) startEnvoy() *realEnvoy {
	f.t.Helper()
	path, err := tool.Envoy("")
	if err != nil {
		f.t.Fatal(err)
	}
	// Not t.TempDir: its names grow with those of the tests, and the path of a
	// socket has at most 107 bytes.
	directory := must(os.MkdirTemp("", "xds"))
	host, port, _ := net.SplitHostPort(f.address)
	certificate := f.authority.issue(f.t, "spiffe://cluster.local/ns/ns/sa/pod")
	for name, content := range map[string][]byte{
		"ca.crt":     certificatePEM(f.authority.cert.Raw),
		"tls.crt":    certificatePEM(certificate.Certificate[0]),
		"tls.key":    keyPEM(f.t, certificate),
		"envoy.yaml": fmt.Appendf(nil, bootstrap, directory, host, port),
	} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	var output lockedBuffer
	command := exec.Command(path, "-c", filepath.Join(directory, "envoy.yaml"), "--concurrency", "1", "--use-dynamic-base-id",
		"--drain-time-s", "1", "-l", "warning")
	command.Stdout, command.Stderr = &output, &output
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = os.RemoveAll(directory)
		if f.t.Failed() {
			f.t.Logf("Envoy said:\n%s\nThe server said:\n%s", output.String(), f.log)
		}
	})
	return &realEnvoy{t: f.t, directory: directory, client: socketClient(filepath.Join(directory, "listen.sock"))}
}

// socketClient sends every request to a Unix socket.
func socketClient(path string) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
}

// get sends a request through Envoy and returns the status and the body.
func (e *realEnvoy) get() (int, string, error) {
	response, err := e.client.Get("http://root/")
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// until sends requests until one satisfies the condition.
func (e *realEnvoy) until(what string, condition func(code int, body string) bool) {
	e.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		code, body, err := e.get()
		if err == nil && condition(code, body) {
			return
		}
	}
	code, body, err := e.get()
	e.t.Fatalf("never saw %s; last: %d %q %v", what, code, body, err)
}

// flood is traffic that flows beside the test.
type flood struct {
	t        testing.TB
	answered atomic.Int64
	progress chan struct{}
	end      chan struct{}
	clients  sync.WaitGroup
}

// flood starts clients that send one request after the other. Each must be
// answered with 200.
func (e *realEnvoy) flood(clients int) *flood {
	fl := &flood{t: e.t, progress: make(chan struct{}, 1), end: make(chan struct{})}
	for range clients {
		fl.clients.Go(func() {
			for {
				select {
				case <-fl.end:
					return
				default:
				}
				if code, body, err := e.get(); err != nil || code != http.StatusOK {
					fl.t.Errorf("a request failed: %d %q %v", code, body, err)
					return
				}
				fl.answered.Add(1)
				select {
				case fl.progress <- struct{}{}:
				default:
				}
			}
		})
	}
	e.t.Cleanup(fl.stop)
	return fl
}

// more waits for that many further answers.
func (fl *flood) more(n int64) {
	fl.t.Helper()
	bound := time.After(patience)
	for goal := fl.answered.Load() + n; fl.answered.Load() < goal && !fl.t.Failed(); {
		select {
		case <-fl.progress:
		case <-bound:
			fl.t.Fatalf("only %d requests were answered", fl.answered.Load())
		}
	}
}

// stop ends the traffic.
func (fl *flood) stop() {
	select {
	case <-fl.end:
	default:
		close(fl.end)
	}
	fl.clients.Wait()
}

// lockedBuffer collects the output of a process.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// application is a server that answers with a text. It returns its address.
func application(t testing.TB, text string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// pack makes a resource of a message, with a hash of it as the version.
func pack(name string, message proto.Message) *envoy.Resource {
	body := must(proto.MarshalOptions{Deterministic: true}.Marshal(message))
	sum := sha256.Sum256(body)
	url := "type.googleapis.com/" + string(message.ProtoReflect().Descriptor().FullName())
	return &envoy.Resource{Type: url, Name: name, Version: hex.EncodeToString(sum[:8]), Body: [][]byte{body}}
}

// byADS is the source of everything.
func byADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
}

// edsCluster takes its endpoints by EDS. Another timeout is another version.
func edsCluster(name string, timeout time.Duration) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: name, ConnectTimeout: durationpb.New(timeout),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: byADS()},
	}
}

func assignment(cluster, address string) *endpointv3.ClusterLoadAssignment {
	host, port, _ := net.SplitHostPort(address)
	number := must(net.LookupPort("tcp", port))
	return &endpointv3.ClusterLoadAssignment{ClusterName: cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
			Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(number)},
			}}},
		}}}},
	}}}
}

// weighted is a route configuration "root" that splits all traffic.
func weighted(weights map[string]uint32) *routev3.RouteConfiguration {
	split := &routev3.WeightedCluster{}
	for name, weight := range weights {
		split.Clusters = append(split.Clusters, &routev3.WeightedCluster_ClusterWeight{Name: name, Weight: wrapperspb.UInt32(weight)})
	}
	return &routev3.RouteConfiguration{Name: "root", VirtualHosts: []*routev3.VirtualHost{{
		Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: split}}},
		}},
	}}}
}

// httpListener takes the route "root" by RDS. Filters go before the router.
func (e *realEnvoy) httpListener(statPrefix string, filters ...*hcmv3.HttpFilter) *listenerv3.Listener {
	router := &hcmv3.HttpFilter{Name: "router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: must(anypb.New(&routerv3.Router{}))}}
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix: statPrefix, HttpFilters: append(filters, router),
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "root", ConfigSource: byADS()}},
	}
	return &listenerv3.Listener{
		Name:    "in",
		Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: filepath.Join(e.directory, "listen.sock")}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: must(anypb.New(manager))},
		}}}},
	}
}

// resources packs messages whose names are their own.
func resources(messages ...interface {
	proto.Message
	GetName() string
}) []*envoy.Resource {
	list := make([]*envoy.Resource, len(messages))
	for i, m := range messages {
		list[i] = pack(m.GetName(), m)
	}
	return list
}

// backends are clusters with their endpoints, by name and address.
func backends(timeout time.Duration, addresses map[string]string) []*envoy.Resource {
	var list []*envoy.Resource
	for name, address := range addresses {
		list = append(list, pack(name, edsCluster(name, timeout)), pack(name, assignment(name, address)))
	}
	return list
}

// apply publishes and waits for the acknowledgement.
func (f *fixture) apply(lists ...[]*envoy.Resource) {
	f.t.Helper()
	f.publish(xds.NewView(lists...))
	f.wait()
}
