package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/smi-project/smi/mesh"
)

// Question is one request, or one TCP connection, from an account to a port of
// a Service.
type Question struct {
	// From is the zero Account for a client outside the mesh, which has no
	// identity (ID-3) and whose traffic is not split (TS-12).
	From mesh.Account
	To   mesh.Name
	Port uint16
	// Connection asks for a TCP connection whose bytes are not HTTP. On a port
	// declared TCP everything is one.
	Connection bool
	// Method is GET when empty.
	Method string
	// Path is "/" when empty; it may have a query.
	Path string
	// Headers are as sent, in order. "host" is the authority.
	Headers []Header
	// EncodedSlashes lets paths with an encoded slash pass (SP-9).
	EncodedSlashes bool
}

// Header is one header line of a request.
type Header struct{ Name, Value string }

// Answer says what happens to the request and why.
type Answer struct {
	// Allowed tells whether every destination that may receive it allows it.
	Allowed bool `json:"allowed"`
	// Rules are the numbers of the rules that led to the answer, sorted.
	Rules []string `json:"rules"`
	// Reason is one sentence for a person.
	Reason string `json:"reason"`
	// Split is how the request's traffic is shared, empty where it is not.
	Split []Share `json:"split"`
	// AppliedSplit names the TrafficSplit, if any.
	AppliedSplit string `json:"appliedSplit,omitempty"`
	// Destinations are where the request may arrive.
	Destinations []Destination `json:"destinations"`
	// Unavailable is the share of the traffic that fails with 503, since nothing
	// is ready there (TS-5).
	Unavailable float64 `json:"unavailable"`
	// Findings are about the objects that took part.
	Findings []mesh.Finding `json:"findings"`
}

// Share is one backend's part of a split.
type Share struct {
	Service string  `json:"service"`
	Weight  uint32  `json:"weight"`
	Share   float64 `json:"share"`
}

// Destination is a set of pods that judge the request alike.
type Destination struct {
	Service        string        `json:"service"`
	ServiceAccount string        `json:"serviceAccount"`
	Namespace      string        `json:"namespace"`
	Port           uint16        `json:"port"`
	Protocol       mesh.Protocol `json:"protocol"`
	// Share is the probability that the request arrives here.
	Share   float64 `json:"share"`
	Allowed bool    `json:"allowed"`
	// Rule is the one that decided.
	Rule string `json:"rule"`
	// Grants are what allows it, empty where nothing does or nothing need.
	Grants []GrantRef `json:"grants"`
	// Pods are the ready ones.
	Pods []string `json:"pods,omitempty"`
}

// GrantRef names what allowed a request.
type GrantRef struct {
	TrafficTarget string `json:"trafficTarget"`
	// Match is "group/match" where an HTTP match did.
	Match string `json:"match,omitempty"`
}

// NotFoundError tells that the mesh has no such Service or port.
type NotFoundError struct{ Message string }

func (e *NotFoundError) Error() string { return e.Message }

// Ask answers a question. The error is a *NotFoundError where the mesh has no
// such Service or port.
func (e *Evaluator) Ask(q Question) (*Answer, error) {
	service := e.mesh.Service(q.To)
	if service == nil {
		return nil, &NotFoundError{fmt.Sprintf("there is no Service %s", q.To)}
	}
	port := service.Port(q.Port)
	if port == nil {
		return nil, &NotFoundError{fmt.Sprintf("Service %s has no TCP port %d (it has %s)", q.To, q.Port, portList(service))}
	}
	a := &Answer{Split: []Share{}, Destinations: []Destination{}, Rules: []string{}}
	r, refusal := newRequest(q, port)
	if refusal != nil {
		a.Reason, a.Rules = refusal.reason, []string{refusal.rule}
		return a, nil
	}
	e.route(a, r, port)
	e.conclude(a, r)
	return a, nil
}

// route follows the splits of a port to the destinations of the request.
func (e *Evaluator) route(a *Answer, r *request, port *mesh.ServicePort) {
	split := e.choose(r, port)
	if split == nil {
		e.arrive(a, r, port, 1)
		return
	}
	a.AppliedSplit = split.Name.String()
	a.rule("TS-1")
	if split.Matches != nil {
		a.rule("TS-6")
	}
	total := float64(split.TotalWeight())
	for _, b := range split.Backends {
		share := float64(b.Weight) / total
		a.Split = append(a.Split, Share{Service: b.Service.Name, Weight: b.Weight, Share: share})
		e.arrive(a, r, e.mesh.Service(b.Service).Port(b.Port), share)
	}
}

// choose returns the first split that takes the request, or nil.
func (e *Evaluator) choose(r *request, port *mesh.ServicePort) *mesh.Split {
	if r.outside() {
		return nil
	}
	for _, s := range port.Splits {
		if s.Matches == nil {
			return s
		}
		if r.opaque {
			continue // TS-9
		}
		if slices.ContainsFunc(s.Matches, func(m *mesh.Match) bool { return e.matches(m, r) }) {
			return s
		}
	}
	return nil
}

