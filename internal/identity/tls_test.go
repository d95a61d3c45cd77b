package identity

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/smi-project/smi/mesh"
)

type held struct{ svid *SVID }

func (h held) Current() *SVID { return h.svid }

// leaf signs a certificate that the CA itself would never issue.
func leaf(t *testing.T, ca *CA, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7),
		URIs:         []*url.URL{uris(t, string(bankPrincipal))[0]},
		NotBefore:    time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	change(template)
	key, _, err := newRequest()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Root(), key.Public(), ca.signer.Load().key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestPeerPrincipal(t *testing.T) {
	ca, other := newTestCA(t), newTestCA(t)
	named := func(names ...string) *x509.Certificate {
		return leaf(t, ca, func(c *x509.Certificate) { c.URIs = uris(t, names...) })
	}
	for name, c := range map[string]struct {
		cert *x509.Certificate
		want string // Part of the error; empty where the peer is accepted.
	}{
		"accepted":        {named(string(bankPrincipal)), ""},
		"another root":    {leaf(t, other, func(*x509.Certificate) {}), "unknown authority"},
		"expired":         {leaf(t, ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }), "expired"},
		"not yet valid":   {leaf(t, ca, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), "not yet valid"},
		"no URI":          {leaf(t, ca, func(c *x509.Certificate) { c.URIs, c.DNSNames = nil, []string{"ledger.bank"} }), "0 URI names"},
		"two URIs":        {named(string(bankPrincipal), "spiffe://cluster.local/ns/bank/sa/admin"), "2 URI names"},
		"twice the same":  {named(string(bankPrincipal), string(bankPrincipal)), "2 URI names"},
		"not SPIFFE":      {named("https://cluster.local/ns/bank/sa/ledger"), "scheme"},
		"foreign domain":  {named("spiffe://elsewhere.example/ns/bank/sa/ledger"), "not of the trust domain"},
		"longer domain":   {named("spiffe://cluster.local.evil.example/ns/bank/sa/ledger"), "not of the trust domain"},
		"domain only":     {named("spiffe://cluster.local"), "does not name a ServiceAccount"},
		"another path":    {named("spiffe://cluster.local/host/node1"), "does not name a ServiceAccount"},
		"longer path":     {named("spiffe://cluster.local/ns/bank/sa/ledger/x"), "does not name a ServiceAccount"},
		"escaped slash":   {named("spiffe://cluster.local/ns/bank/sa/x%2fy"), "URI name"},
		"query":           {named(string(bankPrincipal) + "?a=b"), "URI name"},
		"only a server":   {leaf(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }), "incompatible key usage"},
		"only a client":   {leaf(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), "incompatible key usage"},
		"may sign itself": {leaf(t, ca, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }), "signs others"},
		"the root":        {ca.Root(), "signs others"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ca.Bundle().PeerPrincipal(tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}})
			if c.want == "" {
				if err != nil || p != bankPrincipal {
					t.Errorf("PeerPrincipal = %q, %v; want %q", p, err, bankPrincipal)
				}
				return
			}
			wantError(t, err, c.want)
			if p != "" {
				t.Errorf("a principal %q comes with the error", p)
			}
		})
	}
	if _, err := ca.Bundle().PeerPrincipal(tls.ConnectionState{}); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("without a certificate: %v; want ErrNoCertificate", err)
	}
	// Who signs for a peer may keep it from one of both uses as well.
	for name, usages := range map[string][]x509.ExtKeyUsage{"for servers": {x509.ExtKeyUsageServerAuth}, "for both": {x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}} {
		bundle, chain := throughIntermediate(t, usages)
		_, err := bundle.PeerPrincipal(tls.ConnectionState{PeerCertificates: chain})
		if want := len(usages) == 2; (err == nil) != want {
			t.Errorf("signed by a certificate %s: %v; accepted should be %t", name, err, want)
		}
	}
	many := make([]*x509.Certificate, maxCertificates+1)
	_, err := ca.Bundle().PeerPrincipal(tls.ConnectionState{PeerCertificates: many})
	wantError(t, err, "at most")
}

// throughIntermediate is a peer's chain by way of an authority that may sign for
// these uses alone, and the bundle that has its root.
func throughIntermediate(t *testing.T, usages []x509.ExtKeyUsage) (*Bundle, []*x509.Certificate) {
	t.Helper()
	key, _, err := newRequest()
	if err != nil {
		t.Fatal(err)
	}
	signed := func(template, parent *x509.Certificate) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	authority := func(name string, usages []x509.ExtKeyUsage) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(8), Subject: pkix.Name{CommonName: name}, ExtKeyUsage: usages,
			NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	root := signed(authority("root", nil), authority("root", nil))
	between := signed(authority("between", usages), root)
	bundle, err := NewBundle(domain, root)
	if err != nil {
		t.Fatal(err)
	}
	return bundle, []*x509.Certificate{signed(leaf(t, newTestCA(t), func(*x509.Certificate) {}), between), between}
}

// handshake connects client and server and returns both sides' errors.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		s := tls.Server(conn, server)
		if err := s.Handshake(); err != nil {
			done <- err
			return
		}
		_, err = s.Write([]byte("ok"))
		done <- err
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	defer conn.Close()
	// A TLS 1.3 client learns of the server's refusal at its first read.
	if clientErr = conn.HandshakeContext(ctx); clientErr == nil {
		if _, clientErr = conn.Read(make([]byte, 2)); errors.Is(clientErr, io.EOF) {
			clientErr = nil
		}
	}
	conn.Close()
	return <-done, clientErr
}

