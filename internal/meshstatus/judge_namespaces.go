package meshstatus

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// excluded tells whether nothing is ever injected into a namespace.
func (f *Facts) excluded(namespace string) bool {
	return namespace == "kube-system" || namespace == f.namespace || slices.Contains(f.orDefault().Exclude.Namespaces, namespace)
}

// injected tells whether a namespace asks for sidecars.
func (f *Facts) injected(namespace string) bool {
	n := f.namespaces.got[namespace]
	return n != nil && n.Labels[sidecar.LabelInject] == sidecar.InjectEnabled && !f.excluded(namespace)
}

func (f *Facts) mode(namespace string) mesh.Mode {
	object := f.namespaces.got[namespace]
	if object == nil {
		object = &corev1.Namespace{}
	}
	return f.orDefault().Meaning(nil, nil).ModeOf(object)
}

// sums are the namespaces that ask for sidecars or have some, sorted.
func (f *Facts) sums() []Namespace {
	found := map[string]*Namespace{}
	for name := range f.namespaces.got {
		if f.injected(name) {
			found[name] = &Namespace{Name: name, Injected: true, Mode: string(f.mode(name))}
		}
	}
	for _, name := range f.meshedNamespaces() {
		if found[name] == nil {
			found[name] = &Namespace{Name: name, Mode: string(f.mode(name))}
		}
	}
	for _, p := range f.pods.got {
		n := found[p.name.Namespace]
		if n == nil || p.deleting {
			continue
		}
		if n.Pods++; p.meshed {
			n.Meshed++
		}
		if p.meshed && p.ready {
			n.Ready++
		}
	}
	all := []Namespace{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		all = append(all, *found[name])
	}
	return all
}

// judgeNamespaces says where the mesh does not guard what it may be thought to.
func (f *Facts) judgeNamespaces() []Check {
	if f.namespaces.err != nil {
		return []Check{unasked("namespaces", f.namespaces.err)}
	}
	checks := []Check{f.judgeModes()}
	if f.pods.err == nil {
		checks = append([]Check{f.judgeBlocked(), f.judgeUnmeshed(), f.judgeLeftovers(), f.judgePlaintext(), f.judgeExclusions()}, checks...)
	}
	return checks
}

// judgeBlocked looks for workloads of the mesh whose pods are refused.
func (f *Facts) judgeBlocked() Check {
	const name = "refused pods"
	if f.blocked.err != nil {
		return unasked(name, f.blocked.err)
	}
	var lines []string
	for _, namespace := range slices.Sorted(maps.Keys(f.blocked.got)) {
		if f.injected(namespace) {
			lines = append(lines, f.blocked.got[namespace]...)
		}
	}
	if len(lines) == 0 {
		return fine(name, "no Deployment that asks for sidecars is refused its pods")
	}
	return Check{name, Failed, plural(len(lines), "Deployment is", "Deployments are") + " refused pods", details(lines),
		"each line says why; where the webhook did not answer, bring the controller up, and they are tried again"}
}

// judgeUnmeshed looks for pods that should have a sidecar and have none.
func (f *Facts) judgeUnmeshed() Check {
	const name = "pods without sidecar"
	var missing, host []string
	for _, p := range f.pods.got {
		wanted := f.injected(p.name.Namespace) && p.inject != sidecar.InjectDisabled || p.inject == sidecar.InjectEnabled && !f.excluded(p.name.Namespace)
		switch {
		case p.meshed || !wanted || p.deleting:
		case p.hostNetwork:
			host = append(host, "pod "+p.name.String()+" (host network)")
		default:
			missing = append(missing, "pod "+p.name.String())
		}
	}
	if n := len(missing) + len(host); n > 0 {
		remedy := "kubectl -n NAMESPACE rollout restart deployment: they were made before the namespace had its label"
		if len(missing) == 0 {
			remedy = "a pod on the host's network cannot be meshed; label it " + sidecar.LabelInject + "=" + sidecar.InjectDisabled + " to say that this is meant"
		}
		return Check{name, Warning, plural(n, "pod", "pods") + " of meshed namespaces " + isAre(n) + " not in the mesh: whoever they call takes them for strangers", details(append(missing, host...)), remedy}
	}
	return fine(name, "none in the namespaces that ask for sidecars")
}

