package file

import (
	"fmt"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/mesh"
)

// Workload is a Deployment, ReplicaSet, StatefulSet, DaemonSet or Job and the
// Pods that stand for what a cluster would make of it. It never changes.
type Workload struct {
	Kind string
	Name mesh.Name
	// Pods are named after the workload with their number behind it, and are
	// among the objects of the Result.
	Pods []*corev1.Pod
}

// workload is what a Workload is made of once all files are known.
type workload struct {
	opts       Options
	apiVersion string
	kind       string
	meta       *metav1.ObjectMeta
	template   *corev1.PodTemplateSpec
	// first is the number of the first Pod, replicas how many there are.
	first    int
	replicas int
	// label returns labels that the kind adds to a Pod, by its number.
	label func(pod string, number int) map[string]string

	expanded *Workload
}

func newWorkload(w *workload) made {
	defaultPod(&w.template.Spec)
	return made{workload: w}
}

func noLabels(string, int) map[string]string { return nil }

func deployment(d *appsv1.Deployment, opts Options) made {
	return newWorkload(&workload{
		opts: opts, apiVersion: "apps/v1", kind: "Deployment", meta: &d.ObjectMeta,
		template: &d.Spec.Template, replicas: orOne(d.Spec.Replicas), label: noLabels,
	})
}

func replicaSet(r *appsv1.ReplicaSet, opts Options) made {
	return newWorkload(&workload{
		opts: opts, apiVersion: "apps/v1", kind: "ReplicaSet", meta: &r.ObjectMeta,
		template: &r.Spec.Template, replicas: orOne(r.Spec.Replicas), label: noLabels,
	})
}

func statefulSet(s *appsv1.StatefulSet, opts Options) made {
	w := &workload{
		opts: opts, apiVersion: "apps/v1", kind: "StatefulSet", meta: &s.ObjectMeta,
		template: &s.Spec.Template, replicas: orOne(s.Spec.Replicas),
		label: func(pod string, number int) map[string]string {
			return map[string]string{appsv1.StatefulSetPodNameLabel: pod, appsv1.PodIndexLabel: strconv.Itoa(number)}
		},
	}
	if s.Spec.Ordinals != nil {
		w.first = int(s.Spec.Ordinals.Start)
	}
	return newWorkload(w)
}

// daemonSet has one Pod, as on a cluster of one node.
func daemonSet(s *appsv1.DaemonSet, opts Options) made {
	return newWorkload(&workload{
		opts: opts, apiVersion: "apps/v1", kind: "DaemonSet", meta: &s.ObjectMeta,
		template: &s.Spec.Template, replicas: 1, label: noLabels,
	})
}

// job has the Pods that it would begin with.
func job(j *batchv1.Job, opts Options) made {
	replicas := orOne(j.Spec.Parallelism)
	if j.Spec.Completions != nil {
		replicas = min(replicas, int(*j.Spec.Completions))
	}
	if j.Spec.Suspend != nil && *j.Spec.Suspend {
		replicas = 0
	}
	return newWorkload(&workload{
		opts: opts, apiVersion: "batch/v1", kind: "Job", meta: &j.ObjectMeta,
		template: &j.Spec.Template, replicas: replicas,
		label: func(string, int) map[string]string { return map[string]string{batchv1.JobNameLabel: j.Name} },
	})
}

func orOne(n *int32) int {
	if n == nil {
		return 1
	}
	return int(*n)
}

// expand makes the Pods; again the same ones when it is called again.
func (w *workload) expand() *Workload {
	if w.expanded != nil {
		return w.expanded
	}
	w.expanded = &Workload{Kind: w.kind, Name: mesh.Name{Namespace: w.meta.Namespace, Name: w.meta.Name}}
	for i := range w.replicas {
		w.expanded.Pods = append(w.expanded.Pods, w.pod(w.first+i))
	}
	return w.expanded
}

// pod shares the template's parts, which nobody modifies.
func (w *workload) pod(number int) *corev1.Pod {
	controller := true
	name := fmt.Sprintf("%s-%d", w.meta.Name, number)
	p := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.meta.Namespace, Name: name, Labels: w.template.Labels, Annotations: w.template.Annotations,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: w.apiVersion, Kind: w.kind, Name: w.meta.Name, UID: w.meta.UID, Controller: &controller}},
		},
		Spec:   w.template.Spec,
		Status: podStatus(corev1.PodStatus{}, w.opts),
	}
	if added := w.label(name, number); added != nil {
		maps.Copy(added, w.template.Labels)
		p.Labels = added
	}
	return p
}

// defaultPod sets what a cluster would, of what the mesh depends on.
func defaultPod(spec *corev1.PodSpec) {
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = spec.DeprecatedServiceAccount
	}
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = "default"
	}
	if spec.RestartPolicy == "" {
		spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			for j := range containers[i].Ports {
				orTCP(&containers[i].Ports[j].Protocol)
			}
		}
	}
}

// podStatus is that of a Pod where no kubelet runs. Offline every Pod that has
// not ended is taken to be ready; otherwise the runtime tells.
func podStatus(written corev1.PodStatus, opts Options) corev1.PodStatus {
	switch {
	case !opts.Offline:
		return corev1.PodStatus{}
	case written.Phase == corev1.PodSucceeded || written.Phase == corev1.PodFailed:
		return corev1.PodStatus{Phase: written.Phase}
	default:
		return corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	}
}

func pod(p *corev1.Pod, opts Options) made {
	defaultPod(&p.Spec)
	p.Status = podStatus(p.Status, opts)
	return made{object: p}
}

func service(s *corev1.Service) made {
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		orTCP(&port.Protocol)
		if port.TargetPort == (intstr.IntOrString{}) {
			port.TargetPort = intstr.FromInt32(port.Port)
		}
	}
	return made{object: s}
}

func orTCP(p *corev1.Protocol) {
	if *p == "" {
		*p = corev1.ProtocolTCP
	}
}