// arrive adds the destinations behind a Service's port, which together get a
// share of the traffic.
func (e *Evaluator) arrive(a *Answer, r *request, port *mesh.ServicePort, share float64) {
	ready := len(port.Endpoints)
	if ready == 0 {
		a.Unavailable += share
		a.rule("TS-5")
	}
	for _, d := range port.Destinations {
		out := e.judge(r, d)
		out.Service = port.Service.Name
		out.Namespace, out.ServiceAccount = d.Account.Namespace, d.Account.Name
		out.Port, out.Protocol = d.Port, d.Protocol
		for _, p := range port.Endpoints {
			if p.Destination == d {
				out.Pods = append(out.Pods, p.Pod.String())
			}
		}
		if ready > 0 {
			out.Share = share * float64(len(out.Pods)) / float64(ready)
		}
		a.Destinations = append(a.Destinations, out)
	}
}

// judge decides at one destination.
func (e *Evaluator) judge(r *request, d mesh.Destination) Destination {
	out := Destination{Grants: []GrantRef{}}
	switch {
	case r.notHTTP && d.Meshed && d.Protocol.SpeaksHTTP():
		// The receiving sidecar takes the bytes for HTTP and answers 400.
		out.Rule = "PR-1"
		return out
	case r.encodedSlash && d.Meshed && d.Protocol != mesh.TCP:
		out.Rule = "SP-9"
		return out
	case !d.Meshed:
		out.Allowed, out.Rule = true, "PR-5"
		return out
	case !d.Mode.Enforced():
		out.Allowed, out.Rule = true, "AC-16"
		return out
	case d.Plaintext && r.outside():
		out.Allowed, out.Rule = true, "AC-18"
		return out
	}
	out.Rule = "AC-1"
	policy := e.mesh.Policy(d.Account)
	if policy == nil || r.outside() {
		return out
	}
	source := mesh.PrincipalOf(e.mesh.TrustDomain, r.from)
	for _, g := range policy.Grants {
		if !g.Covers(d.Port) || !slices.Contains(g.Sources, source) {
			continue
		}
		ref, rule := e.grants(g, r, d.Protocol)
		if rule == "" {
			continue
		}
		if !out.Allowed {
			out.Rule = rule
		}
		out.Allowed = true
		out.Grants = append(out.Grants, ref)
	}
	return out
}

// grants tells by which rule a grant allows the request, "" where it does not.
func (e *Evaluator) grants(g *mesh.Grant, r *request, protocol mesh.Protocol) (GrantRef, string) {
	ref := GrantRef{TrafficTarget: g.Target.String()}
	if g.Connections {
		return ref, "AC-8"
	}
	if r.notHTTP || protocol == mesh.TCP {
		return ref, "" // AC-10
	}
	for _, m := range g.Matches {
		if e.matches(m, r) {
			ref.Match = m.Group.Name + "/" + m.Name
			if g.Ports != nil {
				return ref, "AC-9"
			}
			return ref, "AC-6"
		}
	}
	return ref, ""
}

// conclude fills in what follows from the destinations.
func (e *Evaluator) conclude(a *Answer, r *request) {
	a.Allowed = true
	for _, d := range a.Destinations {
		a.rule(d.Rule)
		if d.Share > 0 || a.Unavailable == 1 {
			a.Allowed = a.Allowed && d.Allowed
		}
	}
	a.Reason = a.sentence(r)
	a.Findings = e.about(a, r)
	slices.Sort(a.Rules)
}

// sentence says the answer in words.
func (a *Answer) sentence(r *request) string {
	source := r.from.String()
	if r.outside() {
		source = "a client without identity"
	}
	if !a.Allowed {
		for _, d := range a.Destinations {
			if !d.Allowed {
				return fmt.Sprintf("no TrafficTarget allows %s to send this to %s/%s on port %d, so it is denied there", source, d.Namespace, d.ServiceAccount, d.Port)
			}
		}
	}
	if a.Unavailable == 1 {
		return "nothing is ready to receive it, so it fails with 503"
	}
	var by []string
	for _, d := range a.Destinations {
		for _, g := range d.Grants {
			if !slices.Contains(by, g.TrafficTarget) {
				by = append(by, g.TrafficTarget)
			}
		}
	}
	if len(by) == 0 {
		return "no access rule is enforced where it arrives"
	}
	return "allowed by TrafficTarget " + strings.Join(by, ", ")
}

func (a *Answer) rule(number string) {
	if number != "" && !slices.Contains(a.Rules, number) {
		a.Rules = append(a.Rules, number)
	}
}

// about returns the findings that may explain the answer: those about the
// Service, its namespace's targets and the splits of the root.
func (e *Evaluator) about(a *Answer, r *request) []mesh.Finding {
	namespaces := map[string]bool{r.to.Namespace: true}
	for _, d := range a.Destinations {
		namespaces[d.Namespace] = true
	}
	found := []mesh.Finding{}
	for _, f := range e.mesh.Findings {
		if f.Severity != mesh.Info && namespaces[f.Object.Namespace] {
			found = append(found, f)
		}
	}
	return found
}

func portList(s *mesh.Service) string {
	if len(s.Ports) == 0 {
		return "none"
	}
	var list []string
	for _, p := range s.Ports {
		list = append(list, fmt.Sprintf("%d", p.Number))
	}
	return strings.Join(list, ", ")
}
