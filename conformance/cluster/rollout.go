package cluster

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/conformance"
)

// rollOut waits until every workload of the suite runs as it was applied, and
// returns its pods as they are then.
func (t *Target) rollOut(ctx context.Context) ([]Seen, error) {
	var pods []Seen
	for _, namespace := range conformance.Namespaces() {
		err := eventually(ctx, "the workloads of "+namespace+" run", func() (string, error) {
			list, err := t.core.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return "", err
			}
			var lack []string
			for i := range list.Items {
				if l := rollingOut(&list.Items[i]); l != "" {
					lack = append(lack, l)
				}
			}
			return strings.Join(lack, "; "), nil
		})
		if err != nil {
			return nil, err
		}
		list, err := t.core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, p := range list.Items {
			pods = append(pods, Seen{"Pod", p.Namespace, p.Name, p.ResourceVersion})
		}
	}
	return pods, nil
}

// rollingOut says what a Deployment lacks, "" where it runs as it was applied.
func rollingOut(d *appsv1.Deployment) string {
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	s := d.Status
	if s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == wanted && s.Replicas == wanted && s.ReadyReplicas == wanted {
		return ""
	}
	for _, c := range s.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure {
			return fmt.Sprintf("%s: %s", d.Name, c.Message)
		}
	}
	return fmt.Sprintf("%s: %d of %d ready, %d of the last version", d.Name, s.ReadyReplicas, wanted, s.UpdatedReplicas)
}
