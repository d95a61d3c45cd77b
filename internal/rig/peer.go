//go:build linux

package rig

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/mesh"
)

// Peer is a client that speaks to sidecars without having one: it holds keys
// and says what it likes.
type Peer struct {
	// Account is what its certificate proves.
	Account mesh.Account
	// CA signed the certificate; the mesh's own if nil.
	CA *identity.CA
	// ServerName is the SNI that it sends; that of its account if "".
	ServerName string
	// Protocols are what it offers by ALPN.
	Protocols []string
}

// TLS returns the configuration of the peer for connections to the sidecar of
// the pod, which must prove to be the pod's account.
func (p *Pod) TLS(tb testing.TB, peer Peer) *tls.Config {
	tb.Helper()
	ca := peer.CA
	if ca == nil {
		ca = p.rig.CA
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	keeper := identity.NewKeeper(ca.Source(peer.Account), nil)
	go func() { _ = keeper.Run(ctx) }()
	if _, err := keeper.Wait(ctx); err != nil {
		tb.Fatal(err)
	}
	server := mesh.PrincipalOf(p.rig.CA.TrustDomain(), mesh.Account{Namespace: p.Namespace, Name: p.ServiceAccount})
	config := identity.ClientTLS(keeper, p.rig.CA.Bundle(), server)
	config.ServerName = cmp.Or(peer.ServerName, envoy.SourceName(mesh.PrincipalOf(p.rig.CA.TrustDomain(), peer.Account)))
	config.NextProtos = peer.Protocols
	return config
}

// Inbound is the address at which the mesh reaches a port of the pod.
func (p *Pod) Inbound(port uint16) string { return fmt.Sprintf("%s:%d", p.Sidecar, port) }

// Dial opens a connection of the peer to a port of the pod's sidecar. TLS 1.3
// lets a client believe in a connection that the server then refuses, so the
// first read tells.
func (p *Pod) Dial(tb testing.TB, peer Peer, port uint16) net.Conn {
	tb.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", p.Inbound(port), p.TLS(tb, peer))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Serve runs an application of the test's own at a port of the pod that is none
// of its slot's. Each connection is handled by a goroutine and then closed.
func (p *Pod) Serve(tb testing.TB, port uint16, handle func(net.Conn)) {
	tb.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", p.App, port))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				handle(conn)
			}()
		}
	}()
}

// Serial is the serial number of the certificate that the pod's Envoy holds
// now, as Envoy itself says.
func (p *Pod) Serial(tb testing.TB) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	body, err := p.Agent.Admin().Get(ctx, "/certs")
	if err != nil {
		tb.Fatal(err)
	}
	var held struct {
		Certificates []struct {
			CertChain []struct {
				Serial string    `json:"serial_number"`
				From   time.Time `json:"valid_from"`
			} `json:"cert_chain"`
		}
	}
	if err := json.Unmarshal(body, &held); err != nil {
		tb.Fatalf("Envoy's certificates: %v", err)
	}
	// While Envoy changes from one to the next, it shows both.
	var newest string
	var from time.Time
	for _, c := range held.Certificates {
		for _, link := range c.CertChain {
			if newest == "" || link.From.After(from) {
				newest, from = link.Serial, link.From
			}
		}
	}
	return newest
}

// Stat is the value of one of the statistics of the pod's Envoy.
func (p *Pod) Stat(tb testing.TB, name string) uint64 {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	value, err := p.Agent.Admin().Stat(ctx, name)
	if err != nil {
		tb.Fatalf("%s/%s: %v", p.Namespace, p.Name, err)
	}
	return value
}
