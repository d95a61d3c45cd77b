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
	directory[*account]
	names *accountNames
}

// same is true where every account serves what it served.
func (s *accountSet) same(o *accountSet) bool { return slices.Equal(s.all, o.all) }

func (a *account) fullName() mesh.Account { return a.name }

// accountNames stand for the names alone, which change seldom.
type accountNames struct{ directory[*account] }

// same is true where the accounts have the same names, whatever they serve.
func (n *accountNames) same(o *accountNames) bool {
	if n.places == o.places {
		return true
	}
	if len(n.all) != len(o.all) {
		return false
	}
	for _, a := range n.all {
		if o.get(a.name) == nil {
			return false
		}
	}
	return true
}

type accountNamesInputs struct{ directory[*account] }

// equal is left to what becomes of the inputs.
func (accountNamesInputs) equal(accountNamesInputs) bool { return false }

func buildAccountNames(in accountNamesInputs) *accountNames { return &accountNames{in.directory} }

type accountStageInputs struct {
	pods     *podSet
	services *serviceSet
}

func (c *Compiler) resolveAccounts(in accountStageInputs) *accountSet {
	c.accounts.begin()
	c.names.begin()
	all := make([]*account, len(in.pods.accounts))
	for i, of := range in.pods.accounts {
		a, ok := c.accounts.kept(of.name, func(last *accountInputs) bool {
			return slices.EqualFunc(of.pods, last.ports, func(pod int, ports *podPorts) bool { return in.services.ports[pod] == ports })
		})
		if !ok {
			inputs := accountInputs{name: of.name, ports: make([]*podPorts, len(of.pods))}
			for j, pod := range of.pods {
				inputs.ports[j] = in.services.ports[pod]
			}
			a = c.accounts.get(of.name, inputs, buildAccount)
		}
		all[i] = a
	}
	out := &accountSet{}
	var last directory[*account]
	if c.accountStage.out != nil {
		last = c.accountStage.out.directory
	}
	out.directory = newDirectory(all, (*account).fullName, last)
	out.names = c.names.get(struct{}{}, accountNamesInputs{out.directory}, buildAccountNames)
	c.accounts.end()
	c.names.end()
	return out
}

// policySet are what all TrafficTargets grant, by destination account.
type policySet struct {
	// The policies are sorted by account.
	directory[*mesh.Policy]
	// targets are what the policies were made of.
	targets  []*grants
	findings []mesh.Finding
}

// same is true where every TrafficTarget grants what it granted.
func (s *policySet) same(o *policySet) bool { return slices.Equal(s.targets, o.targets) }

func accountOfPolicy(p *mesh.Policy) mesh.Account { return p.Account }

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
	out := &policySet{targets: make([]*grants, in.targets.Len())}
	for i, o := range in.targets.All() {
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		g, ok := c.targets.kept(name, func(last *targetInputs) bool {
			return last.object == o && last.context == in.context &&
				(in.accounts.has(last.account, last.place) || last.account == in.accounts.get(last.accountName))
		})
		if !ok {
			g = c.targets.get(name, c.targetInputs(o, in), buildTarget)
		}
		out.targets[i] = g
	}
	c.targets.end()
	if last := c.policyStage.out; last == nil || !out.same(last) {
		c.collectPolicies(out)
	}
	return out
}

// collectPolicies puts together what TrafficTargets grant at each account.
func (c *Compiler) collectPolicies(out *policySet) {
	place := make(map[mesh.Account]int, len(c.policies.entries))
	order := make([]policyInputs, 0, len(c.policies.entries))
	for _, g := range out.targets {
		out.findings = append(out.findings, g.findings...)
		if g.grant == nil {
			continue
		}
		for _, a := range g.destinations {
			at, known := place[a]
			if !known {
				at = len(order)
				place[a] = at
				order = append(order, policyInputs{account: a})
			}
			order[at].targets = append(order[at].targets, g)
		}
	}
	c.policies.begin()
	all := make([]*mesh.Policy, len(order))
	for i, of := range order {
		all[i] = c.policies.get(of.account, of, buildPolicy)
	}
	slices.SortFunc(all, func(a, b *mesh.Policy) int { return a.Account.Compare(b.Account) })
	c.policies.end()
	var last directory[*mesh.Policy]
	if c.policyStage.out != nil {
		last = c.policyStage.out.directory
	}
	out.directory = newDirectory(all, accountOfPolicy, last)
}

func (c *Compiler) targetInputs(o *access.TrafficTarget, in policyStageInputs) targetInputs {
	inputs := targetInputs{object: o, context: in.context, trustDomain: c.config.TrustDomain}
	inputs.destination = in.context.subject(o.Namespace, o.Spec.Destination)
	inputs.accountName = mesh.Account{Namespace: o.Namespace, Name: o.Spec.Destination.Name}
	if b := inputs.destination.binding; b != nil && len(b.accounts) > 0 {
		inputs.accountName = b.accounts[0]
	}
	inputs.account, inputs.place = in.accounts.find(inputs.accountName)
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
	if s.Name == "default" || t.accounts.get(name) != nil {
		return subject{known: true}
	}
	_, known := t.serviceAccounts.Get(namespace, s.Name)
	return subject{known: known}
}
