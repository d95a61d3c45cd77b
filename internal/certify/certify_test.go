package certify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/certify/certifyv1"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// csr is a request that asks for another account, which must be to no avail.
func csr(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wish, err := url.Parse("spiffe://cluster.local/ns/bank/sa/ledger")
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{wish}, DNSNames: []string{identity.XDSServerName}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func TestPodGetsTheCertificateOfItsAccount(t *testing.T) {
	c := startControl(t)
	pod := c.pod("shop", "web-0", "web")
	got, err := svid(t, c.agent(c.token(pod)))
	if err != nil {
		t.Fatal(err)
	}
	if want := mesh.PrincipalOf(domain, mesh.Account{Namespace: "shop", Name: "web"}); got.Principal != want {
		t.Errorf("the certificate is for %s, want %s", got.Principal, want)
	}
}

// What a request asks for counts for nothing: the token decides.
func TestPodCannotGetTheCertificateOfAnotherAccount(t *testing.T) {
	c := startControl(t)
	chain, _, err := c.agent(c.token(c.pod("shop", "web-0", "web"))).Certificate(t.Context(), csr(t))
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := identity.ParseCertificates("chain", chain)
	if err != nil {
		t.Fatal(err)
	}
	leaf := certificates[0]
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://cluster.local/ns/shop/sa/web" || len(leaf.DNSNames) != 0 {
		t.Errorf("the certificate is for %v %v", leaf.URIs, leaf.DNSNames)
	}
}

// Each of these tokens is worth nothing, and the error says why and not what it
// was.
func TestTokensThatProveNothing(t *testing.T) {
	c := startControl(t)
	pod := c.pod("shop", "web-0", "web")
	good := c.token(pod)
	stolen := c.pod("shop", "web-1", "web")
	fromDeleted := c.token(stolen)
	c.deletePod(stolen)
	renamed := c.pod("shop", "web-2", "web")
	fromNamesake := c.token(renamed)
	c.deletePod(renamed)
	c.pod("shop", "web-2", "web")
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	unchanged := func(map[string]any) {}
	for name, tc := range map[string]struct{ token, want string }{
		"another audience":   {c.tokenFor(pod, "https://kubernetes.default.svc"), "does not accept it for the audience smi-spec.io"},
		"expired":            {c.forge(good, c.serverKey(), func(claims map[string]any) { claims["exp"] = time.Now().Add(-time.Minute).Unix() }), "expired"},
		"foreign issuer":     {c.forge(good, foreign, unchanged), "does not accept"},
		"another account":    {c.forge(good, foreign, func(claims map[string]any) { claims["sub"] = "system:serviceaccount:bank:ledger" }), "does not accept"},
		"deleted pod":        {fromDeleted, "does not accept"},
		"pod with that name": {fromNamesake, "does not accept"},
		"not bound to a pod": {c.request("shop", "web", sidecar.TokenAudience, nil), "not bound to a pod"},
		"no token at all":    {"x", "does not accept"},
		"two words":          {"a b", "authorization is not"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := svid(t, c.agent(tc.token))
			if err == nil || !strings.Contains(err.Error(), "Unauthenticated") || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want Unauthenticated: ... %s", err, tc.want)
			}
			if strings.Contains(err.Error(), tc.token) && len(tc.token) > 3 {
				t.Error("the token is in the error")
			}
		})
	}
	// What was forged with the right key and nothing changed is as good as before,
	// so the refusals above are about what was changed.
	if _, err := svid(t, c.agent(c.forge(good, c.serverKey(), unchanged))); err != nil {
		t.Errorf("the token as it was: %v", err)
	}
}

// The token is good, and the pod is not, or not any more, what it says.
func TestPodsThatGetNoCertificate(t *testing.T) {
	c := startControl(t)
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"ended":           {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, "PermissionDenied: pod shop/NAME has ended (Succeeded)"},
		"failed":          {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, "has ended (Failed)"},
		"no sidecar":      {func(p *corev1.Pod) { p.Spec.InitContainers = nil }, "has no container smi-proxy; label it or its namespace smi-spec.io/inject=enabled"},
		"another pod":     {func(p *corev1.Pod) { p.UID = "another" }, "is another one than the token is bound to"},
		"another account": {func(p *corev1.Pod) { p.Spec.ServiceAccountName = "ledger" }, "runs as the account ledger and not as web"},
		"unknown":         {nil, "NotFound: pod shop/NAME is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "-")
			pod := c.pod("shop", id, "web")
			if tc.change == nil {
				c.store.Delete(pod)
			} else {
				c.store.Put(clone(pod, tc.change))
			}
			_, err := svid(t, c.agent(c.token(pod)))
			if want := strings.ReplaceAll(tc.want, "NAME", id); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want ... %s", err, want)
			}
		})
	}
	// And the API server itself hands out no token of one account for another's pod.
	pod := c.pod("shop", "web-9", "web")
	_, err := c.client.CoreV1().ServiceAccounts("shop").CreateToken(t.Context(), "ledger", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{sidecar.TokenAudience}, BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}, createOptions)
	if err == nil {
		t.Error("the API server gave ledger a token for the pod of web")
	}
}

