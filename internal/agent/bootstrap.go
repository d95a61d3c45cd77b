package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	internallistenerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/mesh"
)

// Names that the bootstrap gives and that resources from the xDS server refer to.
const (
	// XDSCluster is the xDS server, SDSCluster the agent as a secret discovery
	// service, ALSCluster the agent as a gRPC access log service.
	XDSCluster = "smi-xds"
	SDSCluster = "smi-sds"
	ALSCluster = "smi-als"
	// SecretIdentity is the pod's certificate and key, SecretRoots the roots of
	// the trust domain as a validation context.
	SecretIdentity = "default"
	SecretRoots    = "root"
	// MetadataKey is the field of the node's metadata that describes the pod.
	MetadataKey = "smi"
)

// DefaultMaxConnections bounds the connections that one Envoy serves at a time.
const DefaultMaxConnections = 50000

// BootstrapConfig is what the bootstrap of one pod's Envoy is made of.
type BootstrapConfig struct {
	// Pod is the pod; the node id is "<namespace>/<pod>".
	Pod mesh.Name
	// Workload names the pod's owner, such as a Deployment, and with the
	// namespace the node's cluster.
	Workload string
	// ServiceAccount is the pod's, in the pod's namespace.
	ServiceAccount string
	// XDSAddress is the xDS server's host and port, XDSServer the identity that
	// it must prove.
	XDSAddress string
	XDSServer  mesh.Principal
	// AgentSocket and AdminSocket are paths of Unix sockets: the agent's (SDS
	// and access log), and the one that Envoy makes for its admin interface.
	AgentSocket, AdminSocket string
	// MaxConnections bounds the open connections of all listeners; 0 means
	// DefaultMaxConnections.
	MaxConnections int64
	// Release is that of the Envoy that will read it.
	Release Release
}

// Bootstrap returns Envoy's bootstrap as JSON. It holds no secret.
func Bootstrap(cfg BootstrapConfig) ([]byte, error) {
	b, err := bootstrap(cfg)
	if err != nil {
		return nil, fmt.Errorf("Envoy bootstrap: %w", err)
	}
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("Envoy bootstrap: %w", err)
	}
	// protojson varies its white space on purpose; the file should not.
	var compact, out bytes.Buffer
	if err := errors.Join(json.Compact(&compact, raw), json.Indent(&out, compact.Bytes(), "", "  ")); err != nil {
		return nil, fmt.Errorf("Envoy bootstrap: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func bootstrap(cfg BootstrapConfig) (*bootstrapv3.Bootstrap, error) {
	for _, socket := range []string{cfg.AgentSocket, cfg.AdminSocket} {
		if err := checkSocketPath(socket); err != nil {
			return nil, err
		}
	}
	node, err := node(cfg)
	if err != nil {
		return nil, err
	}
	xds, err := xdsCluster(cfg)
	if err != nil {
		return nil, err
	}
	internal, err := anypb.New(&internallistenerv3.InternalListener{})
	if err != nil {
		return nil, err
	}
	overload, err := overloadManager(cfg.MaxConnections)
	if err != nil {
		return nil, err
	}
	ads := &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
		// A proxy without its configuration must not call itself ready, however
		// long it takes.
		InitialFetchTimeout: durationpb.New(0),
	}
	return &bootstrapv3.Bootstrap{
		Node: node,
		Admin: &bootstrapv3.Admin{
			Address: pipe(cfg.AdminSocket),
			// The admin interface must answer when the data plane is full.
			IgnoreGlobalConnLimit: true,
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{
			xds,
			agentCluster(SDSCluster, cfg.AgentSocket),
			agentCluster(ALSCluster, cfg.AgentSocket),
		}},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			LdsConfig: ads,
			CdsConfig: proto.Clone(ads).(*corev3.ConfigSource),
			AdsConfig: grpcSource(XDSCluster),
		},
		BootstrapExtensions: []*corev3.TypedExtensionConfig{{Name: "envoy.bootstrap.internal_listener", TypedConfig: internal}},
		LayeredRuntime:      layeredRuntime(cfg.Release),
		OverloadManager:     overload,
		StatsConfig:         stats(),
		// Statistics are read through the admin interface alone, so they are
		// brought together when somebody asks and not every few seconds.
		StatsFlush: &bootstrapv3.Bootstrap_StatsFlushOnAdmin{StatsFlushOnAdmin: true},
	}, nil
}

