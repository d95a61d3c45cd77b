package inject

import (
	"regexp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/internal/sidecar"
)

// check is a probe or a lifecycle hook of a container.
type check struct {
	// name is the probe's in the sidecar's settings; field is where the pod has it.
	name, field string
	// seconds is the probe's timeout; 0 for hooks.
	seconds int32
	http    **corev1.HTTPGetAction
	// tcp and grpc are nil for hooks: Kubernetes carries out hooks by HTTP only.
	tcp  **corev1.TCPSocketAction
	grpc **corev1.GRPCAction
	exec **corev1.ExecAction
}

// checks are what the kubelet does to a container, as far as it does anything.
func checks(c container) []check {
	var found []check
	for _, p := range []struct {
		kind  string
		field string
		probe *corev1.Probe
	}{
		{"readiness", "readinessProbe", c.ReadinessProbe},
		{"liveness", "livenessProbe", c.LivenessProbe},
		{"startup", "startupProbe", c.StartupProbe},
	} {
		if p.probe == nil {
			continue
		}
		found = append(found, check{
			name: checkName(c.Name, p.kind), field: c.field + "." + p.field, seconds: p.probe.TimeoutSeconds,
			http: &p.probe.HTTPGet, tcp: &p.probe.TCPSocket, grpc: &p.probe.GRPC, exec: &p.probe.Exec,
		})
	}
	if c.Lifecycle == nil {
		return found
	}
	for _, h := range []struct {
		kind string
		hook *corev1.LifecycleHandler
	}{
		{"postStart", c.Lifecycle.PostStart},
		{"preStop", c.Lifecycle.PreStop},
	} {
		if h.hook == nil {
			continue
		}
		found = append(found, check{
			name: checkName(c.Name, h.kind), field: c.field + ".lifecycle." + h.kind,
			http: &h.hook.HTTPGet, exec: &h.hook.Exec,
		})
	}
	return found
}

func checkName(container, kind string) string { return "/" + container + "/" + kind }

// rewriteProbes leads what the kubelet asks the application over the network
// through the sidecar, which the kubelet can reach without a grant (AC-14).
// Periods, thresholds and grace periods stay in the pod; what is asked moves to
// the sidecar's settings.
func (j *injection) rewriteProbes() {
	for c := range j.containers() {
		for _, check := range checks(c) {
			probe, ok := j.original(c, check)
			if !ok {
				continue
			}
			if j.settings.Probes == nil {
				j.settings.Probes = map[string]sidecar.Probe{}
				j.settings.ProbeToken = j.probeToken()
			}
			j.settings.Probes[check.name] = probe
			check.set(sidecar.Probe{HTTPGet: &corev1.HTTPGetAction{
				Path: j.settings.ProbePath(check.name), Port: intstr.FromInt32(sidecar.PortProbes), Scheme: corev1.URISchemeHTTP,
			}})
		}
	}
}

// tokens are the form of Options.Token.
var tokens = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// probeToken keeps strangers from the probes' port, by which they could run hooks
// that stop the application. An earlier run's stays, as the pod has it already.
func (j *injection) probeToken() string {
	if j.earlier != nil && tokens.MatchString(j.earlier.settings.ProbeToken) {
		return j.earlier.settings.ProbeToken
	}
	return j.options.Token()
}

// original is what the sidecar has to ask in the kubelet's place. There is
// nothing where a command answers, and where not exactly one thing is asked, which
// Kubernetes refuses.
func (j *injection) original(c container, check check) (sidecar.Probe, bool) {
	probe := sidecar.Probe{HTTPGet: *check.http, TimeoutSeconds: check.seconds}
	if check.tcp != nil {
		probe.TCPSocket, probe.GRPC = *check.tcp, *check.grpc
	}
	if *check.exec != nil || handlers(probe) != 1 {
		return sidecar.Probe{}, false
	}
	switch {
	case probe.HTTPGet != nil:
		probe.HTTPGet.Port = j.number(c, probe.HTTPGet.Port, check.field+".httpGet.port")
	case probe.TCPSocket != nil:
		probe.TCPSocket.Port = j.number(c, probe.TCPSocket.Port, check.field+".tcpSocket.port")
	default:
		j.number(c, intstr.FromInt32(probe.GRPC.Port), check.field+".grpc.port")
	}
	return probe, true
}

// handlers counts what a probe asks.
func handlers(p sidecar.Probe) int {
	count := 0
	for _, set := range []bool{p.HTTPGet != nil, p.TCPSocket != nil, p.GRPC != nil} {
		if set {
			count++
		}
	}
	return count
}

// set replaces what is asked.
func (c check) set(probe sidecar.Probe) {
	*c.http = probe.HTTPGet
	if c.tcp != nil {
		*c.tcp, *c.grpc = probe.TCPSocket, probe.GRPC
	}
}

// number finds the number of a port as the kubelet does: names are those of the
// container's own ports.
func (j *injection) number(c container, port intstr.IntOrString, field string) intstr.IntOrString {
	number := port.IntVal
	if port.Type == intstr.String {
		number, _ = portNamed(c.Container, port.StrVal)
	}
	switch {
	case number < 1 || number > 65535:
		j.found.add(InvalidProbe, field, port.String())
	case isReserved(number):
		// The sidecar would ask itself, and again and again.
		j.found.add(SidecarPort, field, port.String())
	}
	return intstr.FromInt32(number)
}
