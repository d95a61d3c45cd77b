package controller

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/source/kube"
)

const (
	system  = "smi-system"
	account = "smi-controller"
	// patience is how long a test waits for what takes a moment.
	patience = 20 * time.Second
)

// cluster is an API server as the chart leaves it, without the controller.
type cluster struct {
	t      *testing.T
	config *rest.Config
	client.Client
}

// newCluster starts an API server with the controller's namespace, account and
// permissions, which are those of config/rbac and no others.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(kube.AddToScheme(scheme))
	c := &cluster{t: t, config: kubetest.Start(t)}
	var err error
	if c.Client, err = client.New(c.config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	c.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}})
	role, clusterRole := &rbacv1.Role{}, &rbacv1.ClusterRole{}
	c.read("role.yaml", role)
	c.read("cluster-role.yaml", clusterRole)
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: system, Name: account}}
	c.create(role, clusterRole,
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: account}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: account}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole.Name},
		})
	return c
}

func (c *cluster) read(name string, into client.Object) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join("../../config/rbac", name))
	if err == nil {
		err = yaml.UnmarshalStrict(text, into)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) create(objects ...client.Object) {
	c.t.Helper()
	for _, o := range objects {
		if err := c.Create(context.Background(), o); err != nil {
			c.t.Fatalf("create %T %s/%s: %v", o, o.GetNamespace(), o.GetName(), err)
		}
	}
}

// installCRDs installs the definitions of SMI.
func (c *cluster) installCRDs() {
	c.t.Helper()
	if _, err := envtest.InstallCRDs(c.config, envtest.CRDInstallOptions{Paths: []string{"../../config/crd"}, ErrorIfPathMissing: true}); err != nil {
		c.t.Fatal(err)
	}
}

// namespace creates a namespace with an account for its pods, which nobody else
// makes here.
func (c *cluster) namespace(name string, labels map[string]string) {
	c.t.Helper()
	c.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "default"}})
}

// replica is a running controller.
type replica struct {
	*Controller
	name string
	stop func()
}

// start runs a controller with the permissions of the controller's account, and
// returns when it is ready.
func (c *cluster) start(name string) *replica {
	c.t.Helper()
	r := c.launch(name)
	kubetest.Eventually(c.t, func(ctx context.Context) error { return r.probe(ctx, "/readyz") })
	return r
}

// launch runs a controller.
func (c *cluster) launch(name string) *replica {
	c.t.Helper()
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(c.t.Output(), &slog.HandlerOptions{Level: level})).With("replica", name)
	settings := config.Default()
	settings.Image.Tag = "test"
	made, err := New(Options{
		Config: settings, Cluster: kubetest.As(c.config, system, account), Namespace: system, Replica: name,
		LeaderElection: true, Version: "test", Logger: log, Registry: prometheus.NewRegistry(),
		Addresses: Addresses{Control: free(c.t), Webhook: free(c.t), Metrics: "0", Health: free(c.t), Debug: free(c.t)},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- made.Run(ctx) }()
	r := &replica{Controller: made, name: name}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				c.t.Errorf("replica %s: %v", name, err)
			}
		case <-time.After(30 * time.Second):
			c.t.Errorf("replica %s does not end", name)
		}
	}
	c.t.Cleanup(r.stop)
	return r
}

// probe asks the health port.
func (r *replica) probe(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.options.Addresses.Health+path+"?verbose", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s: %s: %s; ready: %w", path, response.Status, strings.TrimSpace(string(text)), r.ready())
	}
	return nil
}

// free is an address of loopback that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
