package meshstatus

import (
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/version"
)

// Judge says how the mesh is.
func (f *Facts) Judge() *Report {
	r := &Report{State: OK, Context: f.context, Namespace: f.namespace, Namespaces: f.sums()}
	r.Versions = Versions{CLI: f.version, Controller: tagOf(f.controllerImage())}
	r.add(f.judgeDefinitions(), f.judgeController(), f.judgeVersions(), f.judgeConfig(), f.judgeWebhook(), f.judgeAuthority(), f.judgeRoots())
	r.add(f.judgeProxies()...)
	r.add(f.judgeNamespaces()...)
	return r
}

func fine(name, format string, args ...any) Check {
	return Check{Name: name, State: OK, Message: fmt.Sprintf(format, args...)}
}

// unasked is the check of what could not be asked.
func unasked(name string, err error) Check {
	message, remedy := lacking(err)
	return Check{Name: name, State: Warning, Message: message, Remedy: remedy}
}

// plural is a number with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func (f *Facts) judgeDefinitions() Check {
	const name = "definitions"
	if f.definitions.err != nil {
		return unasked(name, f.definitions.err)
	}
	var missing, unserved, other []string
	for _, d := range f.definitions.got {
		switch {
		case !d.Installed:
			missing = append(missing, d.Name)
		case !d.Served:
			unserved = append(unserved, d.Name)
		case !d.Same:
			other = append(other, d.Name)
		}
	}
	switch {
	case len(missing) > 0:
		return Check{name, Failed, plural(len(missing), "SMI definition is", "SMI definitions are") + " not installed", missing, "smi crds apply"}
	case len(unserved) > 0:
		return Check{name, Failed, "the API server does not serve " + plural(len(unserved), "SMI definition", "SMI definitions") + " as v1alpha4", unserved,
			"smi crds diff shows what differs, smi crds apply mends it"}
	case len(other) > 0:
		return Check{name, Warning, plural(len(other), "SMI definition is", "SMI definitions are") + " of another release than this smi", other,
			"smi crds diff shows what differs; upgrade the chart, or use the smi of its release"}
	}
	return fine(name, "%d SMI definitions are installed, as this smi brings them", len(f.definitions.got))
}

func (f *Facts) judgeController() Check {
	const name = "controller"
	d := f.deployment.got
	switch {
	case apierrors.IsNotFound(f.deployment.err):
		return Check{name, Failed, fmt.Sprintf("there is no Deployment %s/%s", f.namespace, controllerName), nil,
			"helm install smi -n " + f.namespace + ", or name the mesh's namespace with -n"}
	case f.deployment.err != nil:
		return unasked(name, f.deployment.err)
	}
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	have := fmt.Sprintf("%d of %s ready", d.Status.ReadyReplicas, plural(int(wanted), "replica is", "replicas are"))
	troubles := controllerTroubles(f.controllers.got)
	look := fmt.Sprintf("kubectl -n %s describe pods -l %s=%s, and kubectl -n %s logs deployment/%s", f.namespace, nameLabel, controllerName, f.namespace, controllerName)
	switch {
	case wanted == 0:
		return Check{name, Failed, "it is scaled to 0: proxies go on as they are, and no meshed pod can start", nil,
			fmt.Sprintf("kubectl -n %s scale deployment/%s --replicas=1", f.namespace, controllerName)}
	case d.Status.ReadyReplicas == 0:
		return Check{name, Failed, have + ": proxies go on as they are, and no meshed pod can start", troubles, look}
	case d.Status.ReadyReplicas < wanted || rollingOut(d):
		return Check{name, Warning, have, troubles, look}
	}
	leader, led := f.leader()
	if !led {
		return Check{name, Failed, have + ", and none of them leads: conditions, Events and roots are not written", nil, look}
	}
	return fine(name, "%s%s", have, leader)
}

func rollingOut(d *appsv1.Deployment) bool {
	return d.Status.UpdatedReplicas < d.Status.Replicas || d.Status.ObservedGeneration < d.Generation
}

// leader tells who writes, and false where nobody does.
func (f *Facts) leader() (string, bool) {
	if f.lease.err != nil {
		return "", !apierrors.IsNotFound(f.lease.err)
	}
	spec := f.lease.got.Spec
	if spec.HolderIdentity == nil || *spec.HolderIdentity == "" || spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
		return "", false
	}
	// The clocks of this machine and the cluster may differ.
	const generous = 4
	if f.now.Sub(spec.RenewTime.Time).Seconds() > generous*float64(*spec.LeaseDurationSeconds) {
		return "", false
	}
	return "; " + *spec.HolderIdentity + " leads", true
}

// controllerTroubles say why replicas are not ready.
func controllerTroubles(pods []corev1.Pod) []string {
	var troubles []string
	for i := range pods {
		p := &pods[i]
		for _, s := range p.Status.ContainerStatuses {
			switch {
			case s.Ready:
			case s.State.Waiting != nil:
				troubles = append(troubles, "pod "+p.Name+": "+reason(s.State.Waiting))
			case s.RestartCount > 0:
				troubles = append(troubles, fmt.Sprintf("pod %s: not ready, restarted %s", p.Name, plural(int(s.RestartCount), "time", "times")))
			default:
				troubles = append(troubles, "pod "+p.Name+": not ready")
			}
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				troubles = append(troubles, "pod "+p.Name+": "+c.Message)
			}
		}
	}
	return details(troubles)
}

func (f *Facts) controllerImage() string {
	if f.deployment.err != nil || f.deployment.got == nil {
		return ""
	}
	for _, c := range f.deployment.got.Spec.Template.Spec.Containers {
		if c.Name == "controller" {
			return c.Image
		}
	}
	return ""
}

// tagOf is the tag of an image; empty for one that is named by its digest alone.
func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	i := strings.LastIndex(image, ":")
	if i < 0 || strings.Contains(image[i:], "/") {
		return ""
	}
	return image[i+1:]
}

// judgeVersions compares releases. What is no release is not compared.
func (f *Facts) judgeVersions() Check {
	const name = "versions"
	tag := tagOf(f.controllerImage())
	if tag == "" {
		return fine(name, "smi %s; the controller's is not known", f.version)
	}
	message := fmt.Sprintf("smi %s, controller %s", f.version, tag)
	own, errOwn := version.ParseSemantic(f.version)
	theirs, errTheirs := version.ParseSemantic(tag)
	if errors.Join(errOwn, errTheirs) != nil || own.PreRelease() != "" || theirs.PreRelease() != "" {
		return fine(name, "%s", message)
	}
	distance := int(own.Minor()) - int(theirs.Minor())
	if own.Major() != theirs.Major() || distance < -1 || distance > 1 {
		return Check{name, Warning, message + ": more than one release apart", nil, "use the smi of the controller's release"}
	}
	return fine(name, "%s", message)
}

func (f *Facts) judgeConfig() Check {
	const name = "configuration"
	switch {
	case apierrors.IsNotFound(f.config.err):
		return Check{name, Warning, fmt.Sprintf("there is no ConfigMap %s/%s, so defaults are taken here for what it says", f.namespace, ConfigMap), nil,
			"helm upgrade writes it; -n names another namespace"}
	case apierrors.IsForbidden(f.config.err):
		return unasked(name, f.config.err)
	case f.config.err != nil:
		return Check{name, Warning, "this smi does not understand it: " + f.config.err.Error(), nil, "use the smi of the controller's release, or mend the values of the chart"}
	}
	c := f.config.got
	return fine(name, "trust domain %s, mode %s, certificates for %s", c.TrustDomain, c.Mode, short(c.CertificateTTL.Duration))
}
