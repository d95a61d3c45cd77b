package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/conformance"
)

// rollOut waits until every workload of the suite runs as it was applied and nothing
// is left of what was before it, and notes its pods as they are then, and those that
// have gone. A pod that is being ended still has its account, so it counts as long as
// it is there.
func (t *Target) rollOut(ctx context.Context) error {
	pods := map[string][]Seen{}
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
			living, ending, err := t.podsIn(ctx, namespace)
			if err != nil {
				return "", err
			}
			pods[namespace] = living
			return strings.Join(append(lack, ending...), "; "), nil
		})
		if err != nil {
			return err
		}
	}
	t.notePods(slices.Concat(slices.Collect(maps.Values(pods))...))
	return nil
}

// notePods notes the pods that are there, and those that were at the last look and
// are not any more.
func (t *Target) notePods(living []Seen) {
	for p := range t.pods {
		t.unsettled.note(p)
	}
	t.pods = map[Seen]bool{}
	for _, p := range living {
		t.unsettled.note(p)
		p.ResourceVersion = ""
		t.pods[p] = true
	}
}

// podsIn returns the pods of a namespace, and what is to be said of those that end.
func (t *Target) podsIn(ctx context.Context, namespace string) (living []Seen, ending []string, err error) {
	list, err := t.core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	for _, p := range list.Items {
		if p.DeletionTimestamp != nil {
			ending = append(ending, p.Name+" is still there")
			continue
		}
		living = append(living, Seen{"Pod", p.Namespace, p.Name, p.ResourceVersion})
	}
	return living, ending, nil
}

// rollingOut says what a Deployment lacks, "" where it runs as it was applied.
func rollingOut(d *appsv1.Deployment) string {
	if d.DeletionTimestamp != nil {
		return d.Name + " is still there"
	}
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