// judgeLeftovers looks for sidecars that nobody asks for any more.
func (f *Facts) judgeLeftovers() Check {
	const name = "sidecars without label"
	left := map[string]int{}
	for _, p := range f.pods.got {
		if p.meshed && !p.deleting && p.inject != sidecar.InjectEnabled && !f.injected(p.name.Namespace) {
			left[p.name.Namespace]++
		}
	}
	if len(left) == 0 {
		return fine(name, "none")
	}
	var lines []string
	for _, namespace := range slices.Sorted(maps.Keys(left)) {
		lines = append(lines, fmt.Sprintf("namespace %s: %s", namespace, plural(left[namespace], "pod", "pods")))
	}
	return Check{name, Warning, plural(len(left), "namespace has", "namespaces have") + " sidecars and does not ask for them: pods lose theirs with the next restart", details(lines),
		"label the namespace " + sidecar.LabelInject + "=" + sidecar.InjectEnabled + ", or restart its pods to take it out of the mesh"}
}

// judgePlaintext reports the ports that pods open to peers without identity (AC-18).
func (f *Facts) judgePlaintext() Check {
	const name = "plaintext ports"
	var open []string
	for _, p := range f.pods.got {
		if p.meshed && !p.deleting && p.plaintext != "" {
			open = append(open, fmt.Sprintf("pod %s: %s", p.name, p.plaintext))
		}
	}
	if len(open) == 0 {
		return fine(name, "none")
	}
	return Check{name, Warning, plural(len(open), "pod opens", "pods open") + " ports to anybody, without TLS and identity (AC-18)", details(open),
		"take the annotation " + sidecar.AnnotationPlaintextPorts + " off where every client is meshed by now"}
}

// judgeExclusions reports what passes sidecars by (PR-5): in every pod that was made
// since the configuration said so, and in those that exclude something else.
func (f *Facts) judgeExclusions() Check {
	const name = "exclusions"
	usual := f.orDefault().Exclude.Redirection()
	everywhere := exclusions(usual)
	var lines []string
	if everywhere != "" {
		lines = append(lines, "the configuration, in every pod: "+everywhere)
	}
	n := 0
	for _, p := range f.pods.got {
		if own := exclusions(p.redirection.Beyond(usual)); p.meshed && !p.deleting && own != "" {
			lines = append(lines, fmt.Sprintf("pod %s: %s", p.name, own))
			n++
		}
	}
	if len(lines) == 0 {
		return fine(name, "none")
	}
	message := plural(n, "pod has", "pods have") + " connections of their own that pass the sidecar by, without identity and unchecked"
	if everywhere != "" {
		message = "in every pod, and otherwise in " + plural(n, "pod", "pods") + ", connections pass the sidecar by, without identity and unchecked"
	}
	return Check{name, Warning, message, details(lines),
		"take them out of the annotations (smi-spec.io/exclude-...) and restart the pods, or out of exclude in the configuration, where the mesh should guard them"}
}

// exclusions are, in words, what a redirection excludes.
func exclusions(r sidecar.Redirection) string {
	var parts []string
	for _, part := range []struct{ what, list string }{
		{"from anybody to port", commas(r.ExcludeInbound)},
		{"to anybody's port", commas(r.ExcludeOutbound)},
		{"to", commas(r.ExcludeCIDRs)},
	} {
		if part.list != "" {
			parts = append(parts, part.what+" "+part.list)
		}
	}
	return strings.Join(parts, "; ")
}

func commas[T uint16 | netip.Prefix](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}

// judgeModes reports where grants are not enforced (AC-16).
func (f *Facts) judgeModes() Check {
	const name = "modes"
	var open []string
	n := 0
	for _, sum := range f.sums() {
		if n++; sum.Mode != string(mesh.Strict) {
			open = append(open, "namespace "+sum.Name+": "+sum.Mode)
		}
	}
	if len(open) == 0 {
		return fine(name, "%s strict", plural(n, "meshed namespace is", "meshed namespaces are"))
	}
	return Check{name, Warning, plural(len(open), "meshed namespace does", "meshed namespaces do") + " not enforce access rules (AC-16)", details(open),
		"audit counts what strict would deny in smi_denied_total; when that is none, set the label smi-spec.io/access=strict"}
}
