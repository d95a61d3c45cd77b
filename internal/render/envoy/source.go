package envoy

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// sourceDomain ends the server names that meshed clients send. Nothing else in
// a mesh uses it, which tells their connections from others.
const sourceDomain = "smi"

// maxSourceChains is how many sources of one port have a filter chain each.
// Above it, sources share chains by the last byte of their hash.
const maxSourceChains = 256

// SourceName is the server name (SNI) that a meshed client sends: a hash of its
// identity as "<30 hex digits>.<2 hex digits>.smi". It chooses a filter chain
// of the server and proves nothing; authorisation asks for the verified
// identity beside it.
func SourceName(p mesh.Principal) string {
	sum := sha256.Sum256([]byte(p))
	digits := hex.EncodeToString(sum[:16])
	return digits[:30] + "." + digits[30:] + "." + sourceDomain
}

// sourceBucket is the wildcard that covers the source's server name and those
// of all sources that share its bucket.
func sourceBucket(p mesh.Principal) string {
	return "*" + SourceName(p)[30:]
}

// sourceKey is what grants are looked up by: the server name that a peer sent
// and the identity that it proved. A peer that sends another's server name
// matches nothing.
func sourceKey(p mesh.Principal) string { return SourceName(p) + " " + string(p) }

// grantedSources lists the principals that a policy grants anything on the
// port, sorted.
func grantedSources(policy *mesh.Policy, port mesh.InboundPort) []mesh.Principal {
	if policy == nil {
		return nil
	}
	var sources []mesh.Principal
	for _, g := range policy.Grants {
		if g.Covers(port.Number) && (g.Connections || port.Protocol != mesh.TCP) {
			sources = append(sources, g.Sources...)
		}
	}
	slices.Sort(sources)
	return slices.Compact(sources)
}
