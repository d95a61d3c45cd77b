package kube

import (
	"fmt"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
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

// Config returns how to reach the cluster. It does not try to.
func (c Connection) Config() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.Context}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster is known, name one with --kubeconfig, --context or $KUBECONFIG: %w", err)
	}
	// What the API server advises is meant for who wrote the objects, at build time.
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
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
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	log.SetLogger(logr.Discard())
	made, err := client.New(config, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster at %s: %w", config.Host, err)
	}
	return made, nil
}
