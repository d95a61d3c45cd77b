package inject

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/smi-project/smi/internal/sidecar"
)

// exclusions are what passes a pod's sidecar by, each list sorted.
type exclusions struct {
	inbound, outbound []uint16
	cidrs             []netip.Prefix
}

// readExclusions adds what the pod's annotations exclude to what the mesh does.
func (j *injection) readExclusions() exclusions {
	result := exclusions{
		inbound:  slices.Concat(j.options.ExcludeInbound, j.ports(sidecar.AnnotationExcludeInbound)),
		outbound: slices.Concat(j.options.ExcludeOutbound, j.ports(sidecar.AnnotationExcludeOutbound)),
		cidrs:    slices.Clone(j.options.ExcludeCIDRs),
	}
	for _, word := range j.words(sidecar.AnnotationExcludeCIDRs) {
		cidr, err := netip.ParsePrefix(word)
		if err != nil || cidr.Addr().Is4In6() {
			j.found.add(InvalidAnnotation, annotationField(sidecar.AnnotationExcludeCIDRs), fmt.Sprintf("has %q, which is no network such as 10.0.0.0/8 or fd00::/8", word))
			continue
		}
		result.cidrs = append(result.cidrs, cidr)
	}
	for i, cidr := range result.cidrs {
		result.cidrs[i] = cidr.Masked()
	}
	slices.Sort(result.inbound)
	slices.Sort(result.outbound)
	slices.SortFunc(result.cidrs, netip.Prefix.Compare)
	result.inbound = slices.Compact(result.inbound)
	result.outbound = slices.Compact(result.outbound)
	result.cidrs = slices.Compact(result.cidrs)
	// A sidecar's own port that is not redirected would take connections that say
	// nothing of where they were going.
	for _, port := range result.inbound {
		if isReserved(int32(port)) {
			j.found.add(SidecarPort, annotationField(sidecar.AnnotationExcludeInbound), fmt.Sprint(port))
		}
	}
	return result
}

// words are the entries of a list in an annotation.
func (j *injection) words(annotation string) []string {
	text := strings.TrimSpace(j.pod.Annotations[annotation])
	if text == "" {
		return nil
	}
	words := strings.Split(text, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	return words
}

func (j *injection) ports(annotation string) []uint16 {
	var ports []uint16
	for _, word := range j.words(annotation) {
		if !isPort(word) {
			j.found.add(InvalidAnnotation, annotationField(annotation), fmt.Sprintf("has %q, which is no port number", word))
			continue
		}
		port, _ := strconv.ParseUint(word, 10, 16)
		ports = append(ports, uint16(port))
	}
	return ports
}

// checkPlaintextPorts objects to entries that open nothing (AC-18): who wrote
// them expects an open port.
func (j *injection) checkPlaintextPorts() {
	for _, word := range j.words(sidecar.AnnotationPlaintextPorts) {
		if isPort(word) || len(validation.IsValidPortName(word)) == 0 && j.declares(word) {
			continue
		}
		j.found.add(InvalidAnnotation, annotationField(sidecar.AnnotationPlaintextPorts), fmt.Sprintf("has %q, which is neither a port number nor the name of a container's port", word))
	}
}

// declares tells whether a container of the pod has a port of that name.
func (j *injection) declares(name string) bool {
	for c := range j.containers() {
		if _, found := portNamed(c.Container, name); found {
			return true
		}
	}
	return false
}
