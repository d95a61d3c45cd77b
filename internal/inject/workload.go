package inject

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/sidecar"
)

// workload names what the pod belongs to: the Deployment rather than its
// ReplicaSet, and nothing where the pod stands alone.
func workload(pod *corev1.Pod) string {
	_, name := sidecar.Owner(pod)
	return name
}
