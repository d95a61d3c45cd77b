package kube

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Connection says which cluster is meant. The zero Connection is what kubectl
// would take: $KUBECONFIG, ~/.kube/config, or the cluster that the process runs in.
type Connection struct {
	// Kubeconfig is the path of a file.
	Kubeconfig string
	// Context is one of the file's contexts; the current one if empty.
	Context string
}

// Cluster is the cluster that a Connection means.
type Cluster struct {
	Config *rest.Config
	// Context is the name of the context; empty for the cluster that the process
	// runs in.
	Context string
	// Namespace is the context's; "default" where it has none.
	Namespace string
}

// Name is how people are told which cluster it is.
func (c *Cluster) Name() string { return cmp.Or(c.Context, c.Config.Host) }

// Clientset returns a client of the kinds of Kubernetes that keeps nothing in memory.
func (c *Cluster) Clientset() (kubernetes.Interface, error) {
	made, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster at %s: %w", c.Config.Host, err)
	}
	return made, nil
}

// Client returns a client that keeps nothing in memory.
func (c *Cluster) Client() (client.Client, error) {
	made, err := client.New(c.Config, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster at %s: %w", c.Config.Host, err)
	}
	return made, nil
}

func (c Connection) loader() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.Context}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
}

// Cluster returns how to reach the cluster. It does not try to.
func (c Connection) Cluster() (*Cluster, error) {
	loader := c.loader()
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("no cluster is known, name one with --kubeconfig, --context or $KUBECONFIG")
	}
	if err != nil {
		return nil, fmt.Errorf("no cluster is known, name one with --kubeconfig, --context or $KUBECONFIG: %w", err)
	}
	// What the API server advises is meant for who wrote the objects, at build time,
	// and what the libraries log is not for who reads an answer.
	config.WarningHandler = rest.NoWarnings{}
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, err
	}
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, err
	}
	return &Cluster{Config: config, Context: cmp.Or(c.Context, raw.CurrentContext), Namespace: namespace}, nil
}

// Config returns how to reach the cluster. It does not try to.
func (c Connection) Config() (*rest.Config, error) {
	cluster, err := c.Cluster()
	if err != nil {
		return nil, err
	}
	return cluster.Config, nil
}

// Clientset returns a client with a method for every kind of Kubernetes' own.
func (c Connection) Clientset() (kubernetes.Interface, error) {
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// Client returns a client of the cluster that keeps nothing in memory.
func (c Connection) Client() (client.Client, error) {
	cluster, err := c.Cluster()
	if err != nil {
		return nil, err
	}
	return cluster.Client()
}

// Contexts are the names of all contexts, sorted; none where no file can be read.
func (c Connection) Contexts() []string {
	raw, err := c.loader().RawConfig()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(raw.Contexts))
}
