package mesh

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// WriteText writes the whole mesh as text for a person: Services with where
// their traffic goes, policies, workloads, and findings at the end. Equal
// meshes give equal texts. The text is for reading and comparing, not for
// parsing: its form may change.
//
// An account is written NAMESPACE/SERVICEACCOUNT, a backend without its
// namespace where that is the root's, a match with GROUP/MATCH after it. What
// is left out is the ordinary case: a destination is in the mesh and judges
// strictly unless the text says otherwise.
func (m *Mesh) WriteText(w io.Writer) error {
	p := &textPrinter{out: bufio.NewWriter(w), trustDomain: m.TrustDomain}
	p.line(0, "trust domain ", m.TrustDomain)
	for _, s := range m.Services {
		p.service(s)
	}
	for _, policy := range m.Policies {
		p.policy(policy)
	}
	// The order of IDs says nothing to a person.
	workloads := slices.SortedFunc(slices.Values(m.Workloads), func(a, b *Workload) int {
		return cmp.Or(a.Account.Compare(b.Account), slices.CompareFunc(a.Pods, b.Pods, Name.Compare), cmp.Compare(a.ID, b.ID))
	})
	for _, workload := range workloads {
		p.workload(workload)
	}
	p.addresses(m.Addresses)
	p.findings(m.Findings)
	return p.out.Flush()
}

type textPrinter struct {
	out         *bufio.Writer
	trustDomain string
}

// line writes one line. What users wrote may stand in it, so whatever could
// break the line or command a terminal is escaped. The writer keeps its first
// error until it is flushed.
func (p *textPrinter) line(indent int, parts ...string) {
	for range indent {
		p.out.WriteString("  ")
	}
	for _, part := range parts {
		p.out.WriteString(printable(part))
	}
	p.out.WriteByte('\n')
}

// section starts a part of the text.
func (p *textPrinter) section(parts ...string) {
	p.out.WriteByte('\n')
	p.line(0, parts...)
}

func (p *textPrinter) service(s *Service) {
	title := []string{"service ", s.Name.String()}
	if s.Headless {
		title = append(title, ", headless")
	}
	if len(s.ClusterIPs) > 0 {
		title = append(title, " at ", strings.Join(s.ClusterIPs, ", "))
	}
	p.section(title...)
	for _, port := range s.Ports {
		name := ""
		if port.Name != "" {
			name = " named " + port.Name
		}
		p.line(1, "port ", number(port.Number), " ", string(port.Protocol), name)
		for _, split := range port.Splits {
			p.split(s.Name.Namespace, split)
		}
		for _, d := range port.Destinations {
			p.destination(d, port.Endpoints)
		}
	}
}

func (p *textPrinter) split(namespace string, s *Split) {
	if s.Matches == nil {
		p.line(2, "split ", s.Name.String(), " for everything")
	} else if len(s.Matches) == 0 {
		p.line(2, "split ", s.Name.String(), " for nothing")
	}
	for i, match := range s.Matches {
		if i == 0 {
			p.line(2, "split ", s.Name.String(), " for ", match.String())
			continue
		}
		p.line(3, "or ", match.String())
	}
	total := s.TotalWeight()
	for _, b := range s.Backends {
		service := b.Service.String()
		if b.Service.Namespace == namespace {
			service = b.Service.Name
		}
		p.line(3, strconv.FormatUint(uint64(b.Weight), 10), " ", service, ":", number(b.Port), " (", percent(uint64(b.Weight), total), ")")
	}
}

// destination writes what judges a request, and the ready endpoints of it.
func (p *textPrinter) destination(d Destination, endpoints []Endpoint) {
	protocol := string(d.Protocol) + " port " + number(d.Port)
	if d.Account == (Account{}) {
		p.line(2, "destination ", protocol, ", outside the mesh")
	} else {
		p.line(2, "destination ", d.Account.String(), " ", protocol,
			mark(d.Mode != Strict, string(d.Mode)), mark(!d.Meshed, "outside the mesh"), mark(d.Plaintext, "open to peers without identity"))
	}
	ready := false
	for _, e := range endpoints {
		if e.Destination == d {
			p.endpoint(e)
			ready = true
		}
	}
	if !ready {
		p.line(3, "no ready pod")
	}
}

func (p *textPrinter) endpoint(e Endpoint) {
	if e.Pod == (Name{}) {
		p.line(3, "address ", e.Address)
		return
	}
	at := ""
	if e.Address != "" {
		at = " at " + e.Address
	}
	p.line(3, "pod ", e.Pod.String(), " of ", e.Workload, at)
}

