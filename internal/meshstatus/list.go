package meshstatus

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/sidecar"
)

// Namespaces are the names of at most so many namespaces.
func Namespaces(ctx context.Context, cluster *kube.Cluster, most int64) ([]string, error) {
	client, err := cluster.Clientset()
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: most})
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names, nil
}

// MeshedPods are the names of the pods of a namespace that have a sidecar, among at
// most so many pods.
func MeshedPods(ctx context.Context, cluster *kube.Cluster, namespace string, most int64) ([]string, error) {
	client, err := cluster.Clientset()
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{Limit: most})
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Items {
		if sidecar.Meshed(&list.Items[i]) {
			names = append(names, list.Items[i].Name)
		}
	}
	return names, nil
}
