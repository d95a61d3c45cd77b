package cli

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// clusterFlags say which cluster is meant, as kubectl's do.
type clusterFlags struct{ kubeconfig, context string }

func (c *clusterFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "`FILE` with how to reach the cluster; $KUBECONFIG and ~/.kube/config otherwise")
	flags.StringVar(&c.context, "context", "", "`NAME` of the context in it; the current one otherwise")
}

// load returns how to reach the cluster, and the name of the context that says so.
func (c *clusterFlags) load() (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context})
	reached, err := config.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("no cluster: %w; say which with --kubeconfig and --context", err)
	}
	raw, err := config.RawConfig()
	if err != nil {
		return nil, "", err
	}
	name := c.context
	if name == "" {
		name = raw.CurrentContext
	}
	return reached, name, nil
}