// dial connects to the one port, with a certificate or without.
func (c *control) dial(t *testing.T, holder identity.Holder) *grpc.ClientConn {
	t.Helper()
	config := identity.VerifyTLS(c.ca.Bundle(), mesh.PrincipalOf(domain, identity.XDSAccount))
	if holder != nil {
		config = identity.ClientTLS(holder, c.ca.Bundle(), mesh.PrincipalOf(domain, identity.XDSAccount))
	}
	connection, err := grpc.NewClient("passthrough:///"+c.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

type held struct{ svid *identity.SVID }

func (h held) Current() *identity.SVID { return h.svid }

// A certificate is not enough to get another one, and a token is needed exactly
// once.
func TestCertificateWithoutTokenIsRefused(t *testing.T) {
	c := startControl(t)
	token := c.token(c.pod("shop", "web-0", "web"))
	own, err := svid(t, c.agent(token))
	if err != nil {
		t.Fatal(err)
	}
	client := certifyv1.NewCertificationClient(c.dial(t, held{own}))
	for name, pairs := range map[string][]string{
		"no token":     nil,
		"no bearer":    {"authorization", token},
		"two tokens":   {"authorization", "Bearer " + token, "authorization", "Bearer " + token},
		"empty":        {"authorization", "Bearer "},
		"a long token": {"authorization", "Bearer " + strings.Repeat("x", 17<<10)},
	} {
		_, err := client.Certify(metadata.AppendToOutgoingContext(t.Context(), pairs...), &certifyv1.CertifyRequest{Csr: csr(t)})
		if code := status.Code(err); code != codes.Unauthenticated && (name != "a long token" || code == codes.OK) {
			t.Errorf("%s: got %v, want Unauthenticated", name, err)
		}
	}
}

// The port lets peers without a certificate in. Discovery does not.
func TestDiscoveryWithoutCertificateIsRefused(t *testing.T) {
	c := startControl(t)
	token := c.token(c.pod("shop", "web-0", "web"))
	own, err := svid(t, c.agent(token))
	if err != nil {
		t.Fatal(err)
	}
	stream := func(holder identity.Holder, node string) error {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
		stream, err := discovery.NewAggregatedDiscoveryServiceClient(c.dial(t, holder)).DeltaAggregatedResources(ctx)
		if err != nil {
			return err
		}
		request := &discovery.DeltaDiscoveryRequest{Node: &corev3.Node{Id: node}, TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster"}
		// One that is refused may have ended by now; Recv says why.
		if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		_ = stream.CloseSend()
		_, err = stream.Recv()
		return err
	}
	if err := stream(nil, "shop/web-0"); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "a client certificate is required") {
		t.Errorf("without a certificate, with a good token: %v", err)
	}
	if err := stream(held{own}, "shop/other"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("for another pod: %v", err)
	}
	if err := stream(held{own}, "shop/web-0"); err == nil || status.Code(err) != codes.Unknown || err.Error() != "EOF" {
		t.Errorf("with the pod's own certificate: %v, want the regular end of the stream", err)
	}
}

// Somebody who shows a certificate that is no good is refused before anything is
// asked, even where none would do.
func TestBadCertificateIsRefused(t *testing.T) {
	c := startControl(t)
	stranger, err := identity.NewCA(identity.Config{TrustDomain: domain})
	if err != nil {
		t.Fatal(err)
	}
	own, err := svid(t, stranger.Source(mesh.Account{Namespace: "shop", Name: "web"}))
	if err != nil {
		t.Fatal(err)
	}
	config := identity.ClientTLS(held{own}, c.ca.Bundle(), mesh.PrincipalOf(domain, identity.XDSAccount))
	connection, err := tls.Dial("tcp", c.address, config)
	if err == nil {
		_, err = connection.Read(make([]byte, 1))
		connection.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("got %v", err)
	}
}
