package sidecar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// SettingsVariable is the environment variable with the Settings of an agent.
const SettingsVariable = "SMI_SETTINGS"

// Environment variables that Kubernetes fills in (downward API).
const (
	VariableNamespace = "POD_NAMESPACE"
	VariablePod       = "POD_NAME"
	VariableAccount   = "POD_SERVICE_ACCOUNT"
	// VariableAddresses are the pod's addresses, separated by commas.
	VariableAddresses = "POD_IPS"
)

// Settings are what the injector tells an agent.
type Settings struct {
	// Controller is the "host:port" of the control plane.
	Controller string `json:"controller"`
	// TrustDomain is that of the mesh (ID-1).
	TrustDomain string `json:"trustDomain"`
	// Workload names the pod's owner, such as a Deployment; the pod itself if empty.
	Workload string `json:"workload,omitempty"`
	// LogLevel is debug, info, warn or error; info if empty.
	LogLevel string `json:"logLevel,omitempty"`
	// Probes are the application's, by their names:
	// "/<container>/<readiness|liveness|startup|postStart|preStop>" (AC-14).
	// ProbePath is where PortProbes carries them out.
	Probes map[string]Probe `json:"probes,omitempty"`
	// ProbeToken is what a caller of PortProbes has to know: everybody reaches the
	// port. It is in the pod's spec, so it keeps out who may not read that.
	ProbeToken string `json:"probeToken,omitempty"`
	// ApplicationMetrics is where the application serves Prometheus; nil where it
	// does not.
	ApplicationMetrics *corev1.HTTPGetAction `json:"applicationMetrics,omitempty"`
	// PreStopSeconds is how long the injector lets containers sleep before they are
	// told to stop; the pod's grace period was raised by as much. 0 where it has
	// added no hook.
	PreStopSeconds int64 `json:"preStopSeconds,omitempty"`
}

// ProbePath is the path under which PortProbes carries out a probe of that name:
// "/<token>/<container>/<probe>".
func (s *Settings) ProbePath(name string) string {
	if s.ProbeToken == "" {
		return name // as releases wrote it that had no tokens
	}
	return "/" + s.ProbeToken + name
}

// Probe is one probe or lifecycle hook; exactly one of the three is set. Ports
// are numbers.
type Probe struct {
	HTTPGet        *corev1.HTTPGetAction   `json:"httpGet,omitempty"`
	TCPSocket      *corev1.TCPSocketAction `json:"tcpSocket,omitempty"`
	GRPC           *corev1.GRPCAction      `json:"grpc,omitempty"`
	TimeoutSeconds int32                   `json:"timeoutSeconds,omitempty"`
}

// Encode returns the text form, the same for equal settings. No "$" is in it: the
// kubelet would take "$(NAME)" in a variable for the value of another one.
func (s *Settings) Encode() (string, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("settings of the sidecar: %w", err)
	}
	return strings.ReplaceAll(string(raw), "$", `\u0024`), nil
}

// ParseSettings reads what Encode has written. What it does not know it ignores,
// so that an agent works with an injector that is one release ahead.
func ParseSettings(text string) (*Settings, error) {
	if text == "" {
		return nil, errors.New(SettingsVariable + " is empty: this program was not started by the injector")
	}
	var s Settings
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&s); err != nil {
		return nil, fmt.Errorf("%s: %w", SettingsVariable, err)
	}
	if s.Controller == "" || s.TrustDomain == "" {
		return nil, errors.New(SettingsVariable + ": controller and trustDomain are needed")
	}
	return &s, nil
}
