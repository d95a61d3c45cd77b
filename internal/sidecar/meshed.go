package sidecar

import corev1 "k8s.io/api/core/v1"

// Meshed tells whether a pod is in the mesh: it has the native sidecar. Labels
// say what was wished for, containers what was done.
func Meshed(pod *corev1.Pod) bool {
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == Container {
			return true
		}
	}
	return false
}
