package sidecar

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hashLabel is on the pods of a Deployment; its value ends their ReplicaSet's name.
const hashLabel = "pod-template-hash"

// Owner is the kind and the name of what a pod belongs to: of the Deployment rather
// than its ReplicaSet. They are empty where the pod stands alone.
func Owner(pod *corev1.Pod) (kind, name string) {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return "", ""
	}
	if hash := pod.Labels[hashLabel]; hash != "" && owner.Kind == "ReplicaSet" {
		return "Deployment", strings.TrimSuffix(owner.Name, "-"+hash)
	}
	return owner.Kind, owner.Name
}
