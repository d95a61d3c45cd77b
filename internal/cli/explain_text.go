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
	e.linef("%s", sentence(e.answer.Reason))
	e.destinations()
	e.wayOut()
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

// destinations tells where the request goes, and what becomes of it there.
func (e *explanation) destinations() {
	a := e.answer
	if len(a.Destinations) == 0 && len(a.Split) == 0 {
		return
	}
	backends := []explain.Share{{Service: e.question.To.Name, Share: 1}}
	if a.AppliedSplit != "" {
		e.linef("\nWhere it goes, by TrafficSplit %s", a.AppliedSplit)
		backends = merged(a.Split)
	} else {
		e.linef("\nWhere it goes")
	}
	rows := table{{{text: "SHARE"}, {text: "SERVICE"}, {text: "ACCOUNT"}, {text: "PORT"}, {text: "PODS"}, {text: "VERDICT"}, {text: "RULE"}, {text: "BY"}}}
	for _, b := range backends {
		rows = append(rows, e.backend(b)...)
	}
	e.text.WriteString(rows.render(e.app, "  "))
}

// merged adds up the shares of backends that a split names more than once.
func merged(shares []explain.Share) []explain.Share {
	var all []explain.Share
	for _, s := range shares {
		i := slices.IndexFunc(all, func(o explain.Share) bool { return o.Service == s.Service })
		if i < 0 {
			all = append(all, s)
			continue
		}
		all[i].Share += s.Share
	}
	return all
}

// backend returns a row for each destination behind a Service, and one for what
// reaches none of them.
func (e *explanation) backend(b explain.Share) table {
	var rows table
	ready := false
	for _, d := range e.answer.Destinations {
		if d.Service != b.Service || len(d.Pods) == 0 && b.Share > 0 && e.anyReady(b.Service) {
			continue
		}
		rows = append(rows, destinationRow(d))
		ready = ready || len(d.Pods) > 0
	}
	if !ready {
		failure := row{{text: percent(b.Share)}, {text: b.Service}, {text: "-"}, {text: "-"}, {text: "0"}, {text: "fails with 503", colour: yellow}, {text: "TS-5"}, {text: "nothing is ready"}}
		return append(table{failure}, rows...)
	}
	return rows
}

// anyReady tells whether any pod behind a Service could take the request. If
// so, accounts without a ready pod are of no interest.
func (e *explanation) anyReady(service string) bool {
	return slices.ContainsFunc(e.answer.Destinations, func(d explain.Destination) bool { return d.Service == service && len(d.Pods) > 0 })
}

func destinationRow(d explain.Destination) row {
	account := d.Namespace + "/" + d.ServiceAccount
	if d.ServiceAccount == "" {
		account = "outside the mesh"
	}
	verdict := cell{text: "allowed", colour: green}
	if !d.Allowed {
		verdict = cell{text: "denied", colour: red}
	}
	by := "-"
	for i, g := range d.Grants {
		if i == 0 {
			by = "TrafficTarget " + g.TrafficTarget
		} else {
			by += ", TrafficTarget " + g.TrafficTarget
		}
		if g.Match != "" {
			by += " (" + g.Match + ")"
		}
	}
	return row{
		{text: percent(d.Share)}, {text: d.Service}, {text: account}, {text: fmt.Sprintf("%d %s", d.Port, d.Protocol)},
		{text: strconv.Itoa(len(d.Pods))}, verdict, {text: d.Rule}, {text: by},
	}
}

// wayOut shows, for a denied request, what its sender is granted where it was
// denied, and what would be needed.
func (e *explanation) wayOut() {
	if e.answer.Allowed || e.question.From == (mesh.Account{}) {
		return
	}
	source := mesh.PrincipalOf(e.mesh.TrustDomain, e.question.From)
	seen := map[mesh.Account]bool{}
	for _, d := range e.answer.Destinations {
		account := mesh.Account{Namespace: d.Namespace, Name: d.ServiceAccount}
		if d.Allowed || d.Rule != "AC-1" || seen[account] {
			continue
		}
		seen[account] = true
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
			e.linef("\n%s is granted nothing at %s. What could grant it something is a", e.question.From.String(), account.String())
			e.linef("TrafficTarget in namespace %s with rules that match the request, and", d.Namespace)
			e.linef("  destination: {kind: ServiceAccount, name: %s}", d.ServiceAccount)
			e.linef("  sources: [{kind: ServiceAccount, name: %s, namespace: %s}]", e.question.From.Name, e.question.From.Namespace)
		}
	}
	if !slices.ContainsFunc(e.mesh.Workloads, func(w *mesh.Workload) bool { return w.Account == e.question.From }) {
		e.linef("\nNo pod of the mesh runs as %s; is the name right?", e.question.From.String())
	}
}

// nearMiss shows what a TrafficTarget grants the sender instead.
func (e *explanation) nearMiss(at mesh.Account, g *mesh.Grant) {
	kind, ports := "these requests", "on every port that speaks HTTP"
	if g.Connections {
		kind, ports = "connections", "on every port"
	}
	if g.Ports != nil {
		numbers := make([]string, len(g.Ports))
		for i, p := range g.Ports {
			numbers[i] = strconv.Itoa(int(p))
		}
		ports = known("on port ", numbers)
	}
	colon := ":"
	if g.Connections {
		colon = ""
	}
	e.linef("\nAt %s, TrafficTarget %s grants it %s %s%s", at.String(), g.Target.String(), kind, ports, colon)
	const most = 10 // more would hide the rest of the answer
	for i, m := range g.Matches {
		if i == most {
			e.linef("  and %d more", len(g.Matches)-most)
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
		e.linef("  %-5s %s", r, ruleText(r))
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
