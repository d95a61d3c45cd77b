package inject

import (
	"fmt"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/internal/sidecar"
)

// Fields that the API server would fill in are written out throughout this file:
// what comes back from it in a second run then equals what is made here.

// maxSettings bounds the settings, well below the 128 KiB that Linux gives a
// variable.
const maxSettings = 100 << 10

// addContainers puts the two containers of the mesh before all others, so that
// the application's init containers are in the mesh too.
func (j *injection) addContainers(r sidecar.Redirection) {
	settings, err := j.settings.Encode()
	if err != nil || len(settings) > maxSettings {
		j.found.add(TooLarge, "spec.containers", fmt.Sprintf("have probes of %d bytes", len(settings)))
		return
	}
	ours := []corev1.Container{j.redirectContainer(r), j.proxyContainer(settings)}
	j.earlier.keep(ours)
	j.pod.Spec.InitContainers = append(ours, j.pod.Spec.InitContainers...)
}

// redirectContainer redirects the pod's traffic and ends. It is root with the one
// capability that this takes, and may write nothing.
func (j *injection) redirectContainer(r sidecar.Redirection) corev1.Container {
	c := j.baseContainer(sidecar.RedirectContainer, r.Args())
	c.SecurityContext = restricted(0)
	c.SecurityContext.RunAsNonRoot = new(false)
	c.SecurityContext.Capabilities.Add = []corev1.Capability{"NET_ADMIN"}
	return c
}

// proxyContainer is the sidecar itself. Restarting always, it starts before the
// containers after it and ends after the application. They wait for its startup
// probe, and so never send anything before it can be carried.
func (j *injection) proxyContainer(settings string) corev1.Container {
	c := j.baseContainer(sidecar.Container, []string{"agent"})
	c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	c.SecurityContext = restricted(sidecar.UserID)
	c.SecurityContext.RunAsGroup = new(int64(sidecar.UserID))
	c.SecurityContext.RunAsNonRoot = new(true)
	c.Env = []corev1.EnvVar{
		downward(sidecar.VariableNamespace, "metadata.namespace"),
		downward(sidecar.VariablePod, "metadata.name"),
		downward(sidecar.VariableAccount, "spec.serviceAccountName"),
		downward(sidecar.VariableAddresses, "status.podIPs"),
		{Name: sidecar.SettingsVariable, Value: settings},
	}
	c.Ports = []corev1.ContainerPort{{Name: "smi-metrics", ContainerPort: sidecar.PortMetrics, Protocol: corev1.ProtocolTCP}}
	c.StartupProbe = ready(1, 600)
	c.ReadinessProbe = ready(2, 3)
	// The hook runs as soon as the pod begins to end, while the container itself is
	// told to when the application has ended.
	c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
		Exec: &corev1.ExecAction{Command: []string{sidecar.ProgramPath, "agent", sidecar.DrainCommand}},
	}}
	c.VolumeMounts = []corev1.VolumeMount{
		{Name: sidecar.VolumeRun, MountPath: sidecar.RunDir},
		{Name: sidecar.VolumeToken, MountPath: path.Dir(sidecar.TokenPath), ReadOnly: true},
		{Name: sidecar.VolumeRoots, MountPath: path.Dir(sidecar.RootsPath), ReadOnly: true},
	}
	return c
}

// baseContainer is what both containers have in common. They have the same
// resources: the first one's then never ask for more than the second one's, and
// both keep the pod in its class of service.
func (j *injection) baseContainer(name string, arguments []string) corev1.Container {
	return corev1.Container{
		Name:                     name,
		Image:                    j.options.Image,
		ImagePullPolicy:          j.options.PullPolicy,
		Args:                     arguments,
		Resources:                *j.options.Resources.DeepCopy(),
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

// restricted is the context of a container that can do nothing.
func restricted(user int64) *corev1.SecurityContext {
	return &corev1.SecurityContext{
		RunAsUser:                &user,
		Privileged:               new(false),
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func downward(name, field string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: field},
	}}
}

func ready(period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/ready", Port: intstr.FromInt32(sidecar.PortHealth), Scheme: corev1.URISchemeHTTP,
		}},
		TimeoutSeconds: 1, PeriodSeconds: period, SuccessThreshold: 1, FailureThreshold: failures,
	}
}

// keep leaves in the containers what others may have filled in since an earlier
// run and what takes nothing from the sidecar's guard: limits that a namespace
// asks for, and the policy of a cluster that always pulls.
func (e *earlier) keep(ours []corev1.Container) {
	if e == nil {
		return
	}
	for i := range ours {
		at := slices.IndexFunc(e.containers, func(c corev1.Container) bool { return c.Name == ours[i].Name })
		if at < 0 {
			continue
		}
		was := &e.containers[at]
		if was.ImagePullPolicy == corev1.PullAlways {
			ours[i].ImagePullPolicy = corev1.PullAlways
		}
		ours[i].ResizePolicy = was.ResizePolicy
		fill(&ours[i].Resources.Limits, was.Resources.Limits)
		fill(&ours[i].Resources.Requests, was.Resources.Requests)
	}
}

// fill adds what the list lacks.
func fill(list *corev1.ResourceList, more corev1.ResourceList) {
	for name, quantity := range more {
		if _, set := (*list)[name]; set {
			continue
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = quantity
	}
}