func (p *textPrinter) policy(policy *Policy) {
	p.section("policy ", policy.Account.String())
	for _, g := range policy.Grants {
		sources := make([]string, len(g.Sources))
		for i, s := range g.Sources {
			sources[i] = s.text(p.trustDomain)
		}
		verb, any := " send to ", "any port that speaks HTTP"
		if g.Connections {
			verb, any = " connect to ", "any port"
		}
		if g.Ports != nil {
			any = portsText(g.Ports)
		}
		p.line(1, g.Target.String(), " lets ", strings.Join(sources, ", "), verb, any)
		for _, match := range g.Matches {
			p.line(2, match.String())
		}
	}
}

func (p *textPrinter) workload(w *Workload) {
	p.section("workload ", w.Account.String(), mark(w.Mode != Strict, string(w.Mode)))
	for _, pod := range w.Pods {
		p.line(1, "pod ", pod.String())
	}
	for _, port := range w.Ports {
		if port.Number == AnyPort {
			continue // Last.
		}
		p.line(1, "serves ", string(port.Protocol), " port ", number(port.Number), mark(port.Plaintext, "open to peers without identity"))
	}
	if len(w.Ports) > 0 && w.Ports[0].Number == AnyPort {
		p.line(1, "serves any other port")
	}
	for _, port := range w.Reaches {
		p.line(1, "reaches ", port.Service.String(), ":", number(port.Number))
	}
	for _, group := range w.ReachesPods {
		if len(group.Addresses) > 0 {
			p.line(1, "reaches pods of ", group.Account.String(), " at ", joined(group.Addresses))
		}
	}
}

func (p *textPrinter) addresses(a *Addresses) {
	if a == nil {
		return
	}
	p.section("addresses")
	for _, prefix := range a.Inside {
		p.line(1, "in the mesh ", prefix.String())
	}
	for _, prefix := range a.Outside {
		p.line(1, "outside ", prefix.String())
	}
	for _, e := range a.Exceptions {
		for _, prefix := range e.Addresses {
			p.line(1, "in the mesh ", prefix.String(), " except at ", strings.ReplaceAll(strings.Trim(fmt.Sprint(e.Ports), "[]"), " ", ", "))
		}
	}
}

// joined writes a list.
func joined[T fmt.Stringer](list []T) string {
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = item.String()
	}
	return strings.Join(texts, ", ")
}

func (p *textPrinter) findings(findings []Finding) {
	if len(findings) == 0 {
		p.section("no findings")
		return
	}
	p.section("findings")
	for _, f := range findings {
		field := ""
		if f.Field != "" {
			field = ", " + f.Field
		}
		p.line(1, string(f.Severity), " ", f.Rule, " ", f.Reason, ": ", f.Object.String(), field)
		p.line(2, f.Message)
	}
}

// String returns the conditions of a match and where it comes from, such as
// "GET /buy (bookstore/routes/buy)".
func (m *Match) String() string {
	var b strings.Builder
	switch {
	case m.Methods == nil && m.Path == "":
		b.WriteString("any request")
	case m.Path == "":
		fmt.Fprintf(&b, "%s any path", methodsText(m.Methods))
	default:
		fmt.Fprintf(&b, "%s %s", methodsText(m.Methods), expressionText(m.Path))
	}
	for i, h := range m.Headers {
		join := " with"
		if i > 0 {
			join = " and"
		}
		fmt.Fprintf(&b, "%s %s: %s", join, h.Name, expressionText(h.Value))
	}
	fmt.Fprintf(&b, " (%s/%s)", m.Group, m.Name)
	return b.String()
}

// text returns the short spelling of a principal.
func (p Principal) text(trustDomain string) string {
	if a, ok := p.Account(trustDomain); ok {
		return a.String()
	}
	return string(p)
}

func methodsText(methods []string) string {
	if methods == nil {
		return "any method"
	}
	return strings.Join(methods, " or ")
}

// expressionText quotes an expression whose end could not be seen otherwise.
func expressionText(expr string) string {
	if expr == "" || strings.ContainsFunc(expr, unicode.IsSpace) {
		return strconv.Quote(expr)
	}
	return expr
}

func portsText(ports []uint16) string {
	texts := make([]string, len(ports))
	for i, port := range ports {
		texts[i] = number(port)
	}
	switch len(ports) {
	case 0:
		return "no port"
	case 1:
		return "port " + texts[0]
	default:
		return "ports " + strings.Join(texts, ", ")
	}
}

// percent returns a part of a whole with at most two decimals.
func percent(part, whole uint64) string {
	if whole == 0 {
		return "0%"
	}
	text := strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 2, 64)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + "%"
}

func number(port uint16) string { return strconv.FormatUint(uint64(port), 10) }

// mark returns a remark where it applies.
func mark(applies bool, remark string) string {
	if !applies {
		return ""
	}
	return ", " + remark
}

// printable escapes what cannot be printed on one line.
func printable(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
