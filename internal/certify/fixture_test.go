package certify_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/smi-project/smi/internal/certify"
	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

const domain = "cluster.local"

// apiServer is that of all tests of the package.
var apiServer kubetest.Shared

func TestMain(m *testing.M) { apiServer.Main(m) }

// control is a control plane on its one port, with an API server behind it.
type control struct {
	t       *testing.T
	client  kubernetes.Interface
	keyFile string
	store   *store.Store
	ca      *identity.CA
	address string
	log     *lockedBuffer
	// used are the tokens that were used, none of which may be in the log.
	used []string
}

func startControl(t *testing.T) *control {
	t.Helper()
	config, keyFile := apiServer.Start(t)
	c := &control{t: t, client: kubernetes.NewForConfigOrDie(config), keyFile: keyFile, store: store.New(), log: &lockedBuffer{}}
	var err error
	if c.ca, err = identity.NewCA(identity.Config{TrustDomain: domain}); err != nil {
		t.Fatal(err)
	}
	server := certify.New(certify.Config{
		Issuer:   issuer(c.ca),
		Reviewer: certify.NewTokenReviews(c.client.AuthenticationV1().TokenReviews()),
		Pod:      func(namespace, name string) (*corev1.Pod, bool) { return c.store.Snapshot().Pods.Get(namespace, name) },
		Logger:   c.logger(),
	})
	c.address = c.serve(server)
	for _, namespace := range []string{"shop", "bank"} {
		if _, err := c.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		for _, account := range []string{"web", "ledger"} {
			if _, err := c.client.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			now := int64(0)
			err := c.client.CoreV1().Pods(namespace).DeleteCollection(context.WithoutCancel(t.Context()), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		for _, token := range c.used {
			if log := c.log.String(); strings.Contains(log, token) || strings.Contains(log, token[strings.LastIndexByte(token, '.')+1:]) {
				t.Error("a token is in the log")
			}
		}
	})
	return c
}

func issuer(ca *identity.CA) certify.Issuer {
	return certify.IssuerFunc(func(csr []byte, account mesh.Account, _ types.UID) ([]byte, []byte, error) {
		chain, _, err := ca.Sign(csr, account)
		return chain, ca.Bundle().PEM(), err
	})
}

func (c *control) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// serve runs the control plane with the service beside xDS.
func (c *control) serve(server *certify.Server) string {
	c.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	plane := controlplane.New(controlplane.Config{
		Store: c.store, CA: c.ca, Compile: compile.Config{TrustDomain: domain}, Render: envoy.Options{TrustDomain: domain},
		Place:  func(mesh.Name) (envoy.Placement, bool) { return envoy.Placement{}, false },
		Beside: func(r grpc.ServiceRegistrar) { server.Register(r) }, Logger: c.logger(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- plane.Run(ctx, listener) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Error(err)
		}
	})
	return listener.Addr().String()
}

// pod creates a meshed pod in the cluster, and tells the store.
func (c *control) pod(namespace, name, account string) *corev1.Pod {
	c.t.Helper()
	made, err := c.client.CoreV1().Pods(namespace).Create(c.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: account,
			InitContainers:     []corev1.Container{{Name: sidecar.Container, Image: "proxy"}},
			Containers:         []corev1.Container{{Name: "app", Image: "app"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.store.Put(made)
	return made
}

func (c *control) deletePod(pod *corev1.Pod) {
	c.t.Helper()
	var now int64
	if err := c.client.CoreV1().Pods(pod.Namespace).Delete(c.t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		c.t.Fatal(err)
	}
}

// token is what the kubelet would project into the pod.
func (c *control) token(pod *corev1.Pod) string { return c.tokenFor(pod, sidecar.TokenAudience) }

func (c *control) tokenFor(pod *corev1.Pod, audience string) string {
	c.t.Helper()
	return c.request(pod.Namespace, pod.Spec.ServiceAccountName, audience, &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID})
}

func (c *control) request(namespace, account, audience string, bound *authenticationv1.BoundObjectReference) string {
	c.t.Helper()
	seconds := int64(sidecar.TokenSeconds)
	answer, err := c.client.CoreV1().ServiceAccounts(namespace).CreateToken(c.t.Context(), account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &seconds, BoundObjectRef: bound},
	}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.used = append(c.used, answer.Status.Token)
	return answer.Status.Token
}

// forge signs a token anew, with the server's own key or another one, after a
// change of what it says.
func (c *control) forge(token string, key *ecdsa.PrivateKey, change func(claims map[string]any)) string {
	c.t.Helper()
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		c.t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(raw, &claims); err != nil {
		c.t.Fatal(err)
	}
	change(claims)
	if raw, err = json.Marshal(claims); err != nil {
		c.t.Fatal(err)
	}
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(signed))
	a, b, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		c.t.Fatal(err)
	}
	signature := append(a.FillBytes(make([]byte, 32)), b.FillBytes(make([]byte, 32))...)
	forged := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	c.used = append(c.used, forged)
	return forged
}

// serverKey is the key that the API server signs tokens with.
func (c *control) serverKey() *ecdsa.PrivateKey {
	c.t.Helper()
	text, err := os.ReadFile(c.keyFile)
	if err != nil {
		c.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		c.t.Fatal(err)
	}
	return key.(*ecdsa.PrivateKey)
}

// agent is a client with the files that a pod has.
func (c *control) agent(token string) *certify.Client {
	c.t.Helper()
	dir := c.t.TempDir()
	client := &certify.Client{Address: c.address, TrustDomain: domain, TokenPath: filepath.Join(dir, "token"), RootsPath: filepath.Join(dir, "roots.pem")}
	write(c.t, client.TokenPath, []byte(token+"\n"))
	write(c.t, client.RootsPath, c.ca.Bundle().PEM())
	return client
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// svid gets a certificate as an agent does.
func svid(t *testing.T, source identity.CertificateSource) (*identity.SVID, error) {
	t.Helper()
	keeper := identity.NewKeeper(source, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- keeper.Run(ctx) }()
	var got *identity.SVID
	for got == nil {
		changed := keeper.Changed()
		held, err := keeper.State()
		if err != nil {
			return nil, err
		}
		if got = held; got != nil {
			break
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	cancel()
	return got, <-done
}

// clone returns a pod that was changed.
func clone(pod *corev1.Pod, change func(*corev1.Pod)) *corev1.Pod {
	changed := pod.DeepCopy()
	changed.Labels = maps.Clone(changed.Labels)
	change(changed)
	return changed
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}
