package compile

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// accountSet are the accounts that pods run as.
type accountSet struct {
	byName map[mesh.Account]*account
	names  *accountNames
}

// accountNames stand for the names alone, which change seldom.
type accountNames struct{ all map[mesh.Account]*account }

// same is true where the accounts have the same names, whatever they serve.
func (n *accountNames) same(o *accountNames) bool {
	if len(n.all) != len(o.all) {
		return false
	}
	for name := range n.all {
		if o.all[name] == nil {
			return false
		}
	}
	return true
}

type accountNamesInputs struct{ all map[mesh.Account]*account }

// equal is left to what becomes of the inputs.
func (accountNamesInputs) equal(accountNamesInputs) bool { return false }

func buildAccountNames(in accountNamesInputs) *accountNames { return &accountNames{in.all} }

type accountStageInputs struct {
	pods     *podSet
	services *serviceSet
}

func (c *Compiler) resolveAccounts(in accountStageInputs) *accountSet {
	c.accounts.begin()
	c.names.begin()
	inputs := make(map[mesh.Account]*accountInputs, len(c.accounts.entries))
	var order []*accountInputs
	for _, p := range in.pods.all {
		of := inputs[p.account]
		if of == nil {
			of = &accountInputs{name: p.account}
			inputs[p.account] = of
			order = append(order, of)
		}
		of.ports = append(of.ports, in.services.ports[p])
	}
	out := &accountSet{byName: make(map[mesh.Account]*account, len(inputs))}
	for _, of := range order {
		out.byName[of.name] = c.accounts.get(of.name, *of, buildAccount)
	}
	out.names = c.names.get(struct{}{}, accountNamesInputs{out.byName}, buildAccountNames)
	c.accounts.end()
	c.names.end()
	return out
}

// policySet are what all TrafficTargets grant, by destination account.
type policySet struct {
	// all are sorted by account.
	all       []*mesh.Policy
	byAccount map[mesh.Account]*mesh.Policy
	findings  []mesh.Finding
}

type policyStageInputs struct {
	targets  *store.Table[*access.TrafficTarget]
	context  targetContext
	accounts *accountSet
}

// targetContext is what TrafficTargets refer to, but for the account of the
// destination: an equal context and an equal object give equal references.
type targetContext struct {
	serviceAccounts *store.Table[*corev1.ServiceAccount]
	udpRoutes       *store.Table[*specs.UDPRoute]
	bindings        *bindingSet
	routes          *routes
	accounts        *accountNames
}

func (c *Compiler) resolveTargets(in policyStageInputs) *policySet {
	c.targets.begin()
	out := &policySet{}
	byAccount := make(map[mesh.Account]*policyInputs, len(c.policies.entries))
	var order []*policyInputs
	for _, o := range in.targets.All() {
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		g, ok := c.targets.kept(name, func(last targetInputs) bool {
			return last.object == o && last.context == in.context && last.account == in.accounts.byName[last.accountName]
		})
		if !ok {
			g = c.targets.get(name, c.targetInputs(o, in), buildTarget)
		}
		out.findings = append(out.findings, g.findings...)
		if g.grant == nil {
			continue
		}
		for _, a := range g.destinations {
			of := byAccount[a]
			if of == nil {
				of = &policyInputs{account: a}
				byAccount[a] = of
				order = append(order, of)
			}
			of.targets = append(of.targets, g)
		}
	}
	c.targets.end()
	c.collectPolicies(order, out)
	return out
}

func (c *Compiler) collectPolicies(order []*policyInputs, out *policySet) {
	c.policies.begin()
	out.byAccount = make(map[mesh.Account]*mesh.Policy, len(order))
	out.all = make([]*mesh.Policy, 0, len(order))
	for _, of := range order {
		p := c.policies.get(of.account, *of, buildPolicy)
		out.byAccount[of.account] = p
		out.all = append(out.all, p)
	}
	slices.SortFunc(out.all, func(a, b *mesh.Policy) int { return a.Account.Compare(b.Account) })
	c.policies.end()
}

func (c *Compiler) targetInputs(o *access.TrafficTarget, in policyStageInputs) targetInputs {
	inputs := targetInputs{object: o, context: in.context, trustDomain: c.config.TrustDomain}
	inputs.destination = in.context.subject(o.Namespace, o.Spec.Destination)
	inputs.accountName = mesh.Account{Namespace: o.Namespace, Name: o.Spec.Destination.Name}
	if b := inputs.destination.binding; b != nil && len(b.accounts) > 0 {
		inputs.accountName = b.accounts[0]
	}
	inputs.account = in.accounts.byName[inputs.accountName]
	inputs.sources = make([]subject, len(o.Spec.Sources))
	for i, s := range o.Spec.Sources {
		inputs.sources[i] = in.context.subject(o.Namespace, s)
	}
	inputs.rules = make([]rule, len(o.Spec.Rules))
	for i, r := range o.Spec.Rules {
		name := mesh.Name{Namespace: o.Namespace, Name: r.Name}
		switch r.Kind {
		case kindHTTPRouteGroup:
			inputs.rules[i].group = in.context.routes.groups[name]
		case kindTCPRoute:
			inputs.rules[i].ports = in.context.routes.ports[name]
		case kindUDPRoute:
			_, inputs.rules[i].exists = in.context.udpRoutes.Get(o.Namespace, r.Name)
		}
	}
	return inputs
}

func (t targetContext) subject(namespace string, s access.IdentityBindingSubject) subject {
	if s.Namespace != "" {
		namespace = s.Namespace
	}
	name := mesh.Name{Namespace: namespace, Name: s.Name}
	if s.Kind == kindBinding {
		return subject{binding: t.bindings.byName[name]}
	}
	if s.Name == "default" || t.accounts.all[name] != nil {
		return subject{known: true}
	}
	_, known := t.serviceAccounts.Get(namespace, s.Name)
	return subject{known: known}
}
