package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCounts chooses the pods whose sidecars are asked for their counts.
func TestCounts(t *testing.T) {
	sidecar := corev1.Container{Name: "proxy", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}
	now := metav1.Now()
	pod := func(started bool, deleted *metav1.Time, containers ...corev1.Container) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: deleted}, Spec: corev1.PodSpec{InitContainers: containers},
			Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{Name: "proxy", Started: &started}}},
		}
	}
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"it runs":           {pod(true, nil, sidecar), true},
		"it starts":         {pod(false, nil, sidecar), false},
		"it ends":           {pod(true, &now, sidecar), false},
		"it has no sidecar": {pod(true, nil, corev1.Container{Name: "proxy"}), false},
		"nothing is known":  {&corev1.Pod{Spec: corev1.PodSpec{InitContainers: []corev1.Container{sidecar}}}, false},
	} {
		if got := counts(test.pod); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
