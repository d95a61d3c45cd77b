package envoy

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/smi-project/smi/mesh"
)

// sourceDomain ends the server names that meshed clients send. Nothing else in
// a mesh uses it, which tells their connections from others.
const sourceDomain = "smi"

// maxSourceChains is how many sources of one port have a filter chain each.
// Above it, sources share sourceBuckets chains by a digit of their hash. Envoy
// keeps a copy of the port's rules for each chain, and the rules grow with the
// sources: without a bound, ten thousand sources would take it a minute.
const (
	maxSourceChains = 128
	sourceBuckets   = 16
)

// SourceName is the server name (SNI) that a meshed client sends: a hash of its
// identity as "<30 hex digits>.<2 hex digits>.smi". It chooses a filter chain
// of the server and proves nothing; authorisation asks for the verified
// identity beside it.
func SourceName(p mesh.Principal) string {
	sum := sha256.Sum256([]byte(p))
	name := make([]byte, 0, 34+len(sourceDomain))
	name = append(hex.AppendEncode(name, sum[:15]), '.')
	name = append(hex.AppendEncode(name, sum[15:16]), '.')
	return string(append(name, sourceDomain...))
}

// sourceBucket is the first digit of the second label of the source's server
// name.
func sourceBucket(p mesh.Principal) string { return SourceName(p)[31:32] }

// bucketNames are wildcards that cover the server names of all sources of a
// bucket. An entry for each value of the label's other digit.
func bucketNames(bucket string) []string {
	names := make([]string, sourceBuckets)
	for i := range names {
		names[i] = "*." + bucket + strconv.FormatInt(int64(i), sourceBuckets) + "." + sourceDomain
	}
	return names
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
