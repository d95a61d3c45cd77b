package config

import (
	"net/netip"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/sidecar"
)

// Meaning is what the configuration says of the meaning of resources. The ranges of
// pods and of Services that the cluster tells count where the configuration has none.
func (c *Controller) Meaning(pods, services []netip.Prefix) compile.Config {
	if len(c.PodCIDRs) > 0 {
		pods = Prefixes(c.PodCIDRs)
	}
	if len(c.ServiceCIDRs) > 0 {
		services = Prefixes(c.ServiceCIDRs)
	}
	return compile.Config{
		TrustDomain: c.TrustDomain, ClusterDomain: c.ClusterDomain,
		Mode: c.Mode, Floor: c.ModeFloor, Sidecars: true, PodRanges: pods, ServiceRanges: services,
		Excluded: c.Exclude.Redirection(),
	}
}

// Redirection is what the configuration excludes from redirection in every pod.
func (e *Exclude) Redirection() sidecar.Redirection {
	return sidecar.Redirection{ExcludeInbound: e.InboundPorts, ExcludeOutbound: e.OutboundPorts, ExcludeCIDRs: Prefixes(e.CIDRs)}
}

// Rendering is what the configuration says of what proxies are told.
func (c *Controller) Rendering() envoy.Options {
	options := envoy.Options{
		TrustDomain: c.TrustDomain, ClusterDomain: c.ClusterDomain,
		EncodedSlashes: c.EncodedSlashes, RefuseOutside: c.Egress == DenyEgress,
		Metrics: map[Metrics]envoy.Metrics{MetricsALS: envoy.ALS, MetricsStats: envoy.Stats, MetricsNone: envoy.NoMetrics}[c.Metrics],
	}
	if c.AccessLog {
		options.AccessLogPath = "/dev/stdout"
	}
	return options
}

// Prefixes are ranges that the configuration has validated.
func Prefixes(written []string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range written {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