func TestTLSBothWays(t *testing.T) {
	ca, other := newTestCA(t), newTestCA(t)
	xds := held{issueFrom(t, ca.XDSSource())}
	proxy := held{issue(t, ca, bank)}
	stranger := held{issue(t, other, bank)}
	xdsPrincipal := mesh.PrincipalOf(domain, XDSAccount)
	bundle := ca.Bundle()

	for name, c := range map[string]struct {
		server, client       *tls.Config
		serverErr, clientErr string
	}{
		"accepted":               {ServerTLS(xds, bundle), ClientTLS(proxy, bundle, xdsPrincipal), "", ""},
		"server of another name": {ServerTLS(proxy, bundle), ClientTLS(proxy, bundle, xdsPrincipal), "bad certificate", "not " + string(xdsPrincipal)},
		"server of another root": {ServerTLS(stranger, bundle), ClientTLS(proxy, bundle, bankPrincipal), "bad certificate", "unknown authority"},
		"client of another root": {ServerTLS(xds, bundle), ClientTLS(stranger, bundle, xdsPrincipal), "unknown authority", "bad certificate"},
		"client without any":     {ServerTLS(xds, bundle), &tls.Config{InsecureSkipVerify: true}, "didn't provide a certificate", "certificate required"},
		"client without one yet": {ServerTLS(xds, bundle), ClientTLS(held{}, bundle, xdsPrincipal), "", "no certificate yet"},
		"server without one yet": {ServerTLS(held{}, bundle), ClientTLS(proxy, bundle, xdsPrincipal), "no certificate yet", "internal error"},
		"client that speaks 1.2": {ServerTLS(xds, bundle), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}, "unsupported versions", "protocol version"},
		"server that speaks 1.2": {&tls.Config{MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*xds.svid.TLSCertificate()}}, ClientTLS(proxy, bundle, xdsPrincipal), "unsupported versions", "protocol version"},
	} {
		t.Run(name, func(t *testing.T) {
			serverErr, clientErr := handshake(t, c.server, c.client)
			if c.serverErr == "" && c.clientErr == "" {
				if serverErr != nil || clientErr != nil {
					t.Errorf("server: %v, client: %v", serverErr, clientErr)
				}
				return
			}
			if c.serverErr != "" {
				wantError(t, serverErr, c.serverErr)
			}
			wantError(t, clientErr, c.clientErr)
		})
	}
}

// Roots rotate with overlap, and the configurations follow without being made
// again.
func TestRootRotation(t *testing.T) {
	oldCA, newCA := newTestCA(t), newTestCA(t)
	bundle := oldCA.Bundle()
	xdsPrincipal := mesh.PrincipalOf(domain, XDSAccount)
	server := ServerTLS(held{issueFrom(t, oldCA.XDSSource())}, bundle)
	oldClient := ClientTLS(held{issue(t, oldCA, bank)}, bundle, xdsPrincipal)
	newClient := ClientTLS(held{issue(t, newCA, bank)}, bundle, xdsPrincipal)
	newRoot := newCA.Bundle().Roots()[0]
	oldRoot := bundle.Roots()[0]

	serverErr, _ := handshake(t, server, newClient)
	wantError(t, serverErr, "unknown authority")

	changed := bundle.Changed()
	if err := bundle.Add(newRoot); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told of the new root")
	}
	if again, err := ParseBundle(domain, bundle.PEM()); err != nil || len(again.Roots()) != 2 {
		t.Errorf("ParseBundle(PEM()) = %v, %v; want two roots", again, err)
	}
	for _, client := range []*tls.Config{oldClient, newClient} {
		if serverErr, clientErr := handshake(t, server, client); serverErr != nil || clientErr != nil {
			t.Errorf("with both roots: server %v, client %v", serverErr, clientErr)
		}
	}
	if err := bundle.Remove(oldRoot); err != nil {
		t.Fatal(err)
	}
	server = ServerTLS(held{issueFrom(t, newCA.XDSSource())}, bundle)
	serverErr, _ = handshake(t, server, oldClient)
	wantError(t, serverErr, "unknown authority")
}

func TestBundleRefusals(t *testing.T) {
	ca := newTestCA(t)
	root := ca.Bundle().Roots()[0]
	_, err := NewBundle(domain)
	wantError(t, err, "at least one")
	_, err = NewBundle("", root)
	wantError(t, err, "trust domain")
	wantError(t, ca.Bundle().Add(leaf(t, ca, func(*x509.Certificate) {})), "not one of a certificate authority")
	wantError(t, ca.Bundle().Remove(root), "last one")
	wantError(t, ca.Bundle().Remove(newTestCA(t).Bundle().Roots()[0]), "not in it")
	if err := ca.Bundle().Add(root); err != nil || len(ca.Bundle().Roots()) != 1 {
		t.Errorf("adding a root again: %v, %d roots", err, len(ca.Bundle().Roots()))
	}
	_, err = ParseBundle(domain, nil)
	wantError(t, err, "no certificate")
}
