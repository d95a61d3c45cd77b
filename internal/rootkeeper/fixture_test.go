package rootkeeper

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

const system = "smi-system"

// apiServer is that of all tests of the package.
var apiServer kubetest.Shared

func TestMain(m *testing.M) { apiServer.Main(m) }

// cluster is an API server, and what the store of the replicas knows of it.
type cluster struct {
	t      *testing.T
	client kubernetes.Interface
	store  *store.Store
	log    *lockedBuffer
	secret string
	ttl    time.Duration

	mu     sync.Mutex
	dead   map[string]bool
	untold []string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	config, _ := apiServer.Start(t)
	c := &cluster{t: t, client: kubernetes.NewForConfigOrDie(config), store: store.New(), log: &lockedBuffer{}, ttl: time.Hour, dead: map[string]bool{}}
	c.namespace(system, "")
	c.namespace("shop", sidecar.InjectEnabled)
	c.namespace("other", "")
	t.Cleanup(c.clear)
	t.Cleanup(func() {
		for _, secret := range []string{"PRIVATE", "MIG", "MHc"} {
			if strings.Contains(c.log.String(), secret) {
				t.Errorf("the log has a key in it (%s)", secret)
			}
		}
	})
	return c
}

// clear removes what a test and its replicas leave in the namespaces.
func (c *cluster) clear() {
	ctx, all := context.WithoutCancel(c.t.Context()), metav1.ListOptions{}
	for _, namespace := range []string{system, "shop", "other"} {
		err := errors.Join(c.client.CoreV1().Secrets(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, all),
			c.client.CoreV1().ConfigMaps(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, all))
		if err != nil {
			c.t.Error(err)
		}
	}
}

// namespace creates or changes a namespace, in the cluster and in the store.
func (c *cluster) namespace(name, inject string) {
	c.t.Helper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if inject != "" {
		n.Labels = map[string]string{sidecar.LabelInject: inject}
	}
	if _, ok := c.store.Snapshot().Namespaces.Get("", name); !ok {
		if _, err := c.client.CoreV1().Namespaces().Create(c.t.Context(), n.DeepCopy(), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			c.t.Fatal(err)
		}
	}
	c.store.Put(n)
}

func (c *cluster) remote() *Remote { return &Remote{Client: c.client, Namespace: system} }

// replica is a running keeper.
type replica struct {
	*Keeper
	name string
	// kill ends it without a chance to tidy up.
	kill func()
}

// start runs a replica that leads, if it should.
func (c *cluster) start(name string, leads bool) *replica {
	c.t.Helper()
	k, err := New(Options{
		Client: c.client, Namespace: system, Secret: c.secret, TrustDomain: "cluster.local", TTL: c.ttl, Replica: name,
		Snapshot: c.store.Snapshot, Logger: slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Untold: func() []string {
			c.mu.Lock()
			defer c.mu.Unlock()
			return slices.Clone(c.untold)
		},
		Alive: func(replica string) bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return !c.dead[replica]
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	run := func(what func(context.Context) error) {
		running.Go(func() {
			if err := what(ctx); err != nil {
				c.t.Error(err)
			}
		})
	}
	run(k.Run)
	if leads {
		run(k.Lead)
	}
	kill := sync.OnceFunc(func() {
		cancel()
		running.Wait()
		c.mu.Lock()
		c.dead[name] = true
		c.mu.Unlock()
	})
	c.t.Cleanup(kill)
	return &replica{Keeper: k, name: name, kill: kill}
}

// ready returns the replica's CA.
func (c *cluster) ready(r *replica) *identity.CA {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	ca, err := r.CA(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return ca
}

// until waits for the leader to say that the phase is reached, and that it waits
// for something that contains the text; "" stands for nothing.
func (c *cluster) until(phase Phase, waiting string) *Status {
	c.t.Helper()
	var status *Status
	kubetest.Eventually(c.t, func(ctx context.Context) (err error) {
		if status, err = c.remote().Status(ctx); err != nil {
			return err
		}
		said := strings.Join(status.Waiting, "\n")
		if status.Phase != phase || !strings.Contains(said, waiting) || (waiting == "" && said != "") {
			return fmt.Errorf("phase %s, epoch %d, waiting for %q; want phase %s, waiting for %q", status.Phase, status.Epoch, said, phase, waiting)
		}
		return nil
	})
	return status
}

// meshedPod is a pod of the mesh with what its sidecar holds.
type meshedPod struct {
	c      *cluster
	uid    types.UID
	name   string
	key    *ecdsa.PrivateKey
	chain  []*x509.Certificate
	bundle *identity.Bundle
}

func (c *cluster) pod(name string) *meshedPod {
	c.t.Helper()
	p := &meshedPod{c: c, name: name, uid: types.UID("uid of " + name)}
	c.store.Put(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: p.uid},
		Spec:       corev1.PodSpec{InitContainers: []corev1.Container{{Name: sidecar.Container}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"},
	})
	var err error
	if p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		c.t.Fatal(err)
	}
	return p
}

// renew takes a certificate from a replica.
func (p *meshedPod) renew(from *replica) {
	p.c.t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, p.key)
	if err != nil {
		p.c.t.Fatal(err)
	}
	chain, roots, err := from.Issue(csr, mesh.Account{Namespace: "shop", Name: "default"}, p.uid)
	if err != nil {
		p.c.t.Fatal(err)
	}
	if p.chain, err = identity.ParseCertificates("chain", chain); err != nil {
		p.c.t.Fatal(err)
	}
	if p.bundle, err = identity.ParseBundle("cluster.local", roots); err != nil {
		p.c.t.Fatal(err)
	}
}

// trusts fails the test where one pod would refuse the other.
func (p *meshedPod) trusts(other *meshedPod) {
	p.c.t.Helper()
	between := x509.NewCertPool()
	for _, c := range other.chain[1:] {
		between.AddCert(c)
	}
	if _, err := other.chain[0].Verify(x509.VerifyOptions{Roots: p.bundle.Pool(), Intermediates: between}); err != nil {
		p.c.t.Errorf("%s refuses %s: %v", p.name, other.name, err)
	}
}

// allTrust fails where any of the pods would refuse another.
func allTrust(pods ...*meshedPod) {
	for _, p := range pods {
		p.c.t.Helper()
		for _, other := range pods {
			p.trusts(other)
		}
	}
}

// roots returns the text of the ConfigMap of a namespace; "" where there is none.
func (c *cluster) roots(ctx context.Context, namespace string) string {
	held, err := c.client.CoreV1().ConfigMaps(namespace).Get(ctx, sidecar.RootsConfigMap, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return held.Data[sidecar.RootsKey]
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
