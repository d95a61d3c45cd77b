package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/mesh"
)

// fleetQuestion asks the fleet to get ready, to connect, or what it has received
// since the last question. It may ask for several of these at once.
type fleetQuestion struct {
	// Nodes are the proxies, for which certificates are signed by what follows.
	Nodes          []fleetNode
	CertificatePEM []byte
	KeyPEM         []byte
	// Connect is the address of the server, which may not be there yet.
	Connect string
	// AsEnvoy has proxies ask as Envoys do, by name for most. Otherwise they ask for
	// everything.
	AsEnvoy bool
	// Quiet is how long nothing must have come before the fleet answers; 0 does not
	// ask what came. So many proxies as Expect must have been sent something by then.
	Quiet  time.Duration
	Expect int
}

// fleetNode is a proxy: its node id, and whose certificate it shows.
type fleetNode struct {
	Node    string
	Account mesh.Account
}

type fleetAnswer struct {
	// Opened is when the server's port could be reached first.
	Opened time.Time
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
	opened  time.Time
	// references is nil unless proxies ask as Envoys do.
	references *references
	// last is when any of them was sent anything, in nanoseconds since 1970.
	last   atomic.Int64
	failed chan error
}

type fleetProxy struct {
	fleet           *fleet
	node            string
	credentials     credentials.TransportCredentials
	stream          grpc.ClientStream
	asked           map[reference]bool
	responses       atomic.Int64
	bytes, received atomic.Int64
}

func runXDSFleet([]string) error {
	f := &fleet{failed: make(chan error, 1)}
	return serve(f.answer)
}

func (f *fleet) answer(q fleetQuestion) (any, error) {
	if len(q.Nodes) > 0 {
		if err := f.prepare(q); err != nil {
			return nil, err
		}
	}
	if q.Connect != "" {
		if q.AsEnvoy {
			f.references = newReferences()
		}
		if err := f.connect(q.Connect); err != nil {
			return nil, err
		}
	}
	if q.Quiet == 0 {
		return &fleetAnswer{Opened: f.opened}, nil
	}
	return f.collect(q.Quiet, q.Expect)
}

// What Envoy offers unless it is configured otherwise: the groups of a key exchange,
// and the windows of HTTP/2 for a stream and a connection.
var envoyCurves = []tls.CurveID{tls.X25519, tls.CurveP256}

const envoyStreamWindow, envoyConnectionWindow = 16 << 20, 24 << 20

// prepare makes the proxies. Those of one account share its certificate.
func (f *fleet) prepare(q fleetQuestion) error {
	ca, err := identity.LoadCA(identity.Config{TrustDomain: "cluster.local"}, q.CertificatePEM, q.KeyPEM)
	if err != nil {
		return err
	}
	shown := map[mesh.Account]credentials.TransportCredentials{}
	for _, n := range q.Nodes {
		if shown[n.Account] == nil {
			svid, err := issue(context.Background(), ca, n.Account)
			if err != nil {
				return err
			}
			config := identity.ClientTLS(current{svid}, ca.Bundle(), mesh.PrincipalOf(ca.TrustDomain(), identity.XDSAccount))
			config.CurvePreferences = envoyCurves
			shown[n.Account] = credentials.NewTLS(config)
		}
		f.proxies = append(f.proxies, &fleetProxy{fleet: f, node: n.Node, credentials: shown[n.Account]})
	}
	return nil
}

// connect waits for the server and has all proxies connect.
func (f *fleet) connect(address string) error {
	err := eventually(context.Background(), 2*time.Minute, func() error {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return err
	}
	f.opened = time.Now()
	var group errgroup.Group
	group.SetLimit(32)
	for _, p := range f.proxies {
		group.Go(func() error { return p.connect(address) })
	}
	return group.Wait()
}

// connect opens the stream and asks for what there is.
func (p *fleetProxy) connect(address string) error {
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(p.credentials), grpc.WithContextDialer(p.dial),
		grpc.WithReadBufferSize(0), grpc.WithWriteBufferSize(4<<10),
		grpc.WithStaticStreamWindowSize(envoyStreamWindow), grpc.WithStaticConnWindowSize(envoyConnectionWindow),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.ForceCodecV2(newReceiving())))
	if err != nil {
		return err
	}
	p.stream, err = connection.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, deltaMethod)
	if err != nil {
		return fmt.Errorf("proxy %s: %w", p.node, err)
	}
	if err := p.ask(); err != nil {
		return fmt.Errorf("proxy %s: %w", p.node, err)
	}
	go p.follow()
	return nil
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

// affected is the number of proxies that were sent something.
func (f *fleet) affected() int {
	n := 0
	for _, p := range f.proxies {
		if p.responses.Load() > 0 {
			n++
		}
	}
	return n
}

// collect waits until nothing more comes, and tells what came.
func (f *fleet) collect(quiet time.Duration, expect int) (*fleetAnswer, error) {
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
		if time.Since(begin) > quiet && time.Since(time.Unix(0, f.last.Load())) > quiet && f.affected() >= expect {
			break
		}
		if time.Since(begin) > patience {
			return nil, fmt.Errorf("proxies are still being sent things, or some of %d nothing", expect)
		}
	}
	a := &fleetAnswer{Opened: f.opened, Last: time.Unix(0, f.last.Load())}
	for _, p := range f.proxies {
		if p.responses.Swap(0) > 0 {
			a.Affected++
		}
		a.Bytes += float64(p.bytes.Swap(0))
		a.WireBytes += float64(p.received.Swap(0))
	}
	return a, nil
}
