package inject

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/smi-project/smi/internal/sidecar"
)

// redirection adds what the pod's annotations exclude to what the mesh does. All
// lists are sorted. Inbound UDP has no identity, so where rules are enforced it is
// dropped (AC-11).
func (j *injection) redirection() sidecar.Redirection {
	r := sidecar.Redirection{
		ExcludeInbound:  sorted(slices.Concat(j.options.ExcludeInbound, listed(j, sidecar.AnnotationExcludeInbound, sidecar.ParsePorts))),
		ExcludeOutbound: sorted(slices.Concat(j.options.ExcludeOutbound, listed(j, sidecar.AnnotationExcludeOutbound, sidecar.ParsePorts))),
		ExcludeCIDRs:    slices.Concat(j.options.ExcludeCIDRs, listed(j, sidecar.AnnotationExcludeCIDRs, sidecar.ParseCIDRs)),
		DropUDP:         j.options.Mode(j.namespace).Enforced(),
	}
	slices.SortFunc(r.ExcludeCIDRs, netip.Prefix.Compare)
	r.ExcludeCIDRs = slices.Compact(r.ExcludeCIDRs)
	for annotation, n := range map[string]int{
		sidecar.AnnotationExcludeInbound: len(r.ExcludeInbound), sidecar.AnnotationExcludeOutbound: len(r.ExcludeOutbound), sidecar.AnnotationExcludeCIDRs: len(r.ExcludeCIDRs),
	} {
		if n > sidecar.MaxExclusions {
			j.found.add(InvalidAnnotation, annotationField(annotation), fmt.Sprintf("has %d entries with those of the configuration, and %d at most are possible", n, sidecar.MaxExclusions))
		}
	}
	// A sidecar's own port that is not redirected would take connections that say
	// nothing of where they were going.
	for _, port := range r.ExcludeInbound {
		if isReserved(int32(port)) {
			j.found.add(SidecarPort, annotationField(sidecar.AnnotationExcludeInbound), fmt.Sprint(port))
		}
	}
	return r
}

func sorted(ports []uint16) []uint16 {
	slices.Sort(ports)
	return slices.Compact(ports)
}

// listed reads an annotation with entries separated by commas.
func listed[T any](j *injection, annotation string, parse func([]string) ([]T, error)) []T {
	values, err := parse(j.words(annotation))
	if err != nil {
		j.found.add(InvalidAnnotation, annotationField(annotation), err.Error())
	}
	return values
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

// checkPlaintextPorts objects to entries that open nothing (AC-18, SP-7): who
// wrote them expects an open port. A name cannot be that of a sidecar's port,
// which no container may declare.
func (j *injection) checkPlaintextPorts() {
	field := annotationField(sidecar.AnnotationPlaintextPorts)
	for _, word := range j.words(sidecar.AnnotationPlaintextPorts) {
		switch port, number := portNumber(word); {
		case number && isReserved(port):
			j.found.add(SidecarPort, field, word)
		case !number && !j.declares(word):
			j.found.add(InvalidAnnotation, field, fmt.Sprintf("%q is neither a port number nor the name of a container's port", word))
		}
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

// portNumber reads a port number.
func portNumber(text string) (int32, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return int32(n), err == nil && n > 0
}
