package xds_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/smi-project/smi/internal/xds"
	"github.com/smi-project/smi/mesh"
)

// expectError reads until the stream ends, and compares how.
func (p *proxy) expectError(code, message string) {
	p.t.Helper()
	for {
		_, err := p.stream.Recv()
		if err == nil {
			continue
		}
		if s := status.Convert(err); s.Code().String() != code || !strings.Contains(s.Message(), message) {
			p.t.Fatalf("the stream ended with %s: %s\nwant %s: ...%s...", s.Code(), s.Message(), code, message)
		}
		return
	}
}

func TestPeerWithoutCertificateIsRefused(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1"))
	p := f.connectWith("ns/pod", &tls.Config{RootCAs: f.authority.pool(), ServerName: "127.0.0.1"})
	p.expectError("Unauthenticated", "certificate is required")
}

func TestPeerOfAnotherAuthorityIsRefused(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1"))
	stranger := newAuthority(t).clientConfig(t, "spiffe://cluster.local/ns/ns/sa/pod")
	stranger.RootCAs = f.authority.pool()
	connection, err := tls.Dial("tcp", f.address, stranger)
	if err == nil {
		// The client's side of a TLS 1.3 handshake ends before the server judges.
		_, err = connection.Read(make([]byte, 1))
		_ = connection.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "unknown certificate authority") {
		t.Fatalf("got %v", err)
	}
}

func TestCertificateWithoutIdentityIsRefused(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1"))
	f.connectAs("ns/pod", "").expectError("Unauthenticated", "no identity of this mesh")
}

// The node id is believed in nothing: what Authorize gets is the verified
// identity, and the reason of its refusal stays with the operator.
func TestAuthorize(t *testing.T) {
	f := serve(t, func(c *xds.Config, _ *time.Duration) {
		c.Authorize = func(_ context.Context, peer mesh.Principal, node string) error {
			account, _ := peer.Account("cluster.local")
			if account.String() != node {
				return errors.New("the pod runs as another account")
			}
			return nil
		}
	})
	f.publish(view("Listener a@1"))
	thief := f.connectAs("ns/pod", "spiffe://cluster.local/ns/ns/sa/thief")
	thief.subscribe("Listener")
	thief.expectError("PermissionDenied", "may not have the configuration")
	if log := f.log.String(); !strings.Contains(log, "ns/sa/thief") || !strings.Contains(log, "another account") {
		t.Errorf("the log does not tell who was refused and why:\n%s", log)
	}

	owner := f.connect()
	owner.subscribe("Listener")
	owner.expect("Listener +a@1").ack()
	f.wait()
}

func TestHostileRequests(t *testing.T) {
	long := strings.Repeat("x", 513)
	many := make([]string, 20_001)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, c := range map[string]struct {
		node          string
		request       *discovery.DeltaDiscoveryRequest
		code, message string
	}{
		"no node id":           {"", &discovery.DeltaDiscoveryRequest{}, "InvalidArgument", "node.id"},
		"long node id":         {strings.Repeat("n", 321), &discovery.DeltaDiscoveryRequest{}, "InvalidArgument", "node.id"},
		"long name":            {"ns/pod", &discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{long}}, "InvalidArgument", "longer than"},
		"long initial name":    {"ns/pod", &discovery.DeltaDiscoveryRequest{InitialResourceVersions: map[string]string{long: "1"}}, "InvalidArgument", "longer than"},
		"long initial version": {"ns/pod", &discovery.DeltaDiscoveryRequest{InitialResourceVersions: map[string]string{"a": long}}, "InvalidArgument", "longer than"},
		"many names":           {"ns/pod", &discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: many}, "ResourceExhausted", "more than"},
		"large message":        {"ns/pod", &discovery.DeltaDiscoveryRequest{ResponseNonce: strings.Repeat("n", 3<<20)}, "ResourceExhausted", "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t)
			p := f.connectAs(c.node, "spiffe://cluster.local/ns/ns/sa/pod")
			c.request.TypeUrl = typeURLs["Listener"]
			// Sending may fail already; how the stream ended is what Recv says.
			c.request.Node = &corev3.Node{Id: c.node}
			_ = p.stream.Send(c.request)
			p.expectError(c.code, c.message)
		})
	}
}

func TestNodeIDMustNotChange(t *testing.T) {
	f := serve(t)
	p := f.connect()
	p.subscribe("Listener")
	p.send(&discovery.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "ns/other"}, TypeUrl: typeURLs["Cluster"]})
	p.expectError("InvalidArgument", "changed")
}

// Only the delta variant of the aggregated service exists.
func TestStateOfTheWorldIsUnimplemented(t *testing.T) {
	f := serve(t)
	config := credentials.NewTLS(f.authority.clientConfig(t, "spiffe://cluster.local/ns/ns/sa/pod"))
	connection := must(grpc.NewClient("passthrough:///"+f.address, grpc.WithTransportCredentials(config)))
	defer connection.Close()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = stream.Recv(); status.Code(err).String() != "Unimplemented" {
		t.Fatalf("got %v, want Unimplemented", err)
	}
}

func TestServeDemandsClientCertificates(t *testing.T) {
	server := xds.New(xds.Config{PeerPrincipal: peerPrincipal, Authorize: func(context.Context, mesh.Principal, string) error { return nil }})
	if err := server.Serve(t.Context(), nil, &tls.Config{}); err == nil || !strings.Contains(err.Error(), "ClientAuth") {
		t.Fatalf("got %v", err)
	}
}
