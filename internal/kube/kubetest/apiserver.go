package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// assets is the variable that names the folder with kube-apiserver and etcd.
const assets = "KUBEBUILDER_ASSETS"

// errNoAssets tells how to get an API server.
var errNoAssets = errors.New(assets + " does not name a folder with kube-apiserver and etcd; make test sets it, and by hand: " +
	"export " + assets + "=$(cd test/cluster && go run . assets)")

// Start starts an API server that ends with the test, and returns how an
// administrator reaches it.
func Start(t testing.TB) *rest.Config {
	t.Helper()
	config, _ := StartWithKey(t)
	return config
}

// StartWithKey is Start, and returns as well the file with the private key that
// the server signs tokens of ServiceAccounts with.
func StartWithKey(t testing.TB) (config *rest.Config, keyFile string) {
	t.Helper()
	server, config, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	return config, keyOf(server)
}

func start() (*envtest.Environment, *rest.Config, error) {
	if os.Getenv(assets) == "" {
		return nil, nil, errNoAssets
	}
	log.SetLogger(logr.Discard())
	server := &envtest.Environment{}
	config, err := server.Start()
	if err != nil {
		return nil, nil, fmt.Errorf("start an API server: %w", err)
	}
	config.QPS, config.Burst = -1, -1
	config.WarningHandler = rest.NoWarnings{}
	return server, config, nil
}

func keyOf(server *envtest.Environment) string {
	return filepath.Join(server.ControlPlane.GetAPIServer().CertDir, "sa-signer.key")
}

// Client returns a client of an API server.
func Client(t testing.TB, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatalf("a client of the API server: %v", err)
	}
	return c
}

// Kubeconfig writes a file that leads to an API server, and returns its path.
func Kubeconfig(t testing.TB, config *rest.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"test": {
			ClientCertificateData: config.CertData, ClientKeyData: config.KeyData,
			Impersonate: config.Impersonate.UserName, ImpersonateGroups: config.Impersonate.Groups,
		}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}, path)
	if err != nil {
		t.Fatalf("write a kubeconfig: %v", err)
	}
	return path
}

// As returns how a ServiceAccount reaches the API server.
func As(config *rest.Config, namespace, account string) *rest.Config {
	own := rest.CopyConfig(config)
	own.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + account,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return own
}

// patience is how long a test waits for what comes a moment later.
const patience = 10 * time.Second

// Eventually tries until there is no error any more.
func Eventually(t testing.TB, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("after %s: %v", patience, last)
	}
}
