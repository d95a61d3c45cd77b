package certify_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/certify"
	"github.com/smi-project/smi/internal/certify/certifyv1"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/mesh"
)

var createOptions = metav1.CreateOptions{}

// A pod that asks again and again is told to wait, and others are not.
func TestPodsAreLimitedOneByOne(t *testing.T) {
	c := startControl(t)
	greedy, modest := c.token(c.pod("shop", "greedy", "web")), c.token(c.pod("shop", "modest", "web"))
	client := certifyv1.NewCertificationClient(c.dial(t, nil))
	ask := func(token string) error {
		_, err := client.Certify(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token), &certifyv1.CertifyRequest{Csr: csr(t)})
		return err
	}
	var refused error
	for range 100 {
		if refused = ask(greedy); refused != nil {
			break
		}
	}
	if status.Code(refused) != codes.ResourceExhausted || !strings.Contains(refused.Error(), "pod greedy: more than 10 certificates at once") {
		t.Errorf("a hundred requests at once: %v", refused)
	}
	if err := ask(modest); err != nil {
		t.Errorf("another pod: %v", err)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	c := startControl(t)
	token := c.token(c.pod("shop", "web-0", "web"))
	client := certifyv1.NewCertificationClient(c.dial(t, nil))
	for name, csr := range map[string][]byte{"empty": nil, "long": make([]byte, 8<<10+1), "no request": []byte("x")} {
		_, err := client.Certify(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token), &certifyv1.CertifyRequest{Csr: csr})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v, want InvalidArgument", name, err)
		}
	}
}

// An agent hands its token to the control plane and to nobody else, even one that
// has a certificate of the mesh.
func TestTokenGoesToTheControlPlaneOnly(t *testing.T) {
	ca, err := identity.NewCA(identity.Config{TrustDomain: domain})
	if err != nil {
		t.Fatal(err)
	}
	impostor, err := svid(t, ca.Source(mesh.Account{Namespace: "shop", Name: "web"}))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ControlTLS(held{impostor}, ca.Bundle()))))
	thief := &thief{}
	certifyv1.RegisterCertificationServer(server, thief)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	c := &control{t: t, ca: ca, address: listener.Addr().String()}
	_, err = svid(t, c.agent("secret"))
	if err == nil || !strings.Contains(err.Error(), "the server is spiffe://cluster.local/ns/shop/sa/web") || thief.called {
		t.Errorf("got %v; called: %t", err, thief.called)
	}
}

type thief struct {
	certifyv1.UnimplementedCertificationServer
	called bool
}

func (t *thief) Certify(context.Context, *certifyv1.CertifyRequest) (*certifyv1.CertifyResponse, error) {
	t.called = true
	return nil, errors.New("thank you")
}

// Token and roots are read at each request, since Kubernetes changes the files.
func TestFilesAreReadAnew(t *testing.T) {
	c := startControl(t)
	other, err := identity.NewCA(identity.Config{TrustDomain: domain})
	if err != nil {
		t.Fatal(err)
	}
	agent := c.agent("")
	for _, step := range []struct {
		path    string
		content []byte
		want    string
	}{
		{"", nil, "token is empty"},
		{agent.TokenPath, []byte("x"), "Unauthenticated"},
		{agent.RootsPath, other.Bundle().PEM(), "does not chain to a root"},
		{agent.RootsPath, []byte("text"), "not PEM"},
		{agent.RootsPath, append(other.Bundle().PEM(), c.ca.Bundle().PEM()...), "Unauthenticated"},
		{agent.TokenPath, []byte(c.token(c.pod("shop", "web-0", "web"))), ""},
	} {
		if step.path != "" {
			write(t, step.path, step.content)
		}
		_, err := svid(t, agent)
		if (err == nil) != (step.want == "") || (err != nil && !strings.Contains(err.Error(), step.want)) {
			t.Errorf("got %v, want ... %s", err, step.want)
		}
	}
	_, _, err = (&certify.Client{Address: c.address, TrustDomain: domain, TokenPath: "/does/not/exist", RootsPath: agent.RootsPath}).Certificate(t.Context(), csr(t))
	if err == nil || !strings.Contains(err.Error(), "token of the pod: open /does/not/exist") {
		t.Errorf("got %v", err)
	}
}
