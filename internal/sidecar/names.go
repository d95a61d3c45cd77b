package sidecar

// Labels and annotations that users set.
const (
	// LabelInject on a namespace, overridden by one on a pod, asks for a sidecar
	// (InjectEnabled) or refuses it (InjectDisabled).
	LabelInject = "smi-spec.io/inject"
	// LabelAccess on a namespace is the mode of its workloads (AC-16).
	LabelAccess = "smi-spec.io/access"
	// AnnotationPlaintextPorts opens ports to peers without identity (AC-18).
	AnnotationPlaintextPorts = "smi-spec.io/plaintext-ports"
	// AnnotationExcludeInbound and AnnotationExcludeOutbound are ports, separated by
	// commas, whose connections in that direction pass the sidecar by.
	AnnotationExcludeInbound  = "smi-spec.io/exclude-inbound-ports"
	AnnotationExcludeOutbound = "smi-spec.io/exclude-outbound-ports"
	// AnnotationExcludeCIDRs are destinations, separated by commas, that the pod
	// reaches past the sidecar.
	AnnotationExcludeCIDRs = "smi-spec.io/exclude-cidrs"
	// AnnotationPreStopSeconds is how long each container without a preStop hook goes
	// on serving while the pod's endpoints are withdrawn; 0 is not at all.
	AnnotationPreStopSeconds = "smi-spec.io/pre-stop-seconds"
	// AnnotationMergeMetrics, where it is "true", adds the application's metrics to
	// those that the sidecar serves to whoever reaches the pod (AC-14).
	AnnotationMergeMetrics = "smi-spec.io/merge-metrics"
)

// AnnotationInjected is what the injector leaves on a pod: its version.
const AnnotationInjected = "smi-spec.io/injected"

// Values of LabelInject.
const (
	InjectEnabled  = "enabled"
	InjectDisabled = "disabled"
)

// Containers and volumes of a meshed pod.
const (
	// Container is the native sidecar: an init container that is restarted always.
	// A pod that has it is in the mesh.
	Container = "smi-proxy"
	// RedirectContainer ends before everything else starts.
	RedirectContainer = "smi-redirect"

	VolumeRun   = "smi-run"
	VolumeToken = "smi-token"
	VolumeRoots = "smi-root"
)

// Paths in the sidecar's container.
const (
	// RunDir holds the bootstrap and the sockets of Envoy and the agent; it is in
	// memory, and the application does not mount it.
	RunDir = "/run/smi"
	// AgentDir is where in RunDir they are. Kubernetes makes RunDir writable for
	// everybody in the container; AgentDir is the sidecar's user's alone.
	AgentDir = RunDir + "/agent"
	// TokenPath is the projected token that proves who the pod is.
	TokenPath = "/var/run/secrets/smi-spec.io/token/token" //nolint:gosec // a path
	// RootsPath is the file with the roots of the mesh.
	RootsPath = "/etc/smi/roots/" + RootsKey
	// EnvoyPath is the Envoy of the sidecar's image, and ProgramPath the agent.
	EnvoyPath   = "/usr/local/bin/envoy"
	ProgramPath = "/usr/bin/smi"
	// DrainCommand is what the agent is told, as an argument, when its pod begins to end.
	DrainCommand = "drain"
)

const (
	// RootsConfigMap is the ConfigMap, in every namespace with meshed pods, that
	// holds the roots of the mesh under RootsKey, as PEM.
	RootsConfigMap = "smi-root"
	// RootsKey is the ConfigMap's key, and the file's name in the sidecar.
	RootsKey = "roots.pem"
	// TokenAudience is whom the projected token is meant for.
	TokenAudience = "smi-spec.io" //nolint:gosec // a name
	// TokenSeconds is how long a token lives; the kubelet renews it at four fifths.
	TokenSeconds = 3600
)

// UserID is the user that Envoy and the agent run as. What it sends is not
// redirected, so no application may have it.
const UserID = 1337

// Ports of the sidecar. An application cannot serve them.
const (
	// PortOutbound and PortInbound are where redirected connections arrive.
	PortOutbound = 15001
	PortInbound  = 15006
	// PortMetrics serves Prometheus: the mesh's metrics, Envoy's own and the
	// application's. PortHealth tells whether the sidecar is ready; PortProbes
	// carries out the application's probes.
	PortMetrics = 15020
	PortHealth  = 15021
	PortProbes  = 15022
)

// ReservedPorts are those that no application can serve in a meshed pod: the
// ports above, and those that the standalone runtime has in use (SP-7).
var ReservedPorts = []uint16{15000, PortOutbound, 15002, PortInbound, PortMetrics, PortHealth, PortProbes}

// PortControl is where the controller serves xDS and signs certificates.
const PortControl = 15012

// The addresses from which a sidecar connects to its own application. The
// redirection puts them on the loopback interface and lets what comes from them
// pass. They are no loopback addresses, since applications trust those.
const (
	DeliveryIPv4 = "169.254.113.37"
	DeliveryIPv6 = "fd53:4d49::37"
)
