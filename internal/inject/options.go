package inject

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/mesh"
)

// DefaultPreStopSeconds is how long containers go on serving while endpoints are
// withdrawn, unless something else is asked for.
const DefaultPreStopSeconds = 5

// maxPreStopSeconds bounds what a pod can ask for.
const maxPreStopSeconds = 3600

// Options are what the mesh decides for all pods.
type Options struct {
	// Image is the sidecar's, with registry and tag or digest.
	Image string
	// PullPolicy of that image; IfNotPresent if empty.
	PullPolicy corev1.PullPolicy
	// PullSecrets name Secrets in the pod's namespace that its registry asks for.
	PullSecrets []string
	// Controller is the "host:port" of the control plane.
	Controller string
	// TrustDomain is that of the mesh (ID-1).
	TrustDomain string
	// Resources are those of the sidecar.
	Resources corev1.ResourceRequirements
	// LogLevel is the sidecar's: debug, info, warn or error; info if empty.
	LogLevel string
	// ExcludeInbound, ExcludeOutbound and ExcludeCIDRs pass all sidecars by. The
	// annotations of a pod add to them.
	ExcludeInbound, ExcludeOutbound []uint16
	ExcludeCIDRs                    []netip.Prefix
	// SystemNamespaces are never injected; kube-system is always one of them.
	SystemNamespaces []string
	// PreStopSeconds is how long a container without a preStop hook goes on serving
	// while endpoints are withdrawn; 0 adds no hook, as clusters older than
	// Kubernetes 1.30 need it. See DefaultPreStopSeconds.
	PreStopSeconds int64
	// Mode is that of a namespace (AC-16); strict everywhere if nil.
	Mode func(*corev1.Namespace) mesh.Mode
	// Version is left on injected pods.
	Version string
	// Token makes what the kubelet proves itself with to a pod's probes: 26 letters
	// and digits of base32 that nobody can guess. It is crypto/rand.Text if nil, and
	// something else in tests alone.
	Token func() string
}

// Injector brings pods into the mesh. It is safe for concurrent use.
type Injector struct {
	options Options
}

// New returns an Injector. Its error names the option that is wrong.
func New(options Options) (*Injector, error) {
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("sidecar injection: %w", err)
	}
	if options.PullPolicy == "" {
		options.PullPolicy = corev1.PullIfNotPresent
	}
	if options.Mode == nil {
		options.Mode = func(*corev1.Namespace) mesh.Mode { return mesh.Strict }
	}
	if options.Version == "" {
		options.Version = "unknown"
	}
	if options.Token == nil {
		options.Token = rand.Text
	}
	options.ExcludeCIDRs = slices.Clone(options.ExcludeCIDRs)
	for i, cidr := range options.ExcludeCIDRs {
		options.ExcludeCIDRs[i] = cidr.Masked()
	}
	options.SystemNamespaces = append(slices.Clone(options.SystemNamespaces), "kube-system")
	return &Injector{options: options}, nil
}

func (o *Options) validate() error {
	if o.Image == "" {
		return errors.New("image: the sidecar's image is not named")
	}
	if !slices.Contains([]corev1.PullPolicy{"", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}, o.PullPolicy) {
		return fmt.Errorf("pull policy: %q is none of Always, IfNotPresent and Never", o.PullPolicy)
	}
	host, port, err := net.SplitHostPort(o.Controller)
	if _, number := portNumber(port); err != nil || host == "" || !number {
		return fmt.Errorf("controller: %q is no address such as smi-controller.smi-system.svc:15012", o.Controller)
	}
	if _, err := spiffeid.TrustDomainFromString(o.TrustDomain); err != nil {
		return fmt.Errorf("trust domain: %q: %w", o.TrustDomain, err)
	}
	if !slices.Contains([]string{"", "debug", "info", "warn", "error"}, o.LogLevel) {
		return fmt.Errorf("log level: %q is none of debug, info, warn and error", o.LogLevel)
	}
	if o.PreStopSeconds < 0 || o.PreStopSeconds > maxPreStopSeconds {
		return fmt.Errorf("preStop seconds: %d is not between 0 and %d", o.PreStopSeconds, maxPreStopSeconds)
	}
	if slices.Contains(o.PullSecrets, "") {
		return errors.New("pull secrets: a name is empty")
	}
	for _, port := range o.ExcludeInbound {
		if isReserved(int32(port)) {
			return fmt.Errorf("excluded inbound ports: %d is the sidecar's", port)
		}
	}
	if slices.Contains(o.ExcludeInbound, 0) || slices.Contains(o.ExcludeOutbound, 0) {
		return errors.New("excluded ports: 0 is no port")
	}
	for _, cidr := range o.ExcludeCIDRs {
		if !cidr.IsValid() || cidr.Addr().Is4In6() {
			return fmt.Errorf("excluded CIDRs: %s is no network such as 10.0.0.0/8 or fd00::/8", cidr)
		}
	}
	return nil
}
