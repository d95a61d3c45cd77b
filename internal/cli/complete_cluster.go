package cli

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/meshstatus"
)

// Bounds of what a shell waits for, and shows.
const (
	completionTime = 2 * time.Second
	completionMost = 200
)

// completeFlag tells shells how a flag is completed.
func completeFlag(cmd *cobra.Command, name string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(name, complete); err != nil {
		panic(err) // the flag does not exist, or is completed already
	}
}

// completeContexts offers the contexts of the kubeconfig.
func completeContexts(c *kube.Connection) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return kube.Connection{Kubeconfig: c.Kubeconfig}.Contexts(), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNamespaces offers the namespaces of the cluster.
func completeNamespaces(c *kube.Connection) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return completions(cmd.Context(), c, begun, func(ctx context.Context, cluster *kube.Cluster) ([]string, error) {
			return meshstatus.Namespaces(ctx, cluster, completionMost)
		})
	}
}

// completePods offers the meshed pods of a namespace, as the first argument.
func completePods(c *kube.Connection, namespace *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completions(cmd.Context(), c, begun, func(ctx context.Context, cluster *kube.Cluster) ([]string, error) {
			return meshstatus.MeshedPods(ctx, cluster, cmp.Or(*namespace, cluster.Namespace), completionMost)
		})
	}
}

// completions asks a cluster, for a moment. A shell shows no errors.
func completions(ctx context.Context, c *kube.Connection, begun string, ask func(context.Context, *kube.Cluster) ([]string, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	cluster, err := c.Cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	all, err := ask(ctx, cluster)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var fitting []cobra.Completion
	for _, name := range all {
		if strings.HasPrefix(name, begun) {
			fitting = append(fitting, name)
		}
	}
	return fitting, cobra.ShellCompDirectiveNoFileComp
}
