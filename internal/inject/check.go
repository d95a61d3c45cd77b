package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/sidecar"
)

const (
	labelPodSecurity    = "pod-security.kubernetes.io/enforce"
	labelOS             = "kubernetes.io/os"
	annotationMirrorPod = corev1.MirrorPodAnnotationKey
)

// dangerous are the capabilities with which a container could undo the
// redirection (the first five), or send past it (NET_RAW).
var dangerous = []string{"ALL", "NET_ADMIN", "SYS_ADMIN", "SYS_MODULE", "BPF", "NET_RAW"}

// checkNamespace objects to levels that forbid the init container. Of the levels
// only privileged does not; one that is unknown counts as the strictest.
func (j *injection) checkNamespace() {
	if level, set := j.namespace.Labels[labelPodSecurity]; set && level != "privileged" {
		j.found.add(PodSecurity, "namespace metadata.labels["+labelPodSecurity+"]", level)
	}
}

// checkPod objects to what concerns the pod as a whole.
func (j *injection) checkPod() {
	spec := &j.pod.Spec
	if spec.HostNetwork {
		j.found.add(HostNetwork, "spec.hostNetwork", "")
	}
	if spec.HostPID {
		j.found.add(HostPID, "spec.hostPID", "")
	}
	if spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace {
		j.found.add(ShareProcessNamespace, "spec.shareProcessNamespace", "")
	}
	if _, mirror := j.pod.Annotations[annotationMirrorPod]; mirror {
		j.found.add(StaticPod, annotationField(annotationMirrorPod), "")
	}
	if spec.OS != nil && spec.OS.Name == corev1.Windows {
		j.found.add(Windows, "spec.os.name", "")
	}
	if spec.NodeSelector[labelOS] == string(corev1.Windows) {
		j.found.add(Windows, "spec.nodeSelector["+labelOS+"]", "")
	}
	if context := spec.SecurityContext; context != nil {
		j.checkUser("spec.securityContext.runAsUser", context.RunAsUser)
		j.checkUser("spec.securityContext.runAsGroup", context.RunAsGroup)
	}
	for i, c := range spec.EphemeralContainers {
		common := corev1.Container(c.EphemeralContainerCommon)
		j.checkContainer(container{&common, fmt.Sprintf("spec.ephemeralContainers[%d]", i), false})
	}
}

func (j *injection) checkUser(field string, id *int64) {
	if id != nil && *id == sidecar.UserID {
		j.found.add(SidecarUser, field, fmt.Sprint(sidecar.UserID))
	}
}

// checkVolumes objects to volumes that are named as the mesh's, and to tokens
// with which the application could act as the sidecar.
func (j *injection) checkVolumes() {
	for i, volume := range j.pod.Spec.Volumes {
		field := fmt.Sprintf("spec.volumes[%d]", i)
		if isVolume(volume.Name) {
			j.found.add(SidecarName, field+".name", volume.Name)
		}
		if volume.Projected == nil {
			continue
		}
		for k, source := range volume.Projected.Sources {
			if token := source.ServiceAccountToken; token != nil && token.Audience == sidecar.TokenAudience {
				j.found.add(SidecarToken, fmt.Sprintf("%s.projected.sources[%d].serviceAccountToken.audience", field, k), token.Audience)
			}
		}
	}
}

// checkContainer objects to what a container must not be, have or do.
func (j *injection) checkContainer(c container) {
	if isContainer(c.Name) {
		j.found.add(SidecarName, c.field+".name", c.Name)
	}
	for i, mount := range c.VolumeMounts {
		if isVolume(mount.Name) {
			j.found.add(SidecarVolume, fmt.Sprintf("%s.volumeMounts[%d].name", c.field, i), mount.Name)
		}
	}
	for i, port := range c.Ports {
		if port.Protocol != corev1.ProtocolUDP && port.Protocol != corev1.ProtocolSCTP && isReserved(port.ContainerPort) {
			j.found.add(SidecarPort, fmt.Sprintf("%s.ports[%d].containerPort", c.field, i), fmt.Sprint(port.ContainerPort))
		}
	}
	context := c.SecurityContext
	if context == nil {
		return
	}
	field := c.field + ".securityContext"
	if context.Privileged != nil && *context.Privileged {
		j.found.add(Privileged, field+".privileged", "")
	}
	j.checkUser(field+".runAsUser", context.RunAsUser)
	j.checkUser(field+".runAsGroup", context.RunAsGroup)
	if context.Capabilities == nil {
		return
	}
	for i, capability := range context.Capabilities.Add {
		// Runtimes take names in any case, and some with the kernel's prefix.
		name := strings.TrimPrefix(strings.ToUpper(string(capability)), "CAP_")
		if slices.Contains(dangerous, name) {
			j.found.add(Capability, fmt.Sprintf("%s.capabilities.add[%d]", field, i), string(capability))
		}
	}
}

// checkNames objects to containers of one name: their probes could not be told
// apart, and Kubernetes refuses them as well.
func (j *injection) checkNames() {
	seen := map[string]bool{}
	for c := range j.containers() {
		if seen[c.Name] {
			j.found.add(DuplicateName, c.field+".name", c.Name)
		}
		seen[c.Name] = true
	}
}

func isContainer(name string) bool {
	return name == sidecar.Container || name == sidecar.RedirectContainer
}

func isVolume(name string) bool {
	return name == sidecar.VolumeRun || name == sidecar.VolumeToken || name == sidecar.VolumeRoots
}

func isReserved(port int32) bool {
	return slices.ContainsFunc(sidecar.ReservedPorts, func(reserved uint16) bool { return int32(reserved) == port })
}

func annotationField(name string) string { return "metadata.annotations[" + name + "]" }

func labelField(name string) string { return "metadata.labels[" + name + "]" }
