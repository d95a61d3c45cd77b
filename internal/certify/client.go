package certify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/smi-project/smi/internal/certify/certifyv1"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/mesh"
)

// maxFile bounds the files that are read, in bytes.
const maxFile = 256 << 10

// maxResponse bounds an answer, in bytes.
const maxResponse = 1 << 20

// Client asks the control plane for certificates. It is an
// identity.CertificateSource. Token and roots are read anew for each request,
// since both change while a pod lives.
type Client struct {
	// Address is the control plane's "host:port".
	Address string
	// TrustDomain is that of the mesh. The server must prove to be its control
	// plane (ID-6), whatever its name.
	TrustDomain string
	// TokenPath is the file with the pod's projected token, RootsPath the one with
	// the roots of the mesh, as PEM.
	TokenPath, RootsPath string
}

var _ identity.CertificateSource = (*Client)(nil)

// Certificate implements identity.CertificateSource.
func (c *Client) Certificate(ctx context.Context, csr []byte) (chainPEM, bundlePEM []byte, err error) {
	roots, err := readFile(c.RootsPath)
	if err != nil {
		return nil, nil, fmt.Errorf("roots of the mesh: %w", err)
	}
	bundle, err := identity.ParseBundle(c.TrustDomain, roots)
	if err != nil {
		return nil, nil, fmt.Errorf("roots of the mesh, %s: %w", c.RootsPath, err)
	}
	token, err := readFile(c.TokenPath)
	if err != nil {
		return nil, nil, fmt.Errorf("token of the pod: %w", err)
	}
	if token = bytes.TrimSpace(token); len(token) == 0 {
		return nil, nil, fmt.Errorf("token of the pod: %s is empty", c.TokenPath)
	}
	response, err := c.call(ctx, string(token), bundle, csr)
	if err != nil {
		return nil, nil, err
	}
	return response.GetChain(), response.GetRoots(), nil
}

// call makes a connection for one request: the next one is hours away and may
// find other replicas, and roots.
func (c *Client) call(ctx context.Context, token string, bundle *identity.Bundle, csr []byte) (*certifyv1.CertifyResponse, error) {
	server := mesh.PrincipalOf(c.TrustDomain, identity.XDSAccount)
	connection, err := grpc.NewClient("passthrough:///"+c.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(identity.VerifyTLS(bundle, server))),
		// A proxy that the environment names is the application's.
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponse)),
	)
	if err != nil {
		return nil, fmt.Errorf("control plane %s: %w", c.Address, err)
	}
	defer connection.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	response, err := certifyv1.NewCertificationClient(connection).Certify(ctx, &certifyv1.CertifyRequest{Csr: csr})
	if err != nil {
		said := status.Convert(err)
		return nil, fmt.Errorf("control plane %s: %s: %s", c.Address, said.Code(), said.Message())
	}
	return response, nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, errors.New(path + " is longer than a file of its kind can be")
	}
	return content, nil
}
