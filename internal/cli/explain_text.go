package cli

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/smi-project/smi/internal/explain"
	"github.com/smi-project/smi/mesh"
)

// explanation prints an answer for a person.
type explanation struct {
	app      *App
	mesh     *mesh.Mesh
	question explain.Question
	answer   *explain.Answer

	text strings.Builder
}

func (e *explanation) print() error {
	e.headline()
	e.linef("  %s", sentence(e.answer.Reason))
	e.destinations()
	e.nearMisses()
	e.rules()
	e.findings()
	_, err := e.app.Out.Write([]byte(e.text.String()))
	return err
}

// linef writes one line, with what users wrote made harmless. The format and
// painted texts come from this package.
func (e *explanation) linef(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = printable(s)
		}
	}
	fmt.Fprintf(&e.text, format+"\n", args...)
}

func (e *explanation) headline() {
	denied := 0.0
	for _, d := range e.answer.Destinations {
		if !d.Allowed {
			denied += d.Share
		}
	}
	word, c := "ALLOWED", green
	switch {
	case !e.answer.Allowed && denied > 0 && denied < 1-e.answer.Unavailable-1e-9:
		word, c = "DENIED for "+percent(denied)+" of the traffic", red
	case !e.answer.Allowed:
		word, c = "DENIED", red
	case e.answer.Unavailable == 1:
		word, c = "ALLOWED, but fails with 503", yellow
	case e.answer.Unavailable > 0:
		word, c = "ALLOWED, but "+percent(e.answer.Unavailable)+" of the traffic fails with 503", yellow
	}
	q := e.question
	from := q.From.String()
	if q.From == (mesh.Account{}) {
		from = "a client outside the mesh"
	}
	what := "a TCP connection"
	if !q.Connection {
		what = q.Method + " " + q.Path
	}
	e.text.WriteString(e.app.paint(c, word))
	e.linef(": %s from %s to %s:%d", what, from, q.To.String(), q.Port)
}

// destinations tells where the request goes, backend by backend.
func (e *explanation) destinations() {
	a := e.answer
	if len(a.Destinations) == 0 && len(a.Split) == 0 {
		return
	}
	if a.AppliedSplit == "" {
		e.linef("\nWhere it goes")
		e.backend(e.question.To.Name, 1)
		return
	}
	e.linef("\nWhere it goes, by TrafficSplit %s", a.AppliedSplit)
	shares := map[string]float64{}
	var order []string
	for _, s := range a.Split {
		if _, seen := shares[s.Service]; !seen {
			order = append(order, s.Service)
		}
		shares[s.Service] += s.Share
	}
	for _, service := range order {
		e.backend(service, shares[service])
	}
}

func (e *explanation) backend(service string, share float64) {
	e.linef("  %s to Service %s", percent(share), service)
	ready := false
	for _, d := range e.answer.Destinations {
		if d.Service == service {
			e.destination(d)
			ready = ready || len(d.Pods) > 0
		}
	}
	if !ready {
		e.linef("    fails with 503: nothing is ready there (TS-5)")
	}
}

func (e *explanation) destination(d explain.Destination) {
	where := d.Namespace + "/" + d.ServiceAccount
	if d.ServiceAccount == "" {
		where = "addresses outside the mesh"
	}
	verdict := e.app.paint(green, "allowed")
	if !d.Allowed {
		verdict = e.app.paint(red, "denied")
	}
	because := ""
	for i, g := range d.Grants {
		join := " by "
		if i > 0 {
			join = " and "
		}
		because += join + "TrafficTarget " + g.TrafficTarget
		if g.Match != "" {
			because += ", match " + g.Match
		}
	}
	fmt.Fprintf(&e.text, "    %s", verdict)
	e.linef(" at %s, %s port %d%s (%s)", where, string(d.Protocol), d.Port, because, d.Rule)
	if len(d.Pods) > 0 {
		e.linef("      %s", known(percent(d.Share)+" of the traffic, ready: ", d.Pods))
	}
}

// nearMisses shows, for a denied request, what its sender is granted where it
// was denied, and what would be needed.
func (e *explanation) nearMisses() {
	if e.answer.Allowed || e.question.From == (mesh.Account{}) {
		return
	}
	source := mesh.PrincipalOf(e.mesh.TrustDomain, e.question.From)
	for _, d := range e.answer.Destinations {
		if d.Allowed || d.Rule != "AC-1" {
			continue
		}
		account := mesh.Account{Namespace: d.Namespace, Name: d.ServiceAccount}
		grants := 0
		if policy := e.mesh.Policy(account); policy != nil {
			for _, g := range policy.Grants {
				if slices.Contains(g.Sources, source) {
					e.nearMiss(account, g)
					grants++
				}
			}
		}
		if grants == 0 {
			e.linef("\nNothing at %s is granted to %s. A TrafficTarget in namespace %s could, with", account.String(), e.question.From.String(), d.Namespace)
			e.linef("  destination: {kind: ServiceAccount, name: %s}", d.ServiceAccount)
			e.linef("  sources: [{kind: ServiceAccount, name: %s, namespace: %s}]", e.question.From.Name, e.question.From.Namespace)
		}
	}
	if !slices.ContainsFunc(e.mesh.Workloads, func(w *mesh.Workload) bool { return w.Account == e.question.From }) {
		e.linef("\nNo pod of the mesh runs as %s; is the name right?", e.question.From.String())
	}
}

func (e *explanation) nearMiss(at mesh.Account, g *mesh.Grant) {
	kind, ports := "requests", "every port that speaks HTTP"
	if g.Connections {
		kind, ports = "connections", "every port"
	}
	if g.Ports != nil {
		numbers := make([]string, len(g.Ports))
		for i, p := range g.Ports {
			numbers[i] = strconv.Itoa(int(p))
		}
		ports = known("port ", numbers)
	}
	e.linef("\nTrafficTarget %s grants other %s at %s, on %s", g.Target.String(), kind, at.String(), ports)
	const most = 10
	for i, m := range g.Matches {
		if i == most {
			e.linef("  and %s", count(len(g.Matches)-most, "more match"))
			break
		}
		e.linef("  %s", m.String())
	}
}

func (e *explanation) rules() {
	if len(e.answer.Rules) == 0 {
		return
	}
	e.linef("\nRules")
	for _, r := range e.answer.Rules {
		e.linef("  %-5s  %s", r, ruleText(r))
	}
}

// findings prints what is wrong around the question, the worst first.
func (e *explanation) findings() {
	const most = 10
	found := slices.Clone(e.answer.Findings)
	slices.SortStableFunc(found, func(a, b mesh.Finding) int { return severityRank(b.Severity) - severityRank(a.Severity) })
	if len(found) == 0 {
		return
	}
	e.linef("\nFindings that may matter")
	for i, f := range found {
		if i == most {
			e.linef("  and %s: see smi check", count(len(found)-most, "other"))
			return
		}
		fmt.Fprintf(&e.text, "  %s", e.app.severity(f.Severity))
		e.linef(" %s: %s", f.Object.String(), f.Message)
	}
}

// percent writes a share with at most one decimal where that is enough.
func percent(share float64) string {
	p := 100 * share
	digits := 1
	if p < 0.1 || p > 99.9 && p < 100 {
		digits = 4
	}
	text := strconv.FormatFloat(math.Round(p*1e4)/1e4, 'f', digits, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + "%"
}

// sentence makes a text one.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
