package xds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/smi-project/smi/mesh"
)

// Config is what a Server is made of.
type Config struct {
	// PeerPrincipal returns the identity of a peer from its TLS connection, whose
	// certificate the TLS configuration has verified. An error refuses the stream.
	PeerPrincipal func(tls.ConnectionState) (mesh.Principal, error)
	// Authorize tells whether the peer may have the configuration of a node id,
	// which is as the peer says and believed in nothing (ID-1). An error refuses
	// the stream; its text goes to the log and not to the peer.
	Authorize func(ctx context.Context, peer mesh.Principal, nodeID string) error
	// OnChange, if set, is called with every change of a proxy's status, in order
	// for each proxy. It must return quickly.
	OnChange func(ProxyStatus)
	// OnStray, if set, is called when a proxy that was connected elsewhere, or before,
	// comes with other versions of resources whose names begin with StrayPrefixes
	// than its view has: what changed in between, nobody told it. It must return
	// quickly.
	OnStray func(nodeID string, names []string)
	// StrayPrefixes are those of the names that OnStray is told of.
	StrayPrefixes []string
	// Logger is slog.Default() where it is nil.
	Logger *slog.Logger
}

// Server is the discovery server. Its methods may be called at once from several
// goroutines.
type Server struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	config   Config
	logger   *slog.Logger
	patience time.Duration
	refusals refusalBook
	bell     bell

	// publishing keeps publications in order.
	publishing sync.Mutex
	mu         sync.Mutex
	nodes      map[string]*node
}

// node is a proxy that has a view, a stream or both. The mutex of the server
// guards its view, stream and since.
type node struct {
	id     string
	view   *View
	stream *stream
	// since is when it was connected or disconnected.
	since time.Time

	// reporting serialises reports, so that the last one is the newest.
	reporting sync.Mutex
	reported  ProxyStatus
}

// patience is how long a phase waits for what the proxy should do by itself.
const patience = 5 * time.Second

// maxNodeID is more than a namespace, a slash and the name of a pod can have.
const maxNodeID = 320

// New returns a server without views.
func New(config Config) *Server {
	if config.PeerPrincipal == nil || config.Authorize == nil {
		panic("xds: a server without PeerPrincipal and Authorize would serve anyone")
	}
	logger := config.Logger
	if logger == nil {
		logger = slog.Default()
	}
	return &Server{config: config, logger: logger, patience: patience, nodes: map[string]*node{}}
}

// Publish makes the views, by node id <namespace>/<pod>, the full state of all
// proxies, and has what changed sent. A view whose pointer is the one that the
// node has already costs nothing. A node that is not among the views keeps the
// stream and the configuration that it has. The caller must not modify views
// that it has published; the map it may.
func (s *Server) Publish(views map[string]*View) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	var touched []*stream
	s.mu.Lock()
	for id, view := range views {
		n := s.nodes[id]
		if n == nil {
			n = &node{id: id}
			s.nodes[id] = n
		}
		if n.view == view {
			continue
		}
		n.view = view
		if n.stream != nil {
			// Inside the lock, so that a stream that connects now cannot end up with
			// an older view than the node.
			n.stream.publish(view)
			touched = append(touched, n.stream)
		}
	}
	if len(s.nodes) > len(views) {
		s.forget(views)
	}
	s.mu.Unlock()
	for i, st := range touched {
		go st.flush()
		// What was started goes first. A change for thousands of proxies would otherwise
		// have a stack and a buffer in use for each of them at the same moment.
		if i%flushedAtOnce == flushedAtOnce-1 {
			runtime.Gosched()
		}
	}
}

// flushedAtOnce is about how many streams a publication has sent at the same time.
// None waits for another one: a stream that cannot send keeps its own goroutine.
const flushedAtOnce = 64

// forget drops the views of nodes that are gone, and those nodes themselves that
// have no stream.
func (s *Server) forget(views map[string]*View) {
	for id, n := range s.nodes {
		if _, ok := views[id]; ok {
			continue
		}
		n.view = nil
		if n.stream == nil {
			delete(s.nodes, id)
		}
	}
}

// connect makes a stream the one of its node. An older one of the same node ends
// with its next request: proxies reconnect before the server learns that their
// last connection is dead.
func (s *Server) connect(st *stream) {
	s.mu.Lock()
	n := s.nodes[st.id]
	if n == nil {
		n = &node{id: st.id}
		s.nodes[st.id] = n
	}
	old := n.stream
	n.stream, n.since, st.node = st, time.Now(), n
	st.session.latest = n.view
	s.mu.Unlock()
	if old != nil {
		old.close(false)
	}
	s.logger.Debug("proxy connected", "node", st.id)
}

