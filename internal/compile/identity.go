package compile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	"github.com/smi-project/smi/mesh"
)

// account is a ServiceAccount that pods run as, with what is served there.
type account struct {
	name mesh.Account
	// ports are the pods' TCP ports that are served, by number.
	ports map[uint16]mesh.Protocol
	// servicePorts are the numbers under which Services offer them.
	servicePorts map[uint16]uint16
}

// same is true where an account has more or fewer pods of the same kind.
func (a *account) same(o *account) bool {
	return a.name == o.name && maps.Equal(a.ports, o.ports) && maps.Equal(a.servicePorts, o.servicePorts)
}

// speaksHTTP tells whether any port of the account's pods may speak HTTP.
func (a *account) speaksHTTP() bool {
	for _, protocol := range a.ports {
		if protocol != mesh.TCP {
			return true
		}
	}
	return false
}

// binding is an IdentityBinding with its schemes resolved (ID-4).
type binding struct {
	// accounts are those of the trust domain, sorted.
	accounts []mesh.Account
	findings []mesh.Finding
}

// same is true where pods of the namespace came or went that the binding does
// not mean.
func (b *binding) same(o *binding) bool {
	return slices.Equal(b.accounts, o.accounts) && slices.Equal(b.findings, o.findings)
}

type bindingInputs struct {
	object *access.IdentityBinding
	// pods are those of the binding's namespace.
	pods        []*pod
	trustDomain string
}

func (i bindingInputs) equal(o bindingInputs) bool {
	return i.object == o.object && i.trustDomain == o.trustDomain && slices.Equal(i.pods, o.pods)
}

func buildBinding(in bindingInputs) *binding {
	r := reportOn(kindBinding, in.object)
	schemes := in.object.Spec.Schemes
	b := &binding{}
	accounts := map[mesh.Account]bool{}
	selector := schemes.PodLabelSelector
	switch {
	case selector != nil && len(selector.MatchLabels) == 0:
		r.errorf(place{"ID-4", "spec.schemes.podLabelSelector", "EmptySelector"}, "the selector is empty, which voids the whole binding: name labels, or remove it")
	case selector != nil && schemes.ServiceAccount != "":
		r.errorf(place{"ID-4", "spec.schemes", "AmbiguousSchemes"}, "serviceAccount and podLabelSelector exclude each other, which voids the whole binding: use two bindings")
	default:
		if schemes.ServiceAccount != "" {
			accounts[mesh.Account{Namespace: in.object.Namespace, Name: schemes.ServiceAccount}] = true
		}
		if selector != nil {
			bindSelected(r, in, accounts)
		}
		for i, id := range schemes.SPIFFEIdentities {
			bindSPIFFE(r, in, i, id, accounts)
		}
		if len(accounts) == 0 {
			r.warnf(place{"ID-4", "spec.schemes", "NoIdentity"}, "stands for nobody")
		}
	}
	b.accounts = slices.SortedFunc(maps.Keys(accounts), mesh.Account.Compare)
	b.findings = r.findings
	return b
}

// bindSelected adds the accounts all of whose pods the selector covers (ID-5).
func bindSelected(r *report, in bindingInputs, accounts map[mesh.Account]bool) {
	selector := in.object.Spec.Schemes.PodLabelSelector.MatchLabels
	selected, all := map[mesh.Account]int{}, map[mesh.Account]int{}
	for _, p := range in.pods {
		all[p.account]++
		if selects(selector, p.labels) {
			selected[p.account]++
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(selected), mesh.Account.Compare) {
		if selected[a] == all[a] {
			accounts[a] = true
			continue
		}
		r.errorf(place{"ID-5", "spec.schemes.podLabelSelector", "PartialSelector"},
			"selects %d of the %d pods of ServiceAccount %s; certificates cannot tell them apart, so the selector grants it nothing: give these pods an account of their own", selected[a], all[a], a.Name)
	}
}

// bindSPIFFE adds the account of a SPIFFE id of the binding's own namespace.
func bindSPIFFE(r *report, in bindingInputs, i int, written string, accounts map[mesh.Account]bool) {
	at := place{"ID-4", fmt.Sprintf("spec.schemes.spiffeIdentities[%d]", i), "InvalidIdentity"}
	id, err := spiffeid.FromString("spiffe://" + strings.TrimPrefix(written, "spiffe://"))
	if err != nil {
		r.errorf(at, "%s is no SPIFFE id (%v); it stands for nobody", quote(written), err)
		return
	}
	if id.TrustDomain().Name() != in.trustDomain {
		at.reason = "UntrustedDomain"
		r.errorf(at, "no trust bundle is configured for the trust domain %s, so nobody can prove to be %s", id.TrustDomain().Name(), quote(written))
		return
	}
	a, ok := mesh.Principal(id.String()).Account(in.trustDomain)
	switch {
	case !ok:
		r.errorf(at, "%s has not the form spiffe://%s/ns/NAMESPACE/sa/SERVICEACCOUNT; it stands for nobody", quote(written), in.trustDomain)
	case a.Namespace != in.object.Namespace:
		at.reason = "ForeignNamespace"
		r.errorf(at, "belongs to namespace %s, and a binding speaks for its own namespace only; it contributes nothing", a.Namespace)
	default:
		accounts[a] = true
	}
}

// selects tells whether labels satisfy an equality selector.
func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if have, ok := labels[key]; !ok || have != value {
			return false
		}
	}
	return true
}
