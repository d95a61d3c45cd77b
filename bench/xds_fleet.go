package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/scaletest"
	"github.com/smi-project/smi/mesh"
)

// fleetQuestion asks the fleet to connect, or what it has received since the
// last question.
type fleetQuestion struct {
	Connect        int
	Bare           bool
	Address        string
	CertificatePEM []byte
	KeyPEM         []byte
	// Quiet is how long nothing must have come before the fleet answers.
	Quiet time.Duration
}

type fleetAnswer struct {
	// Affected is the number of proxies that received something.
	Affected int
	// Last is when the last of them acknowledged.
	Last time.Time
	// Bytes are those of the responses, WireBytes all that came over the
	// connections.
	Bytes, WireBytes float64
}

// fleet is many proxies in one process.
type fleet struct {
	proxies []*fleetProxy
	bare    bool
	// last is when any of them was sent anything, in nanoseconds since 1970.
	last   atomic.Int64
	failed chan error
}

type fleetProxy struct {
	fleet           *fleet
	node            string
	responses       atomic.Int64
	bytes, received atomic.Int64
}

func runXDSFleet([]string) error {
	f := &fleet{failed: make(chan error, 1)}
	return serve(func(q fleetQuestion) (any, error) {
		if q.Connect > 0 {
			if err := f.connect(q); err != nil {
				return nil, err
			}
		}
		return f.collect(q.Quiet)
	})
}

func (f *fleet) connect(q fleetQuestion) error {
	ca, err := identity.LoadCA(identity.Config{TrustDomain: "cluster.local"}, q.CertificatePEM, q.KeyPEM)
	if err != nil {
		return err
	}
	f.bare = q.Bare
	w := scaletest.New(scaletest.Standard(q.Connect))
	f.proxies = make([]*fleetProxy, len(w.Pods))
	var group errgroup.Group
	group.SetLimit(16)
	for i, pod := range w.Pods {
		p := &fleetProxy{fleet: f, node: pod.Namespace + "/" + pod.Name}
		f.proxies[i] = p
		account := mesh.Account{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}
		group.Go(func() error { return p.connect(ca, account, q.Address) })
	}
	return group.Wait()
}

// connect opens the stream and asks for everything.
func (p *fleetProxy) connect(ca *identity.CA, account mesh.Account, address string) error {
	svid, err := issue(context.Background(), ca, account)
	if err != nil {
		return err
	}
	config := identity.ClientTLS(current{svid}, ca.Bundle(), mesh.PrincipalOf(ca.TrustDomain(), identity.XDSAccount))
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithContextDialer(p.dial),
		grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return err
	}
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(context.Background())
	if err != nil {
		return err
	}
	for _, kind := range []string{"cluster.v3.Cluster", "endpoint.v3.ClusterLoadAssignment", "listener.v3.Listener", "route.v3.RouteConfiguration", "core.v3.TypedExtensionConfig"} {
		err := stream.Send(&discovery.DeltaDiscoveryRequest{
			Node: &corev3.Node{Id: p.node}, TypeUrl: "type.googleapis.com/envoy.config." + kind, ResourceNamesSubscribe: []string{"*"},
		})
		if err != nil {
			return fmt.Errorf("proxy %s: %w", p.node, err)
		}
	}
	go p.follow(stream)
	return nil
}

// follow acknowledges whatever comes.
func (p *fleetProxy) follow(stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient) {
	for {
		response, err := stream.Recv()
		if err == nil {
			err = stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()})
		}
		if err != nil {
			select {
			case p.fleet.failed <- fmt.Errorf("proxy %s: %w", p.node, err):
			default:
			}
			return
		}
		p.fleet.last.Store(time.Now().UnixNano())
		p.responses.Add(1)
		p.bytes.Add(int64(proto.Size(response)))
	}
}

func (p *fleetProxy) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &countedConn{conn, &p.received}, nil
}

// countedConn counts what comes in.
type countedConn struct {
	net.Conn
	received *atomic.Int64
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

// collect waits until nothing more comes, and tells what came.
func (f *fleet) collect(quiet time.Duration) (*fleetAnswer, error) {
	const patience = 2 * time.Minute
	begin := time.Now()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-f.failed:
			return nil, err
		case <-ticker.C:
		}
		if time.Since(begin) > quiet && time.Since(time.Unix(0, f.last.Load())) > quiet {
			break
		}
		if time.Since(begin) > patience {
			return nil, errors.New("proxies are still being sent things")
		}
	}
	a := &fleetAnswer{Last: time.Unix(0, f.last.Load())}
	for _, p := range f.proxies {
		if p.responses.Swap(0) > 0 {
			a.Affected++
		}
		a.Bytes += float64(p.bytes.Swap(0))
		a.WireBytes += float64(p.received.Swap(0))
	}
	return a, nil
}