// disconnect ends a stream. It returns when nothing is sent on it any more.
func (s *Server) disconnect(st *stream) {
	st.close(true)
	s.mu.Lock()
	n := st.node
	if n.stream == st {
		n.stream, n.since = nil, time.Now()
		if n.view == nil {
			delete(s.nodes, st.id)
		}
	}
	s.mu.Unlock()
	s.logger.Debug("proxy disconnected", "node", st.id)
	s.report(n)
}

// report tells whoever wants to know that the status of a proxy changed, if it
// did.
func (s *Server) report(n *node) {
	n.reporting.Lock()
	defer n.reporting.Unlock()
	// A view that replaces an equal one leaves the status as it was, and whoever
	// waits for it must hear of that as well.
	s.bell.ring()
	now, _ := s.statusOf(n)
	if now == n.reported {
		return
	}
	n.reported = now
	if s.config.OnChange != nil {
		s.config.OnChange(now)
	}
}

// principal returns who the peer of a stream is.
func (s *Server) principal(ctx context.Context) (mesh.Principal, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", status.Error(codes.Unauthenticated, "no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return "", status.Error(codes.Unauthenticated, "a client certificate is required")
	}
	principal, err := s.verify(info.State)
	if err != nil {
		s.logger.Warn("a proxy without a valid identity was refused", "address", p.Addr.String(), "error", err)
		return "", status.Error(codes.Unauthenticated, "the client certificate holds no identity of this mesh")
	}
	return principal, nil
}

// verify asks for the identity of a peer. To verify signatures takes a deep stack,
// which the goroutine of a stream would keep for as long as the stream lasts: 8 kB
// for each proxy. So it is another one's.
func (s *Server) verify(state tls.ConnectionState) (principal mesh.Principal, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		principal, err = s.config.PeerPrincipal(state)
	}()
	<-done
	return principal, err
}

// authorize tells whether a peer may have the configuration of a node id.
func (s *Server) authorize(ctx context.Context, principal mesh.Principal, id string) error {
	if id == "" || len(id) > maxNodeID {
		return status.Errorf(codes.InvalidArgument, "node.id must be <namespace>/<pod>, at most %d bytes", maxNodeID)
	}
	if err := s.config.Authorize(ctx, principal, id); err != nil {
		s.logger.Warn("a proxy asked for a configuration that is not its own", "principal", string(principal), "node", id, "error", err)
		return status.Error(codes.PermissionDenied, "this identity may not have the configuration of that node")
	}
	return nil
}

// Options are those that a gRPC server needs for a Server to be registered with
// it: the wire format of responses depends on them. They keep a connected proxy
// below 100 kB: what comes in has the buffer of TLS and no second one, what goes out
// gives its buffer back when all was written, and windows do not grow.
func Options(creds credentials.TransportCredentials) []grpc.ServerOption {
	const sharedBuffer, window, headers = 16 << 10, 64 << 10, 4 << 10
	return []grpc.ServerOption{
		grpc.Creds(creds),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.ReadBufferSize(0),
		grpc.WriteBufferSize(sharedBuffer),
		grpc.StaticStreamWindowSize(window),
		grpc.StaticConnWindowSize(window),
		grpc.HeaderTableSize(headers),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.MaxRecvMsgSize(2 << 20),
		grpc.MaxConcurrentStreams(8),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			// A connection that is renewed now and then is authorised anew and finds
			// the least loaded replica.
			MaxConnectionAge:      8 * time.Hour,
			MaxConnectionAgeGrace: 10 * time.Second,
			// A proxy always has a stream. What has none came to ask for a certificate,
			// or to do nothing, for which it need not prove who it is.
			MaxConnectionIdle: 30 * time.Second,
			Time:              30 * time.Second,
			Timeout:           10 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
}

// Register adds the discovery service to a gRPC server that was created with
// Options.
func (s *Server) Register(registrar grpc.ServiceRegistrar) {
	discovery.RegisterAggregatedDiscoveryServiceServer(registrar, s)
}

// Serve serves discovery on a listener until the context ends, and then closes
// all streams. The TLS configuration must ask for client certificates; a peer
// without one gets no discovery, whatever the configuration lets in. What beside
// registers is served as well, and has to find out by itself who calls.
func (s *Server) Serve(ctx context.Context, listener net.Listener, config *tls.Config, beside ...func(grpc.ServiceRegistrar)) error {
	if config == nil || (config.ClientAuth == tls.NoClientCert && config.GetConfigForClient == nil) {
		return errors.New("xds: the TLS configuration must require client certificates (ClientAuth)")
	}
	// Small records at the beginning let a browser show half a page. An Envoy needs a
	// whole message, and each record is a call of the kernel.
	config = config.Clone()
	config.DynamicRecordSizingDisabled = true
	server := grpc.NewServer(Options(credentials.NewTLS(config))...)
	s.Register(server)
	for _, register := range beside {
		register(server)
	}
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("xds: serve on %s: %w", listener.Addr(), err)
	}
	return nil
}
