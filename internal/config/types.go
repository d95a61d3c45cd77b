package config

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/mesh"
)

// What the file begins with.
const (
	APIVersion = "config.smi-spec.io/v1alpha1"
	Kind       = "ControllerConfig"
)

// Controller is the content of the file. Every field has a default.
type Controller struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`

	// TrustDomain is the SPIFFE trust domain of every identity (ID-1);
	// "cluster.local" if empty. Another one makes every certificate anew.
	TrustDomain string `json:"trustDomain,omitempty"`
	// ClusterDomain ends the full names of Services; "cluster.local" if empty.
	ClusterDomain string `json:"clusterDomain,omitempty"`
	// Service is the name of the Service in front of the controller, in its own
	// namespace; "smi-controller" if empty. Sidecars and the API server call it by that.
	Service string `json:"service,omitempty"`

	// Mode is that of namespaces without the label smi-spec.io/access (AC-1, AC-16):
	// strict, permissive or audit; strict if empty.
	Mode mesh.Mode `json:"mode,omitempty"`
	// ModeFloor is the mode below which no label leads (AC-16); permissive, which
	// is no floor, if empty.
	ModeFloor mesh.Mode `json:"modeFloor,omitempty"`
	// Egress says whether workloads may call what is outside the mesh (PR-5): allow
	// or deny; allow if empty.
	Egress Egress `json:"egress,omitempty"`
	// EncodedSlashes lets paths with %2F or %5C pass, instead of refusing them (SP-9).
	EncodedSlashes bool `json:"encodedSlashes,omitempty"`

	// PodCIDRs are the ranges that pods have their addresses from; if empty, those
	// that the cluster's nodes say.
	PodCIDRs []string `json:"podCIDRs,omitempty"`
	// ServiceCIDRs are the ranges that Services have their addresses from; if empty,
	// those of the cluster's ServiceCIDRs, which Kubernetes has since 1.33. Where they
	// are known, an address that no Service has yet is refused and not taken for one
	// outside the mesh (PR-5), and proxies need not be told each Service's.
	ServiceCIDRs []string `json:"serviceCIDRs,omitempty"`
	// Exclude is what the mesh leaves alone.
	Exclude Exclude `json:"exclude,omitzero"`

	Image   Image   `json:"image,omitzero"`
	Sidecar Sidecar `json:"sidecar,omitzero"`

	CA CA `json:"ca,omitzero"`
	// CertificateTTL is how long the certificate of a workload lives, such as "24h",
	// which is the default; at least 20s, at most 720h. It is renewed at two thirds, so
	// below 10m it is for tests: no controller may be away for long.
	CertificateTTL metav1.Duration `json:"certificateTTL,omitzero"`

	// Metrics is how sidecars report requests: als (access log service), stats
	// (Envoy's stats access logger) or none; als if empty.
	Metrics Metrics `json:"metrics,omitempty"`
	// AccessLog has every sidecar print a line of JSON per request and connection.
	AccessLog bool `json:"accessLog,omitempty"`
}

// Egress says what happens to calls that leave the mesh.
type Egress string

// The values of Egress.
const (
	AllowEgress Egress = "allow"
	DenyEgress  Egress = "deny"
)

// Metrics is how sidecars report.
type Metrics string

// The values of Metrics.
const (
	MetricsALS   Metrics = "als"
	MetricsStats Metrics = "stats"
	MetricsNone  Metrics = "none"
)

// Exclude is what the mesh leaves alone, whatever namespaces and pods say.
type Exclude struct {
	// Namespaces never get a sidecar. kube-system and the controller's own namespace
	// are always among them.
	Namespaces []string `json:"namespaces,omitempty"`
	// InboundPorts and OutboundPorts are ports whose connections in that direction
	// pass every sidecar by.
	InboundPorts  []uint16 `json:"inboundPorts,omitempty"`
	OutboundPorts []uint16 `json:"outboundPorts,omitempty"`
	// CIDRs are destinations that are reached past every sidecar.
	CIDRs []string `json:"cidrs,omitempty"`
}

// Image is that of the sidecar.
type Image struct {
	// Registry comes before Name; none if empty.
	Registry string `json:"registry,omitempty"`
	// Name is "smi-proxy" if empty.
	Name string `json:"name,omitempty"`
	// Tag is that of the controller's own release if empty.
	Tag string `json:"tag,omitempty"`
	// PullPolicy is Always, IfNotPresent or Never; IfNotPresent if empty.
	PullPolicy corev1.PullPolicy `json:"pullPolicy,omitempty"`
	// PullSecrets are the names of Secrets in the namespaces of the pods.
	PullSecrets []string `json:"pullSecrets,omitempty"`
}

// Sidecar is how sidecars are run.
type Sidecar struct {
	// Resources are what each sidecar requests and may use at most.
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
	// LogLevel is debug, info, warn or error; info if empty.
	LogLevel string `json:"logLevel,omitempty"`
	// PreStopSeconds is how long an application that is told to end goes on serving
	// at least, so that every client has heard that it does; 5 if absent.
	PreStopSeconds *int32 `json:"preStopSeconds,omitempty"`
}

// CA is where the mesh's certificate authority comes from.
type CA struct {
	// Source is "managed", where the controller makes one and keeps it in the Secret
	// smi-ca, or "secret", where you do; managed if empty.
	Source CASource `json:"source,omitempty"`
	// Secret is the name of a Secret in the controller's namespace with tls.crt,
	// tls.key and, where the first does not end with the root, ca.crt. For the source
	// secret only.
	Secret string `json:"secret,omitempty"`
}

// CASource says who keeps the certificate authority.
type CASource string

// The values of CASource.
const (
	ManagedCA CASource = "managed"
	SecretCA  CASource = "secret"
)
