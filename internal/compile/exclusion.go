package compile

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/sidecar"
)

// excludedPorts are those to which connections pass the pod's sidecar by (PR-5), as
// was decided when it was made, sorted. What of it the configuration does not exclude
// of all pods is reported: nobody should have to look for holes.
func excludedPorts(r *report, in podInputs) []uint16 {
	done, known := sidecar.RedirectionOf(in.object)
	slices.Sort(done.ExcludeInbound)
	done.ExcludeInbound = slices.Compact(done.ExcludeInbound)
	const field = "spec.initContainers[" + sidecar.RedirectContainer + "].args"
	reportExclusions(r, field, done, in.config.Excluded)
	if known && !done.DropUDP && in.mode.Enforced() {
		r.warnf(place{"AC-11", field, "UDPNotDropped"},
			"the pod was made when its namespace did not enforce access rules, and lets UDP in: restart it")
	}
	return done.ExcludeInbound
}

// reportAnnotated reports what a pod that was not made yet is going to exclude. The
// injector says what is wrong with a list.
func reportAnnotated(r *report, o *corev1.Pod) {
	var asked sidecar.Redirection
	words := func(annotation string) []string {
		return strings.FieldsFunc(o.Annotations[annotation], func(c rune) bool { return c == ',' || c == ' ' })
	}
	asked.ExcludeInbound, _ = sidecar.ParsePorts(words(sidecar.AnnotationExcludeInbound))
	asked.ExcludeOutbound, _ = sidecar.ParsePorts(words(sidecar.AnnotationExcludeOutbound))
	asked.ExcludeCIDRs, _ = sidecar.ParseCIDRs(words(sidecar.AnnotationExcludeCIDRs))
	reportExclusions(r, "metadata.annotations", asked, sidecar.Redirection{})
}

// reportExclusions reports what a pod excludes and others do not.
func reportExclusions(r *report, field string, done, usual sidecar.Redirection) {
	own := done.Beyond(usual)
	if ports := own.ExcludeInbound; len(ports) > 0 {
		r.warnf(place{"PR-5", field, "ExcludedPort"},
			"on a cluster, connections to %s pass the sidecar by: no identity, no TrafficTarget and no count", portsText(ports))
	}
	var to []string
	if ports := own.ExcludeOutbound; len(ports) > 0 {
		to = append(to, portsText(ports)+" anywhere")
	}
	for _, cidr := range own.ExcludeCIDRs {
		to = append(to, cidr.String())
	}
	if len(to) > 0 {
		r.warnf(place{"PR-5", field, "ExcludedDestination"},
			"on a cluster, connections to %s leave past the sidecar: as from a client without identity, whatever the configuration says of egress", strings.Join(to, ", "))
	}
}

func portsText(ports []uint16) string {
	noun := "port"
	if len(ports) > 1 {
		noun = "ports"
	}
	return noun + " " + strings.ReplaceAll(strings.Trim(fmt.Sprint(ports), "[]"), " ", ", ")
}
