package inject

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hashLabel is on the pods of a Deployment; its value ends their ReplicaSet's name.
const hashLabel = "pod-template-hash"

// workload names what the pod belongs to: the Deployment rather than its
// ReplicaSet, and nothing where the pod stands alone.
func workload(pod *corev1.Pod) string {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return ""
	}
	if hash := pod.Labels[hashLabel]; hash != "" && owner.Kind == "ReplicaSet" {
		return strings.TrimSuffix(owner.Name, "-"+hash)
	}
	return owner.Name
}
