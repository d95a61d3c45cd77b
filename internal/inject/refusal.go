package inject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/smi-project/smi/internal/sidecar"
)

// Reason names, for programs, why a pod was refused.
type Reason string

// The reasons for which a pod is refused. docs/injection.md lists them.
const (
	HostNetwork           Reason = "HostNetwork"
	HostPID               Reason = "HostPID"
	ShareProcessNamespace Reason = "ShareProcessNamespace"
	StaticPod             Reason = "StaticPod"
	Windows               Reason = "Windows"
	PodSecurity           Reason = "PodSecurity"
	Privileged            Reason = "Privileged"
	Capability            Reason = "Capability"
	SidecarUser           Reason = "SidecarUser"
	SidecarName           Reason = "SidecarName"
	SidecarVolume         Reason = "SidecarVolume"
	SidecarToken          Reason = "SidecarToken"
	SidecarPort           Reason = "SidecarPort"
	DuplicateName         Reason = "DuplicateName"
	InvalidLabel          Reason = "InvalidLabel"
	InvalidAnnotation     Reason = "InvalidAnnotation"
	InvalidProbe          Reason = "InvalidProbe"
	TooLarge              Reason = "TooLarge"
)

// advice is what there is to say about a reason, wherever it is met.
type advice struct{ why, remedy string }

var advices = map[Reason]advice{
	HostNetwork: {
		"the pod would share the node's network, in which its traffic cannot be told from the node's",
		"remove hostNetwork",
	},
	HostPID: {
		"the application would see the processes of all pods of the node, the sidecars among them",
		"remove hostPID",
	},
	ShareProcessNamespace: {
		"the application could reach into the sidecar's processes, which hold the pod's private key",
		"remove shareProcessNamespace",
	},
	StaticPod: {
		"the kubelet runs it as the node's file says, whatever is added here",
		"run it by a Deployment or a DaemonSet",
	},
	Windows: {
		"redirection needs the Linux kernel",
		"run it on Linux nodes",
	},
	PodSecurity: {
		"this Pod Security level forbids NET_ADMIN, without which the init container " + sidecar.RedirectContainer + " cannot redirect traffic",
		"set the label to privileged and keep the stricter level in pod-security.kubernetes.io/warn and audit, or take the namespace's label " + sidecar.LabelInject + " away",
	},
	Privileged: {
		"a privileged container could undo the redirection",
		"remove privileged",
	},
	Capability: {
		"with this capability the container could undo the redirection or send past it",
		"remove the capability, or do what needs it in a pod outside the mesh",
	},
	SidecarUser: {
		"this user and group are the sidecar's, and what they send is not redirected",
		"choose another number",
	},
	SidecarName: {
		"this name is the sidecar's",
		"choose another name",
	},
	SidecarVolume: {
		"what is in this volume is the sidecar's alone",
		"remove the mount",
	},
	SidecarToken: {
		"a token for this audience gets certificates of the mesh, which are the sidecar's alone",
		"remove the token or choose another audience",
	},
	SidecarPort: {
		"this port is the sidecar's",
		"choose another port",
	},
	DuplicateName: {
		"another container has the same name",
		"choose another name",
	},
	InvalidLabel: {
		"it is neither " + sidecar.InjectEnabled + " nor " + sidecar.InjectDisabled,
		"set one of these, or remove the label and leave it to the namespace",
	},
	InvalidAnnotation: {
		"it cannot be understood, and half of what was asked for may be what was not meant",
		"correct or remove the annotation",
	},
	InvalidProbe: {
		"its port cannot be told, so the sidecar cannot send it",
		"give a port number, or the name of one of the container's ports",
	},
	TooLarge: {
		"the probes do not fit into an environment variable",
		"shorten their paths and headers",
	},
}

// Refusal is one thing that keeps a pod out of the mesh.
type Refusal struct {
	Reason Reason
	// Field is a path in the pod, or in its namespace where it begins with "namespace".
	Field string
	// Value is what is wrong in the field; it may be empty.
	Value string
}

// String says field, why and remedy, in one line.
func (r Refusal) String() string {
	value := ""
	if r.Value != "" {
		value = " " + r.Value
	}
	return fmt.Sprintf("%s%s: %s; %s", r.Field, value, advices[r.Reason].why, advices[r.Reason].remedy)
}

// Refused is the error for a pod that was to be injected and cannot be.
type Refused struct {
	// Pod is "<namespace>/<name>"; the name ends in "*" where there is none yet.
	Pod      string
	Refusals []Refusal
}

func (e *Refused) Error() string {
	lines := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		lines[i] = r.String()
	}
	leaveOut := "or leave the pod out of the mesh with the label " + sidecar.LabelInject + ": " + sidecar.InjectDisabled
	return fmt.Sprintf("pod %s cannot be brought into the mesh: %s; %s", e.Pod, strings.Join(lines, "; "), leaveOut)
}

// Has tells whether the reason is among those of the refusal.
func (e *Refused) Has(reason Reason) bool {
	return slices.ContainsFunc(e.Refusals, func(r Refusal) bool { return r.Reason == reason })
}

// objections gathers what keeps a pod out, so that its author sees everything at
// once.
type objections []Refusal

// add records a refusal; value may be empty.
func (o *objections) add(reason Reason, field, value string) {
	*o = append(*o, Refusal{Reason: reason, Field: field, Value: shorten(value)})
}

// shorten keeps what a user has written from filling a message, or breaking it.
func shorten(value string) string {
	const most = 100
	if strings.ContainsFunc(value, unicode.IsControl) {
		value = strconv.Quote(value)
	}
	if runes := []rune(value); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return value
}
