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

// Lengths of the labels of a server name.
const (
	sourceLabel = 30
	bucketLabel = 2
)

// SourceName is the server name (SNI) that a meshed client sends: a hash of its
// identity as "<30 hex digits>.<2 hex digits>.smi". It chooses a filter chain
// of the server and proves nothing; authorisation asks for the verified
// identity beside it.
func SourceName(p mesh.Principal) string {
	sum := sha256.Sum256([]byte(p))
	name := make([]byte, 0, sourceLabel+bucketLabel+len(sourceDomain)+2)
	name = append(hex.AppendEncode(name, sum[:sourceLabel/2]), '.')
	name = append(hex.AppendEncode(name, sum[sourceLabel/2:(sourceLabel+bucketLabel)/2]), '.')
	return string(append(name, sourceDomain...))
}

// bucketOf is the second label of a source's server name: what sources without
// a filter chain of their own share one by.
func bucketOf(serverName string) string {
	return serverName[sourceLabel+1 : sourceLabel+1+bucketLabel]
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
		if covers(g, port) {
			sources = append(sources, g.Sources...)
		}
	}
	slices.Sort(sources)
	return slices.Compact(sources)
}

// covers tells whether a grant allows anything at the port.
func covers(g *mesh.Grant, port mesh.InboundPort) bool {
	return g.Covers(port.Number) && (g.Connections || port.Protocol != mesh.TCP)
}