func node(cfg BootstrapConfig) (*corev3.Node, error) {
	if cfg.Pod.Namespace == "" || cfg.Pod.Name == "" {
		return nil, errors.New("the pod's namespace and name are needed")
	}
	workload := cfg.Workload
	if workload == "" {
		workload = cfg.Pod.Name
	}
	metadata, err := structpb.NewStruct(map[string]any{MetadataKey: map[string]any{
		"namespace": cfg.Pod.Namespace, "pod": cfg.Pod.Name, "workload": workload, "serviceAccount": cfg.ServiceAccount,
	}})
	if err != nil {
		return nil, fmt.Errorf("node metadata: %w", err)
	}
	return &corev3.Node{Id: cfg.Pod.String(), Cluster: cfg.Pod.Namespace + "/" + workload, Metadata: metadata}, nil
}

// grpcSource is a delta xDS service of a static cluster. Secrets come by it too:
// see secretSource.
func grpcSource(cluster string) *corev3.ApiConfigSource {
	return &corev3.ApiConfigSource{
		ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
		TransportApiVersion:       corev3.ApiVersion_V3,
		SetNodeOnFirstMessageOnly: true,
		GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster},
		}}},
	}
}

// layeredRuntime lifts Envoy's limit on compiled expressions, 100 by default, to its
// greatest (an unsigned 32-bit number): the size of expressions is judged where
// they are admitted, and one that Envoy alone refused would freeze the whole
// configuration of the proxy. From 1.40 on it also keeps the close of an
// internal connection a close: Envoy makes a reset of it there, which throws
// away what the application has just answered (envoyproxy/envoy issue 45190;
// tried). And from 1.39 on it has the values of a repeated header joined before
// a route's condition looks at them (SP-3): Envoy shows them one by one there,
// so that two values of which one matches would match (tried). Older releases
// complain about the names of switches that they do not know.
func layeredRuntime(release Release) *bootstrapv3.LayeredRuntime {
	fields := map[string]*structpb.Value{"re2.max_program_size.error_level": structpb.NewNumberValue(1<<32 - 1)}
	if !release.Before(Release{1, 39}) {
		fields["envoy.reloadable_features.match_headers_individually"] = structpb.NewBoolValue(false)
	}
	if !release.Before(Release{1, 40}) {
		fields["envoy.reloadable_features.enable_send_rst_on_user_space_socket"] = structpb.NewBoolValue(false)
	}
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name:           "smi",
		LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{Fields: fields}},
	}}}
}

func overloadManager(most int64) (*overloadv3.OverloadManager, error) {
	if most == 0 {
		most = DefaultMaxConnections
	}
	if most < 0 {
		return nil, fmt.Errorf("at most %d connections: a positive number is needed", most)
	}
	monitor, err := anypb.New(&connectionsv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: most})
	if err != nil {
		return nil, err
	}
	return &overloadv3.OverloadManager{ResourceMonitors: []*overloadv3.ResourceMonitor{{
		Name:       "envoy.resource_monitors.global_downstream_max_connections",
		ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: monitor},
	}}}, nil
}

// stats keeps the statistics that tell how Envoy itself fares. A sidecar with
// many clusters would spend most of its memory on the others, and the mesh's
// own metrics come from the access log.
func stats() *metricsv3.StatsConfig {
	var keep []*matcherv3.StringMatcher
	for _, prefix := range []string{
		"cluster_manager.", "listener_manager.", "control_plane.", "server.", "overload.", "runtime.",
		"cluster." + XDSCluster + ".", "cluster." + ALSCluster + ".", "access_logs.", "smi",
	} {
		keep = append(keep, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}})
	}
	// A stop waits for these to be zero.
	for _, suffix := range []string{".downstream_cx_active", ".downstream_rq_active"} {
		keep = append(keep, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: suffix}})
	}
	return &metricsv3.StatsConfig{
		UseAllDefaultTags: wrapperspb.Bool(false),
		StatsMatcher: &metricsv3.StatsMatcher{StatsMatcher: &metricsv3.StatsMatcher_InclusionList{
			InclusionList: &matcherv3.ListStringMatcher{Patterns: keep},
		}},
	}
}

func pipe(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path, Mode: socketMode}}}
}

// hostPort reads "host:port"; literal tells that the host is an IP address.
func hostPort(address string) (host string, port uint32, literal bool, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, false, fmt.Errorf("xDS address: %w", err)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 || host == "" {
		return "", 0, false, fmt.Errorf("xDS address %q: a host and a port number are needed", address)
	}
	return host, uint32(number), net.ParseIP(host) != nil, nil
}

// connectTimeout is how long Envoy waits for a connection to the xDS server and
// to the agent.
const connectTimeout = 2 * time.Second
