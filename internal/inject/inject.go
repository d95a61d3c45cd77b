package inject

import (
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/sidecar"
)

// Inject returns the pod as it is in the mesh, and the pod itself where it is not
// meant to be there. The given pod is not changed. The error is a *Refused where
// the pod should be in the mesh and cannot be; it must not start then.
func (i *Injector) Inject(namespace *corev1.Namespace, pod *corev1.Pod) (*corev1.Pod, error) {
	if namespace == nil || pod == nil {
		return nil, errors.New("sidecar injection needs a namespace and a pod")
	}
	if slices.Contains(i.options.SystemNamespaces, namespace.Name) {
		return pod, nil
	}
	found := &objections{}
	if !wanted(namespace, pod, found) {
		return pod, nil
	}
	injection := &injection{options: &i.options, namespace: namespace, pod: pod.DeepCopy(), found: found}
	injection.run()
	if len(*found) > 0 {
		return nil, &Refused{Pod: fullName(namespace, pod), Refusals: *found}
	}
	return injection.pod, nil
}

// wanted tells whether the pod is meant to be in the mesh. A label that cannot be
// understood counts as yes, and as an objection.
func wanted(namespace *corev1.Namespace, pod *corev1.Pod, found *objections) bool {
	switch label, set := pod.Labels[sidecar.LabelInject]; {
	case !set:
		return namespace.Labels[sidecar.LabelInject] == sidecar.InjectEnabled
	case label == sidecar.InjectDisabled:
		return false
	case label != sidecar.InjectEnabled:
		found.add(InvalidLabel, labelField(sidecar.LabelInject), label)
	}
	return true
}

// injection is one run over one pod.
type injection struct {
	options   *Options
	namespace *corev1.Namespace
	pod       *corev1.Pod
	found     *objections
	earlier   *earlier
	settings  sidecar.Settings
}

func (j *injection) run() {
	j.undo()
	j.checkNamespace()
	j.checkPod()
	j.checkVolumes()
	for c := range j.containers() {
		j.checkContainer(c)
	}
	j.checkNames()
	redirection := j.redirection()
	j.checkPlaintextPorts()
	if len(*j.found) > 0 {
		return
	}
	j.settings = sidecar.Settings{
		Controller: j.options.Controller, TrustDomain: j.options.TrustDomain,
		Workload: workload(j.pod), LogLevel: j.options.LogLevel,
	}
	j.rewriteProbes()
	j.rewriteScraping()
	j.delayTermination()
	j.addContainers(redirection)
	j.addVolumes()
	j.addPullSecrets()
	j.annotate(sidecar.AnnotationInjected, j.options.Version)
}

func (j *injection) addPullSecrets() {
	for _, name := range j.options.PullSecrets {
		reference := corev1.LocalObjectReference{Name: name}
		if !slices.Contains(j.pod.Spec.ImagePullSecrets, reference) {
			j.pod.Spec.ImagePullSecrets = append(j.pod.Spec.ImagePullSecrets, reference)
		}
	}
}

func (j *injection) annotate(name, value string) {
	if j.pod.Annotations == nil {
		j.pod.Annotations = map[string]string{}
	}
	j.pod.Annotations[name] = value
}

// fullName names a pod that may have no name and no namespace of its own yet.
func fullName(namespace *corev1.Namespace, pod *corev1.Pod) string {
	name := pod.Name
	if name == "" {
		name = pod.GenerateName + "*"
	}
	return shorten(namespace.Name + "/" + name)
}
