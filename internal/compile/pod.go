package compile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// Labels and annotations that the compiler reads.
const (
	labelInject           = "smi-spec.io/inject"
	labelAccess           = "smi-spec.io/access"
	annotationPlaintext   = "smi-spec.io/plaintext-ports"
	annotationEmptyBacken = "smi-spec.io/empty-backends"
)

// pod is what the mesh needs to know of a Pod.
type pod struct {
	name    mesh.Name
	account mesh.Account
	owner   string
	labels  map[string]string
	meshed  bool
	ready   bool
	// addresses are the pod's, the first one before others; hostNetwork tells that
	// they are the node's.
	addresses   []string
	hostNetwork bool
	ports       []containerPort
	plaintext   map[uint16]bool
	// excluded are ports to which connections pass the sidecar by, sorted.
	excluded []uint16
	mode     mesh.Mode
	findings []mesh.Finding
}

type containerPort struct {
	name   string
	number uint16
	udp    bool
}

// portNamed returns the container port of that name.
func (p *pod) portNamed(name string) (uint16, bool) {
	for _, c := range p.ports {
		if c.name == name && name != "" && !c.udp {
			return c.number, true
		}
	}
	return 0, false
}

// address is that of a family where the pod has one, else its first.
func (p *pod) address(ipv6 bool) string {
	for _, a := range p.addresses {
		if strings.Contains(a, ":") == ipv6 {
			return a
		}
	}
	if len(p.addresses) == 0 {
		return ""
	}
	return p.addresses[0]
}

type podInputs struct {
	object *corev1.Pod
	mode   mesh.Mode
	// config is the compiler's own, which stays.
	config *Config
}

func (i podInputs) equal(o podInputs) bool { return i == o }

// finished tells whether a pod ended and takes no traffic any more.
func finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func buildPod(in podInputs) *pod {
	o := in.object
	r := reportOn(kindPod, o)
	p := &pod{
		name:    mesh.Name{Namespace: o.Namespace, Name: o.Name},
		account: mesh.Account{Namespace: o.Namespace, Name: o.Spec.ServiceAccountName},
		owner:   o.Name,
		labels:  o.Labels,
		meshed:  o.Labels[labelInject] != "disabled",
		mode:    in.mode,

		addresses: addressesOf(o), hostNetwork: o.Spec.HostNetwork,
	}
	if in.config.Sidecars {
		// A pod in the node's network could not be.
		p.meshed = sidecar.Meshed(o) && !o.Spec.HostNetwork
	}
	switch {
	case p.meshed && in.config.Sidecars:
		p.excluded = excludedPorts(r, in)
	case p.meshed:
		reportAnnotated(r, o)
	}
	if p.account.Name == "" {
		p.account.Name = "default"
	}
	if len(o.OwnerReferences) > 0 {
		p.owner = o.OwnerReferences[0].Name
	}
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.PodReady {
			p.ready = c.Status == corev1.ConditionTrue && o.DeletionTimestamp == nil
		}
	}
	for _, c := range slices.Concat(o.Spec.InitContainers, o.Spec.Containers) {
		for _, port := range c.Ports {
			if port.ContainerPort < 1 || port.ContainerPort > 65535 {
				r.errorf(place{"SP-7", "spec.containers", "InvalidPort"}, "%d is no port; it is left out", port.ContainerPort)
				continue
			}
			p.ports = append(p.ports, containerPort{name: port.Name, number: uint16(port.ContainerPort), udp: port.Protocol == corev1.ProtocolUDP})
		}
	}
	p.plaintext = plaintextPorts(r, o, p)
	p.findings = r.findings
	return p
}

func addressesOf(o *corev1.Pod) []string {
	var found []string
	if o.Status.PodIP != "" {
		found = append(found, o.Status.PodIP)
	}
	for _, ip := range o.Status.PodIPs {
		if ip.IP != "" && !slices.Contains(found, ip.IP) {
			found = append(found, ip.IP)
		}
	}
	return found
}

// plaintextPorts reads the annotation of AC-18: numbers or names of container
// ports, separated by commas.
func plaintextPorts(r *report, o *corev1.Pod, p *pod) map[uint16]bool {
	written := o.Annotations[annotationPlaintext]
	if written == "" {
		return nil
	}
	at := place{"AC-18", fmt.Sprintf("metadata.annotations[%s]", annotationPlaintext), "PlaintextPort"}
	ports := map[uint16]bool{}
	for word := range strings.SplitSeq(written, ",") {
		word = strings.TrimSpace(word)
		number, named := p.portNamed(word)
		if !named {
			n, err := strconv.ParseUint(word, 10, 16)
			if err != nil || n == 0 {
				r.errorf(place{at.rule, at.field, "InvalidPort"}, "%s is neither a port number nor the name of a container port; it opens nothing", quote(word))
				continue
			}
			number = uint16(n)
		}
		if mesh.OfSidecar(number) {
			r.errorf(place{"SP-7", at.field, "SidecarPort"}, "%d belongs to the sidecar; it opens nothing: choose another port", number)
			continue
		}
		ports[number] = true
		r.warnf(at, "port %d is open to peers without identity, which nothing checks; meshed peers still need a TrafficTarget", number)
	}
	return ports
}

type modeInputs struct {
	object *corev1.Namespace
	config modeConfig
}

// modeConfig is what the configuration says of modes (AC-16).
type modeConfig struct {
	standard mesh.Mode
	floor    mesh.Mode
}

func (i modeInputs) equal(o modeInputs) bool { return i == o }

// namespaceMode is the mode of a namespace's workloads.
type namespaceMode struct {
	mode     mesh.Mode
	findings []mesh.Finding
}

// strictness orders modes for the floor of AC-16.
func strictness(m mesh.Mode) int {
	return slices.Index([]mesh.Mode{mesh.Permissive, mesh.Audit, mesh.Strict}, m)
}

func buildMode(in modeInputs) *namespaceMode {
	label, labelled := in.object.Labels[labelAccess]
	if !labelled {
		return &namespaceMode{mode: in.config.standard}
	}
	r := reportOn(kindNamespace, in.object)
	at := place{"AC-16", fmt.Sprintf("metadata.labels[%s]", labelAccess), "UnknownMode"}
	mode := mesh.Mode(label)
	if strictness(mode) < 0 {
		r.errorf(at, "%s is no mode (strict, permissive, audit); strict applies", quote(label))
		mode = mesh.Strict
	}
	if strictness(mode) < strictness(in.config.floor) {
		at.reason = "BelowFloor"
		r.warnf(at, "the configuration allows nothing below %s, which applies instead of %s", in.config.floor, mode)
		mode = in.config.floor
	}
	return &namespaceMode{mode: mode, findings: r.findings}
}
