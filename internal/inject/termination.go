package inject

import (
	"fmt"
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/sidecar"
)

// defaultGraceSeconds is what Kubernetes gives a pod that says nothing.
const defaultGraceSeconds = corev1.DefaultTerminationGracePeriodSeconds

// delayTermination lets containers without a preStop hook serve on while the
// endpoints that lead to them are withdrawn. The pod's grace period grows by as
// much, so that the application has as long to stop as before.
func (j *injection) delayTermination() {
	seconds := j.preStopSeconds()
	grace := int64(defaultGraceSeconds)
	if given := j.pod.Spec.TerminationGracePeriodSeconds; given != nil {
		grace = *given
	}
	// A pod that wants to be killed at once is, and one that has a lifetime to stop
	// needs no more.
	if seconds == 0 || grace <= 0 || grace > math.MaxInt32 {
		return
	}
	added := false
	for i := range j.pod.Spec.Containers {
		c := &j.pod.Spec.Containers[i]
		if c.Lifecycle == nil {
			c.Lifecycle = &corev1.Lifecycle{}
		}
		if c.Lifecycle.PreStop == nil {
			c.Lifecycle.PreStop = &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}
			added = true
		}
	}
	if added {
		grace += seconds
		j.pod.Spec.TerminationGracePeriodSeconds = &grace
		j.settings.PreStopSeconds = seconds
	}
}

func (j *injection) preStopSeconds() int64 {
	text, set := j.pod.Annotations[sidecar.AnnotationPreStopSeconds]
	if !set {
		return j.options.PreStopSeconds
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 || seconds > maxPreStopSeconds {
		j.found.add(InvalidAnnotation, annotationField(sidecar.AnnotationPreStopSeconds), fmt.Sprintf("%q is no number from 0 to %d", text, maxPreStopSeconds))
		return 0
	}
	return seconds
}
