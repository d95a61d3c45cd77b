package config

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/smi-project/smi/mesh"
)

// Bounds of CertificateTTL and PreStopSeconds.
const (
	// Below ten minutes no mesh outlives a restart of its controllers. It is for those
	// who want to see certificates being renewed.
	minTTL     = 20 * time.Second
	maxTTL     = 30 * 24 * time.Hour
	defaultTTL = 24 * time.Hour

	defaultPreStop = 5
	maxPreStop     = 600
)

// ManagedSecret is the Secret of a certificate authority that the controller
// keeps.
const ManagedSecret = "smi-ca"

func (c *Controller) setDefaults() {
	c.TrustDomain = cmp.Or(c.TrustDomain, "cluster.local")
	c.ClusterDomain = cmp.Or(c.ClusterDomain, "cluster.local")
	c.Service = cmp.Or(c.Service, "smi-controller")
	c.Mode = cmp.Or(c.Mode, mesh.Strict)
	c.ModeFloor = cmp.Or(c.ModeFloor, mesh.Permissive)
	c.Egress = cmp.Or(c.Egress, AllowEgress)
	c.Image.Name = cmp.Or(c.Image.Name, "smi-proxy")
	c.Image.PullPolicy = cmp.Or(c.Image.PullPolicy, corev1.PullIfNotPresent)
	c.Sidecar.LogLevel = cmp.Or(c.Sidecar.LogLevel, "info")
	if c.Sidecar.PreStopSeconds == nil {
		seconds := int32(defaultPreStop)
		c.Sidecar.PreStopSeconds = &seconds
	}
	c.CA.Source = cmp.Or(c.CA.Source, ManagedCA)
	if c.CA.Source == ManagedCA && c.CA.Secret == "" {
		c.CA.Secret = ManagedSecret
	}
	c.CertificateTTL.Duration = cmp.Or(c.CertificateTTL.Duration, defaultTTL)
	c.Metrics = cmp.Or(c.Metrics, MetricsALS)
}

func (c *Controller) validate() field.ErrorList {
	var all field.ErrorList
	// The library would also take whole SPIFFE ids.
	if _, err := spiffeid.TrustDomainFromString(c.TrustDomain); err != nil || strings.ContainsAny(c.TrustDomain, ":/") {
		all = append(all, field.Invalid(field.NewPath("trustDomain"), c.TrustDomain, "it has lower-case letters, digits, dots, hyphens and underscores, such as mesh.example.org"))
	}
	all = append(all, names(field.NewPath("clusterDomain"), validation.IsDNS1123Subdomain, c.ClusterDomain)...)
	all = append(all, names(field.NewPath("service"), validation.IsDNS1035Label, c.Service)...)
	modes := []mesh.Mode{mesh.Strict, mesh.Permissive, mesh.Audit}
	all = append(all, oneOf(field.NewPath("mode"), c.Mode, modes...)...)
	all = append(all, oneOf(field.NewPath("modeFloor"), c.ModeFloor, modes...)...)
	all = append(all, oneOf(field.NewPath("egress"), c.Egress, AllowEgress, DenyEgress)...)
	all = append(all, oneOf(field.NewPath("metrics"), c.Metrics, MetricsALS, MetricsStats, MetricsNone)...)
	all = append(all, cidrs(field.NewPath("podCIDRs"), c.PodCIDRs)...)
	all = append(all, cidrs(field.NewPath("serviceCIDRs"), c.ServiceCIDRs)...)
	if ttl := c.CertificateTTL.Duration; ttl < minTTL || ttl > maxTTL {
		all = append(all, field.Invalid(field.NewPath("certificateTTL"), ttl.String(), "it is from "+minTTL.String()+" to "+maxTTL.String()))
	}
	all = append(all, c.Exclude.validate(field.NewPath("exclude"))...)
	all = append(all, c.Image.validate(field.NewPath("image"))...)
	all = append(all, c.Sidecar.validate(field.NewPath("sidecar"))...)
	return append(all, c.CA.validate(field.NewPath("ca"))...)
}

func (e *Exclude) validate(at *field.Path) field.ErrorList {
	var all field.ErrorList
	for i, n := range e.Namespaces {
		all = append(all, names(at.Child("namespaces").Index(i), validation.IsDNS1123Label, n)...)
	}
	for name, ports := range map[string][]uint16{"inboundPorts": e.InboundPorts, "outboundPorts": e.OutboundPorts} {
		if i := slices.Index(ports, 0); i >= 0 {
			all = append(all, field.Invalid(at.Child(name).Index(i), 0, "a port is from 1 to 65535"))
		}
	}
	return append(all, cidrs(at.Child("cidrs"), e.CIDRs)...)
}

func (i *Image) validate(at *field.Path) field.ErrorList {
	all := oneOf(at.Child("pullPolicy"), i.PullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	if strings.HasSuffix(i.Registry, "/") || strings.Contains(i.Registry, "://") {
		all = append(all, field.Invalid(at.Child("registry"), i.Registry, "write it without scheme and without a slash at the end, such as registry.example.org/mesh"))
	}
	if strings.ContainsAny(i.Name, ":@ ") {
		all = append(all, field.Invalid(at.Child("name"), i.Name, "the tag belongs into image.tag"))
	}
	for k, n := range i.PullSecrets {
		all = append(all, names(at.Child("pullSecrets").Index(k), validation.IsDNS1123Subdomain, n)...)
	}
	return all
}

func (s *Sidecar) validate(at *field.Path) field.ErrorList {
	all := oneOf(at.Child("logLevel"), s.LogLevel, "debug", "info", "warn", "error")
	if n := *s.PreStopSeconds; n < 0 || n > maxPreStop {
		all = append(all, field.Invalid(at.Child("preStopSeconds"), n, "it is from 0 to 600"))
	}
	if s.Resources == nil {
		return all
	}
	for name, limit := range s.Resources.Limits {
		if request, set := s.Resources.Requests[name]; set && request.Cmp(limit) > 0 {
			all = append(all, field.Invalid(at.Child("resources", "requests").Key(string(name)), request.String(), "it is more than the limit, "+limit.String()))
		}
	}
	return all
}

func (c *CA) validate(at *field.Path) field.ErrorList {
	all := oneOf(at.Child("source"), c.Source, ManagedCA, SecretCA)
	switch {
	case c.Source == SecretCA && c.Secret == "":
		all = append(all, field.Required(at.Child("secret"), "the name of the Secret that holds the certificate authority"))
	case c.Source == ManagedCA && c.Secret != ManagedSecret:
		all = append(all, field.Forbidden(at.Child("secret"), "with source managed it is "+ManagedSecret+"; for a certificate authority of your own write source: secret"))
	case c.Source == SecretCA:
		all = append(all, names(at.Child("secret"), validation.IsDNS1123Subdomain, c.Secret)...)
	}
	return all
}

func names(at *field.Path, check func(string) []string, name string) field.ErrorList {
	var all field.ErrorList
	for _, problem := range check(name) {
		all = append(all, field.Invalid(at, name, problem))
	}
	return all
}

func oneOf[T ~string](at *field.Path, value T, known ...T) field.ErrorList {
	if slices.Contains(known, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, known)}
}

func cidrs(at *field.Path, written []string) field.ErrorList {
	var all field.ErrorList
	for i, text := range written {
		prefix, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			all = append(all, field.Invalid(at.Index(i), text, "it is no range of addresses, such as 10.0.0.0/16 or fd00::/48"))
		case prefix != prefix.Masked():
			all = append(all, field.Invalid(at.Index(i), text, "the range that holds this address is "+prefix.Masked().String()))
		}
	}
	return all
}
