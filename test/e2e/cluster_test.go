//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/kube/portforward"
)

// cluster is the one that the tests run on.
type cluster struct {
	kubeconfig string
	config     *rest.Config
	client     client.Client
	core       kubernetes.Interface
	forward    *portforward.Forwards
	helmPath   string
	// chart is what Helm installs.
	chart string
	// registry and tag are those of the project's images.
	registry, tag string
	// machine is the command that stops and starts parts of the cluster (test/cluster);
	// nil where the cluster is somebody else's.
	machine []string
}

// connect reads the environment: KUBECONFIG, HELM, E2E_REGISTRY and E2E_TAG of the
// images that the cluster has, and E2E_CLUSTER.
func connect() (*cluster, error) {
	c := &cluster{
		kubeconfig: os.Getenv("KUBECONFIG"), helmPath: os.Getenv("HELM"), chart: "charts/smi",
		registry: os.Getenv("E2E_REGISTRY"), tag: os.Getenv("E2E_TAG"),
		machine: strings.Fields(os.Getenv("E2E_CLUSTER")),
	}
	if c.kubeconfig == "" || c.helmPath == "" || c.tag == "" {
		return nil, errors.New("KUBECONFIG, HELM and E2E_TAG are needed; `make e2e` sets them")
	}
	var err error
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig); err != nil {
		return nil, err
	}
	c.config.QPS, c.config.Burst = 200, 400
	if c.core, err = kubernetes.NewForConfig(c.config); err != nil {
		return nil, err
	}
	if c.client, err = client.New(c.config, client.Options{}); err != nil {
		return nil, err
	}
	c.forward, err = portforward.New(c.config)
	return c, err
}

// image is the name of one of the project's images.
func (c *cluster) image(name string) string {
	if c.registry == "" {
		return name + ":" + c.tag
	}
	return c.registry + "/" + name + ":" + c.tag
}

// helm runs Helm; the error has what it said.
func (c *cluster) helm(ctx context.Context, args ...string) (string, error) {
	return c.command(ctx, c.helmPath, args...)
}

// smi runs the project's own command line.
func (c *cluster) smi(ctx context.Context, args ...string) (string, error) {
	return c.command(ctx, filepath.Join(root(), "bin", "smi"), args...)
}

func (c *cluster) command(ctx context.Context, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	cmd.Dir = root()
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(path), strings.Join(args, " "), err, out.String(), failed.String())
	}
	return out.String(), nil
}

// root is the folder of the project.
func root() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err) // The working directory is gone.
	}
	return dir
}
