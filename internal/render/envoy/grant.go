package envoy

import (
	"slices"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	networkrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"

	"github.com/smi-project/smi/mesh"
)

// formatConnectionGrant is the TrafficTarget that allowed a connection, as the
// filter of discoveredGrants found it with the connection's first bytes.
const formatConnectionGrant = "%DYNAMIC_METADATA(envoy.filters.network.rbac:shadow_effective_policy_id)%"

func grantName(port uint16) string { return name("grant", port) }

// grantInputs are what the names of a port's grants depend on.
type grantInputs struct {
	policy *mesh.Policy
	port   mesh.InboundPort
}

// buildGrants names, for the access log, the TrafficTarget that allows a source
// its connections to a port. It decides nothing: the filter chain was chosen
// before, and the rules are shadow rules.
func buildGrants(_ *parts, in grantInputs) *Resource {
	rbac := &networkrbacv3.RBAC{StatPrefix: "grant"}
	if entries := connectionGrants(in.policy, in.port); len(entries) > 0 {
		rbac.ShadowMatcher = &xdsmatcherv3.Matcher{MatcherType: exactMap(keyInput, entries)}
	}
	return extensionResource(grantName(in.port.Number), rbac)
}

func connectionGrants(policy *mesh.Policy, port mesh.InboundPort) map[string]*xdsmatcherv3.Matcher_OnMatch {
	entries := map[string]*xdsmatcherv3.Matcher_OnMatch{}
	if port.Plaintext {
		entries[keyPlaintext] = allowPlaintext
	}
	if policy == nil {
		return entries
	}
	grants := slices.Clone(policy.Grants)
	slices.SortFunc(grants, func(a, b *mesh.Grant) int { return a.Target.Compare(b.Target) })
	for _, g := range grants {
		if !g.Connections || !g.Covers(port.Number) {
			continue
		}
		allow := accessAction(g.Target.String(), rbacconfigv3.RBAC_ALLOW)
		for _, s := range g.Sources {
			if key := sourceKey(s); entries[key] == nil {
				entries[key] = allow
			}
		}
	}
	return entries
}

// discoveredGrants takes the names of grants from the resource of the port. It
// travels by ECDS, since a change inside the chain would close connections.
func discoveredGrants(port uint16) *listenerv3.Filter {
	return &listenerv3.Filter{
		Name:       grantName(port),
		ConfigType: &listenerv3.Filter_ConfigDiscovery{ConfigDiscovery: discovered(&networkrbacv3.RBAC{})},
	}
}
