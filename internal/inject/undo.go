package inject

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/internal/sidecar"
)

// earlier is what a run before this one has left in the pod. The API server asks
// again when another webhook has changed the pod since.
type earlier struct {
	containers []corev1.Container
	settings   *sidecar.Settings
}

// findEarlier tells what an earlier run has left; nil where there was none. It
// believes the pod, since nothing follows from that: whoever writes such a pod by
// hand gets the mesh's own containers in place of his, and probes that he could
// have written as well.
func findEarlier(pod *corev1.Pod) *earlier {
	if _, injected := pod.Annotations[sidecar.AnnotationInjected]; !injected {
		return nil
	}
	e := &earlier{}
	for _, c := range pod.Spec.InitContainers {
		if !isContainer(c.Name) {
			continue
		}
		e.containers = append(e.containers, c)
		for _, variable := range c.Env {
			if variable.Name == sidecar.SettingsVariable && c.Name == sidecar.Container {
				e.settings, _ = sidecar.ParseSettings(variable.Value)
			}
		}
	}
	if e.settings == nil || len(e.containers) != 2 || e.containers[0].Name == e.containers[1].Name {
		return nil
	}
	return e
}

// undo takes away what an earlier run has added, so that this one sees the pod as
// its author and other webhooks have made it.
func (j *injection) undo() {
	j.earlier = findEarlier(j.pod)
	if j.earlier == nil {
		return
	}
	spec := &j.pod.Spec
	spec.InitContainers = slices.DeleteFunc(spec.InitContainers, func(c corev1.Container) bool { return isContainer(c.Name) })
	spec.Volumes = slices.DeleteFunc(spec.Volumes, func(v corev1.Volume) bool { return isVolume(v.Name) })
	for c := range j.containers() {
		for _, check := range checks(c) {
			get := *check.http
			original, known := j.earlier.settings.Probes[check.name]
			if known && get != nil && get.Path == j.earlier.settings.ProbePath(check.name) && get.Port == intstr.FromInt32(sidecar.PortProbes) {
				check.set(original)
			}
		}
	}
	j.undoScraping()
	j.undoDelay()
}

func (j *injection) undoScraping() {
	annotations := j.pod.Annotations
	if annotations[annotationScrape] != "true" || annotations[annotationPort] != strconv.Itoa(sidecar.PortMetrics) {
		return
	}
	metrics := j.earlier.settings.ApplicationMetrics
	if metrics == nil {
		delete(annotations, annotationScrape)
		delete(annotations, annotationPort)
		delete(annotations, annotationPath)
		return
	}
	annotations[annotationPort] = metrics.Port.String()
	annotations[annotationPath] = metrics.Path
	if metrics.Scheme == corev1.URISchemeHTTPS {
		annotations[annotationScheme] = "https"
	}
}

func (j *injection) undoDelay() {
	seconds, grace := j.earlier.settings.PreStopSeconds, j.pod.Spec.TerminationGracePeriodSeconds
	if seconds <= 0 || grace == nil || *grace <= seconds {
		return
	}
	shorter := *grace - seconds
	j.pod.Spec.TerminationGracePeriodSeconds = &shorter
	ours := corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}
	for i := range j.pod.Spec.Containers {
		c := &j.pod.Spec.Containers[i]
		if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
			continue
		}
		if hook := *c.Lifecycle.PreStop; *hook.Sleep == *ours.Sleep && hook.Exec == nil && hook.HTTPGet == nil && hook.TCPSocket == nil {
			c.Lifecycle.PreStop = nil
		}
	}
}
