package driver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// Credentials are what a workload shows in TLS that it speaks by itself: a
// certificate with what leads to its root, and the key, both PEM. Without, it
// shows none.
type Credentials struct {
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	// ServerName is sent where it is set: meshes use it for ends of their own.
	ServerName string `json:"serverName,omitempty"`
}

// pair is the certificate, nil where none is to be shown.
func (c *Credentials) pair() (*tls.Certificate, error) {
	if c.Certificate == "" && c.Key == "" {
		return new(tls.Certificate), nil
	}
	pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key))
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &pair, nil
}

// secure speaks TLS over a connection. Whom the server proves to be is all the
// same: here the client is who may not be believed.
func (c *Credentials) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	pair, err := c.pair()
	if err != nil {
		return nil, err
	}
	over := tls.Client(conn, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         c.ServerName,
		InsecureSkipVerify: true, //nolint:gosec // a forger believes everybody
		// Whatever authorities the server names: this one is shown.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil },
	})
	if err := over.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return over, nil
}
