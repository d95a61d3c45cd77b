package worldgen

import (
	"fmt"

	access "github.com/smi-project/smi/api/access/v1alpha4"
)

func (b *builder) identityBindings(namespace string) {
	for _, name := range bindingNames[:b.between(1, 2)] {
		binding := &access.IdentityBinding{ObjectMeta: meta(namespace, name)}
		schemes := &binding.Spec.Schemes
		if b.percent(45) {
			schemes.ServiceAccount = accountName(pick(b.dice, b.podsIn(namespace)))
		}
		if b.percent(40) {
			schemes.PodLabelSelector = &access.PodLabelSelector{MatchLabels: b.selector(namespace)}
		}
		if b.percent(8) {
			schemes.PodLabelSelector = &access.PodLabelSelector{}
		}
		for b.percent(40) {
			schemes.SPIFFEIdentities = append(schemes.SPIFFEIdentities, b.spiffeID(namespace))
		}
		b.w.IdentityBindings = append(b.w.IdentityBindings, binding)
	}
}

// spiffeID is mostly one of the binding's own namespace; the others contribute nothing.
func (b *builder) spiffeID(namespace string) string {
	pod := pick(b.dice, b.podsIn(namespace))
	if b.percent(20) {
		pod = pick(b.dice, b.w.Pods)
	}
	id := fmt.Sprintf("%s/ns/%s/sa/%s", pick(b.dice, []string{"cluster.local", "cluster.local", "cluster.local", "other.domain"}), pod.Namespace, accountName(pod))
	if b.percent(8) {
		id += "/more"
	}
	if b.percent(60) {
		id = "spiffe://" + id
	}
	return id
}

func (b *builder) trafficTargets(namespace string) {
	for i := range b.between(5, 10) {
		target := &access.TrafficTarget{ObjectMeta: meta(namespace, fmt.Sprintf("tt%d", i))}
		target.Spec.Destination = b.destination(namespace)
		if !b.percent(3) {
			for range b.between(1, 5) {
				target.Spec.Sources = append(target.Spec.Sources, b.source(namespace))
			}
		}
		if !b.percent(3) {
			for range pick(b.dice, []int{1, 1, 1, 1, 2, 2, 3}) {
				target.Spec.Rules = append(target.Spec.Rules, b.rule())
			}
		}
		b.w.TrafficTargets = append(b.w.TrafficTargets, target)
	}
}

// destination is in the target's namespace but now and then, which is refused.
func (b *builder) destination(namespace string) access.IdentityBindingSubject {
	if b.percent(2) {
		return access.IdentityBindingSubject{}
	}
	subject := b.subject(namespace)
	if b.percent(7) {
		subject = b.subject(pick(b.dice, b.namespaces))
	}
	if subject.Namespace == namespace && b.percent(60) {
		subject.Namespace = ""
	}
	return subject
}

// source is anywhere; without a namespace it means the target's own, whatever account that names there.
func (b *builder) source(namespace string) access.IdentityBindingSubject {
	subject := b.subject(pick(b.dice, b.namespaces))
	switch {
	case b.percent(2):
		subject.Kind = "User"
	case subject.Namespace == namespace && b.percent(50), b.percent(5):
		subject.Namespace = ""
	}
	return subject
}

func (b *builder) subject(namespace string) access.IdentityBindingSubject {
	if b.percent(20) {
		subject := access.IdentityBindingSubject{Kind: "IdentityBinding", Namespace: namespace, Name: pick(b.dice, bindingNames)}
		if b.percent(30) {
			subject.Group = access.GroupName
		}
		if b.percent(10) {
			subject.Name = missing
		}
		return subject
	}
	return access.IdentityBindingSubject{Kind: "ServiceAccount", Namespace: namespace, Name: accountName(pick(b.dice, b.podsIn(namespace)))}
}

func (b *builder) rule() access.TrafficTargetRule {
	rule := access.TrafficTargetRule{}
	switch kind := b.IntN(100); {
	case kind < 62:
		rule.Kind, rule.Name = "HTTPRouteGroup", pick(b.dice, groupNames)
		if b.percent(35) {
			rule.Matches = some(b.dice, matchNames, b.between(1, 3))
			if b.percent(15) {
				rule.Matches = append(rule.Matches, missing)
			}
		}
	case kind < 90:
		rule.Kind, rule.Name = "TCPRoute", pick(b.dice, tcpNames)
		if b.percent(3) {
			rule.Matches = []string{pick(b.dice, []string{"tcp", missing})}
		}
	case kind < 96:
		rule.Kind, rule.Name = "UDPRoute", "u0"
	default:
		rule.Kind, rule.Name = pick(b.dice, unknownRuleKinds), pick(b.dice, groupNames)
	}
	if b.percent(5) {
		rule.Name = missing
	}
	return rule
}
