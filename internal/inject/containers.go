package inject

import (
	"fmt"
	"iter"

	corev1 "k8s.io/api/core/v1"
)

// container is one of the pod's own containers and where it stands.
type container struct {
	*corev1.Container
	// field is its path, such as spec.containers[0].
	field string
	// init tells an init container, which has no probes unless it restarts always.
	init bool
}

// containers are the pod's own, init containers first. Those of the mesh are not
// among them, as an injection takes them away before it looks.
func (j *injection) containers() iter.Seq[container] {
	return func(yield func(container) bool) {
		spec := &j.pod.Spec
		for i := range spec.InitContainers {
			if !yield(container{&spec.InitContainers[i], fmt.Sprintf("spec.initContainers[%d]", i), true}) {
				return
			}
		}
		for i := range spec.Containers {
			if !yield(container{&spec.Containers[i], fmt.Sprintf("spec.containers[%d]", i), false}) {
				return
			}
		}
	}
}

// portNamed returns the number of the container's port of that name.
func portNamed(c *corev1.Container, name string) (int32, bool) {
	for _, port := range c.Ports {
		if name != "" && port.Name == name {
			return port.ContainerPort, true
		}
	}
	return 0, false
}
