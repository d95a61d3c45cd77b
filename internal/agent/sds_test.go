package agent

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/mesh"
)

const trustDomain = "cluster.local"

var ledger = mesh.Account{Namespace: "bank", Name: "ledger"}

// testWriter sends log lines to the test's own log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, nil))
}

func newCA(t *testing.T, ttl time.Duration) *identity.CA {
	t.Helper()
	ca, err := identity.NewCA(identity.Config{TrustDomain: trustDomain, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// keep runs a keeper until the test ends and waits for its first certificate.
func keep(t *testing.T, source CertificateSource) *identity.Keeper {
	t.Helper()
	keeper := identity.NewKeeper(source, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- keeper.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	bounded, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	if _, err := keeper.Wait(bounded); err != nil {
		t.Fatal(err)
	}
	return keeper
}

// serveSecrets serves a keeper's SVIDs at a Unix socket and returns a client.
func serveSecrets(t *testing.T, keeper *identity.Keeper) secretv3.SecretDiscoveryServiceClient {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "agent")
	if err := prepareDir(dir); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "agent.sock")
	listener, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, socket: 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %o", path, info.Mode(), err, want)
		}
	}
	s := newSecrets()
	if err := s.publish(keeper.Current()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := grpc.NewServer()
	s.register(ctx, server, testLogger(t))
	followed, served := make(chan error, 1), make(chan error, 1)
	go func() { followed <- s.follow(ctx, keeper) }()
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		cancel()
		server.Stop()
		if err := <-followed; err != nil {
			t.Error(err)
		}
		<-served
	})
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return secretv3.NewSecretDiscoveryServiceClient(conn)
}

func secretOf(t *testing.T, any *anypb.Any) *tlsv3.Secret {
	t.Helper()
	var secret tlsv3.Secret
	if err := any.UnmarshalTo(&secret); err != nil {
		t.Fatal(err)
	}
	return &secret
}

// checkSecret fails unless the secret is what the keeper holds.
func checkSecret(t *testing.T, secret *tlsv3.Secret, held *identity.SVID) {
	t.Helper()
	switch secret.GetName() {
	case SecretIdentity:
		pair := secret.GetTlsCertificate()
		cert, err := tls.X509KeyPair(pair.GetCertificateChain().GetInlineBytes(), pair.GetPrivateKey().GetInlineBytes())
		if err != nil {
			t.Fatal(err)
		}
		if got := cert.Leaf.SerialNumber.Text(16); got != held.Serial() {
			t.Errorf("serial %s is served; the keeper holds %s", got, held.Serial())
		}
	case SecretRoots:
		if got := secret.GetValidationContext().GetTrustedCa().GetInlineBytes(); string(got) != string(held.BundlePEM) {
			t.Errorf("the roots are\n%s", got)
		}
	default:
		t.Errorf("a secret %q", secret.GetName())
	}
}

func TestSecretsStateOfTheWorld(t *testing.T) {
	keeper := keep(t, newCA(t, 0).Source(ledger))
	client := serveSecrets(t, keeper)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream, err := client.StreamSecrets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	request := &discoveryv3.DiscoveryRequest{
		Node: &corev3.Node{Id: "bank/ledger-0"}, TypeUrl: resourcev3.SecretType, ResourceNames: []string{SecretIdentity},
	}
	for range 3 {
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.GetResources()) != 1 {
			t.Fatalf("%d secrets; want the one that was asked for", len(answer.GetResources()))
		}
		checkSecret(t, secretOf(t, answer.GetResources()[0]), keeper.Current())
		request = &discoveryv3.DiscoveryRequest{
			TypeUrl: resourcev3.SecretType, ResourceNames: request.GetResourceNames(),
			VersionInfo: answer.GetVersionInfo(), ResponseNonce: answer.GetNonce(),
		}
		renew(t, keeper)
	}
}

// renew waits until the keeper has another SVID.
func renew(t *testing.T, keeper *identity.Keeper) {
	t.Helper()
	changed := keeper.Changed()
	keeper.Renew()
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("no new certificate within 10 s")
	}
}

func TestSecretsDelta(t *testing.T) {
	ca := newCA(t, 0)
	keeper := keep(t, ca.Source(ledger))
	client := serveSecrets(t, keeper)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream, err := client.DeltaSecrets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	receive := func() []string {
		t.Helper()
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range answer.GetResources() {
			checkSecret(t, secretOf(t, r.GetResource()), keeper.Current())
			names = append(names, r.GetName())
		}
		slices.Sort(names)
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.SecretType, ResponseNonce: answer.GetNonce()}); err != nil {
			t.Fatal(err)
		}
		return names
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "bank/ledger-0"}, TypeUrl: resourcev3.SecretType,
		ResourceNamesSubscribe: []string{SecretIdentity, SecretRoots},
	}); err != nil {
		t.Fatal(err)
	}
	if names := receive(); !slices.Equal(names, []string{SecretIdentity, SecretRoots}) {
		t.Errorf("first come %q; want both", names)
	}
	renew(t, keeper)
	if names := receive(); !slices.Equal(names, []string{SecretIdentity}) {
		t.Errorf("after a rotation come %q; want the certificate alone", names)
	}
	if err := ca.Bundle().Add(newCA(t, 0).Bundle().Roots()[0]); err != nil {
		t.Fatal(err)
	}
	renew(t, keeper)
	if names := receive(); !slices.Equal(names, []string{SecretIdentity, SecretRoots}) {
		t.Errorf("after a new root come %q; want both", names)
	}
}

func TestDirectoryRefusals(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "not a directory", link: "not a directory", filepath.Join(file, "x"): "not a directory"} {
		if err := prepareDir(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want an error that says %q", path, err, want)
		}
	}
	loose := filepath.Join(dir, "loose")
	if err := os.Mkdir(loose, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := prepareDir(loose); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(loose); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v; want mode 700", info.Mode(), err)
	}
}
