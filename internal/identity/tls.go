package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/smi-project/smi/mesh"
)

// ErrNoCertificate is returned for a peer that showed none, and so has no
// identity (ID-2, ID-3).
var ErrNoCertificate = errors.New("the peer showed no certificate")

// PeerPrincipal returns who is at the other end of a TLS connection: its
// certificate chains to a root of the bundle now, and has exactly one URI SAN,
// that of an account of the trust domain (ID-1, ID-2). It verifies the chain
// itself, so it may be asked whatever the connection's own configuration did.
func (b *Bundle) PeerPrincipal(state tls.ConnectionState) (mesh.Principal, error) {
	return b.verify(state.PeerCertificates, time.Now())
}

// verify checks a chain that may come from anyone. Whether the peer acted as a
// server or as a client makes no difference: an SVID serves both.
func (b *Bundle) verify(chain []*x509.Certificate, now time.Time) (mesh.Principal, error) {
	if len(chain) == 0 {
		return "", ErrNoCertificate
	}
	if len(chain) > maxCertificates {
		return "", fmt.Errorf("the peer showed %d certificates; at most %d are looked at", len(chain), maxCertificates)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	// Usages are looked at afterwards: what costs is to verify signatures, and to ask
	// for one usage after the other would do so for each.
	chains, err := chain[0].Verify(x509.VerifyOptions{
		Roots: b.Pool(), Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err == nil && !slices.ContainsFunc(chains, servesBoth) {
		err = x509.CertificateInvalidError{Cert: chain[0], Reason: x509.IncompatibleUsage}
	}
	if err != nil {
		return "", fmt.Errorf("the certificate does not chain to a root of the trust domain %s: %w", b.TrustDomain(), err)
	}
	return leafPrincipal(b.domain, chain[0])
}

// servesBoth tells whether no certificate of a chain keeps its peer from acting as a
// server or as a client. One that names no usage has all of them.
func servesBoth(chain []*x509.Certificate) bool {
	for _, c := range chain {
		if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
			continue
		}
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if !slices.Contains(c.ExtKeyUsage, usage) {
				return false
			}
		}
	}
	return true
}

// Holder holds a current SVID, as Keeper does.
type Holder interface {
	// Current returns the SVID, nil where there is none yet.
	Current() *SVID
}

// errNotReady is what a handshake fails with before the first SVID came.
var errNotReady = errors.New("this process has no certificate yet")

// ServerTLS returns the configuration of a server that shows the holder's SVID
// and serves peers of the trust domain only; PeerPrincipal tells which. Both
// the SVID and the roots are looked up at each handshake. TLS 1.3, HTTP/2.
func ServerTLS(holder Holder, bundle *Bundle) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		// Go's own verification would pin the roots of this moment, so any
		// certificate is asked for and VerifyConnection judges it.
		ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := bundle.PeerPrincipal(state)
			return err
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current(holder) },
		// A ticket would outlive the certificate that it stands for.
		SessionTicketsDisabled: true,
	}
}

// ControlTLS is ServerTLS for a port where some services know their callers by
// other means than a certificate, such as a token: it lets peers without one in
// as well, and refuses those with one that does not verify. Each service must
// refuse whom it cannot tell; PeerPrincipal returns ErrNoCertificate for them.
func ControlTLS(holder Holder, bundle *Bundle) *tls.Config {
	config := ServerTLS(holder, bundle)
	verify := config.VerifyConnection
	config.ClientAuth = tls.RequestClientCert
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return nil
		}
		return verify(state)
	}
	return config
}

// VerifyTLS is ClientTLS for a client that has no certificate yet, and so shows
// none.
func VerifyTLS(bundle *Bundle, server mesh.Principal) *tls.Config {
	config := ClientTLS(nil, bundle, server)
	config.GetClientCertificate = nil
	return config
}

// ClientTLS returns the configuration of a client that shows the holder's SVID
// and speaks with a server of exactly the given identity only (ID-6); the name
// by which the server was dialled means nothing. TLS 1.3, HTTP/2.
func ClientTLS(holder Holder, bundle *Bundle, server mesh.Principal) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		ServerName: XDSServerName,
		// Go would verify a DNS name against the roots of this moment. What
		// counts is the SPIFFE id against the roots of the handshake, which
		// VerifyConnection demands, always.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies more than it would
		VerifyConnection: func(state tls.ConnectionState) error {
			peer, err := bundle.PeerPrincipal(state)
			if err != nil {
				return err
			}
			if peer != server {
				return fmt.Errorf("the server is %s, not %s", peer, server)
			}
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return current(holder) },
	}
}

func current(holder Holder) (*tls.Certificate, error) {
	svid := holder.Current()
	if svid == nil {
		return nil, errNotReady
	}
	return svid.TLSCertificate(), nil
}
