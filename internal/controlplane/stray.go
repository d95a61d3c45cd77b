package controlplane

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/smi-project/smi/mesh"
)

// rulePrefixes begin the names of the resources that hold what a port's sources are
// granted: "access|<port>..." and "inner|<port>".
var rulePrefixes = []string{"access|", "inner|"}

// epochBase is what a control plane counts withdrawals after: another one for each,
// so that a filter chain which was named by another control plane is never taken for
// one of this one's.
func epochBase() uint64 {
	return rand.Uint64N(1<<40) << 20 //nolint:gosec // keeps names apart, protects nothing
}

// servedPort is a port of the pods of an account.
type servedPort struct {
	account mesh.Account
	port    uint16
}

// stray takes over that a proxy came with other rules than it should have. Nobody
// was there to tell whether something was withdrawn in between, so all that is open
// at these ports is closed (AC-17), once for every state of the account's policy. What
// the account does not serve needs nothing: chains that are gone are drained by that
// alone. Nor does it let a proxy name ports without end.
func (c *ControlPlane) stray(node string, names []string) {
	namespace, name, _ := strings.Cut(node, "/")
	pod, found := c.config.Store.Snapshot().Pods.Get(namespace, name)
	if !found {
		return
	}
	account := AccountOf(pod)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mesh == nil {
		return
	}
	policy := c.mesh.Policy(account)
	for port := range portsOf(names) {
		if !serves(c.mesh, account, port) {
			continue
		}
		key := servedPort{account, port}
		if last, done := c.closed[key]; done && last == policy {
			continue
		}
		c.closed[key] = policy
		c.epochs = c.epochs.Bump(account, port, sourcesOf(policy, port)...)
		c.config.Logger.Info("a proxy missed a change of its rules; what is open there is closed", "node", node, "account", account.String(), "port", port)
		c.Changed()
	}
}

// serves tells whether pods of the account have the port.
func serves(m *mesh.Mesh, account mesh.Account, port uint16) bool {
	return slices.ContainsFunc(m.Workloads, func(w *mesh.Workload) bool {
		return w.Account == account && slices.ContainsFunc(w.Ports, func(p mesh.InboundPort) bool { return p.Number == port })
	})
}

// forgetClosed forgets what was closed for a policy that is another one by now, and
// at ports that are gone.
func (c *ControlPlane) forgetClosed() {
	maps.DeleteFunc(c.closed, func(at servedPort, policy *mesh.Policy) bool {
		return c.mesh.Policy(at.account) != policy || !serves(c.mesh, at.account, at.port)
	})
}

// portsOf are the ports that the names of rules are about.
func portsOf(names []string) map[uint16]bool {
	ports := map[uint16]bool{}
	for _, name := range names {
		_, rest, _ := strings.Cut(name, "|")
		text, _, _ := strings.Cut(rest, "|")
		if port, err := strconv.ParseUint(text, 10, 16); err == nil {
			ports[uint16(port)] = true
		}
	}
	return ports
}

// sourcesOf are those that a policy grants something at a port, or at any that
// nothing has named.
func sourcesOf(policy *mesh.Policy, port uint16) []mesh.Principal {
	if policy == nil {
		return nil
	}
	sources := map[mesh.Principal]bool{}
	for _, g := range policy.Grants {
		if port != mesh.AnyPort && !g.Covers(port) {
			continue
		}
		for _, source := range g.Sources {
			sources[source] = true
		}
	}
	return slices.Collect(maps.Keys(sources))
}
