package envoy

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	networkinputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
)

var destinationIP = xdsTyped("address", &networkinputv3.DestinationIPInput{})

// addressRange is what happens to connections to some addresses.
type addressRange struct {
	prefixes []netip.Prefix
	then     *xdsmatcherv3.Matcher_OnMatch
}

// fewAddresses is up to how many single addresses have an entry of their own. An
// entry takes 85 bytes, in an expression an address takes 6: the addresses of all
// Services are in every sidecar.
const fewAddresses = 16

// byAddress decides by where a connection was going. Single addresses count
// more than ranges, which must not overlap.
//
// Ranges, and many addresses, are regular expressions over the text of an address. Envoy's matcher of
// ranges would be the natural choice, but Envoy calls it work in progress and not
// covered by its threat model, and logs a warning for each address in it.
func byAddress(ranges []addressRange, other *xdsmatcherv3.Matcher_OnMatch) *xdsmatcherv3.Matcher {
	single := map[string]*xdsmatcherv3.Matcher_OnMatch{}
	var many, wide []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher
	for _, r := range ranges {
		var addresses, expressions []string
		for _, p := range r.prefixes {
			if p.IsSingleIP() {
				addresses = append(addresses, p.Addr().String())
			} else {
				expressions = append(expressions, prefixExpression(p))
			}
		}
		if len(expressions) > 0 {
			wide = append(wide, byExpression(strings.Join(expressions, "|"), r.then))
		}
		if len(addresses) > fewAddresses {
			many = append(many, byExpression(addressExpression(addresses), r.then))
			continue
		}
		for _, a := range addresses {
			single[a] = r.then
		}
	}
	out := &xdsmatcherv3.Matcher{OnNoMatch: other}
	if all := append(many, wide...); len(all) > 0 {
		out.MatcherType = &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{Matchers: all}}
	}
	if len(single) == 0 {
		return out
	}
	return &xdsmatcherv3.Matcher{MatcherType: exactMap(destinationIP, single), OnNoMatch: chosenBy(out)}
}

func byExpression(expression string, then *xdsmatcherv3.Matcher_OnMatch) *xdsmatcherv3.Matcher_MatcherList_FieldMatcher {
	return &xdsmatcherv3.Matcher_MatcherList_FieldMatcher{Predicate: condition(destinationIP, regexValue(expression)), OnMatch: then}
}

// addressExpression is true of exactly these texts of addresses. What neighbours
// have in common is written once, all but what follows the last separator.
func addressExpression(addresses []string) string {
	var parts []string
	for len(addresses) > 0 {
		common, ends := addresses[0][:strings.LastIndexAny(addresses[0], ".:")+1], []string(nil)
		for len(addresses) > 0 && strings.LastIndexAny(addresses[0], ".:")+1 == len(common) && strings.HasPrefix(addresses[0], common) {
			ends, addresses = append(ends, addresses[0][len(common):]), addresses[1:]
		}
		parts = append(parts, regexp.QuoteMeta(common)+"(?:"+strings.Join(ends, "|")+")")
	}
	return strings.Join(parts, "|")
}

// prefixExpression is true of the usual text of exactly the addresses of a
// prefix.
func prefixExpression(p netip.Prefix) string {
	if p = p.Masked(); p.Addr().Is4() {
		return prefixIPv4(p)
	}
	return prefixIPv6(p)
}

func prefixIPv4(p netip.Prefix) string {
	const octets = 4
	address, whole := p.Addr().As4(), p.Bits()/8
	var parts []string
	for _, octet := range address[:whole] {
		parts = append(parts, strconv.Itoa(int(octet)))
	}
	if bits := p.Bits() % 8; bits > 0 {
		var any []string
		for n := range 1 << (8 - bits) {
			any = append(any, strconv.Itoa(int(address[whole])+n))
		}
		parts = append(parts, "(?:"+strings.Join(any, "|")+")")
	}
	for len(parts) < octets {
		parts = append(parts, "[0-9]+")
	}
	return strings.Join(parts, `\.`)
}

// Groups of 16 bits of an IPv6 address, and any of them as text.
const (
	groups   = 8
	anyGroup = "[0-9a-f]+"
)

// prefixIPv6 has an alternative for each place where the zeros may be that the
// text of an address leaves out, which is one run of several groups.
func prefixIPv6(p netip.Prefix) string {
	address := p.Addr().As16()
	known := (p.Bits() + 15) / 16 // groups of which something is known
	values, texts := make([]uint16, known), make([]string, known)
	for i := range known {
		values[i] = uint16(address[2*i])<<8 | uint16(address[2*i+1])
		texts[i] = strconv.FormatUint(uint64(values[i]), 16)
	}
	if bits := p.Bits() % 16; bits > 0 {
		texts[known-1] = groupExpression(values[known-1], 16-bits)
	}
	if known == 0 {
		return "[0-9a-f:]+"
	}
	rest := groups - known
	alternatives := []string{strings.Join(texts, ":") + "(?::.*)?"}
	leftOut := func(start, end int) {
		if end-start > 1 {
			alternatives = append(alternatives, fmt.Sprintf("%s::%s(?::%s){%d}", strings.Join(texts[:start], ":"), strings.Join(texts[end:], ":"), anyGroup, rest))
		}
	}
	for start := 0; start < known; start++ {
		end := start
		for end < known && values[end] == 0 {
			end++
		}
		if end < known {
			leftOut(start, end)
			start = end
			continue
		}
		// The zeros may go on behind what is known, and of what is known in part they
		// may be none.
		alternatives = append(alternatives, strings.Join(texts[:start], ":")+"::"+upTo(rest))
		if p.Bits()%16 > 0 {
			leftOut(start, known-1)
		}
		break
	}
	return "(?:" + strings.Join(alternatives, "|") + ")"
}

// upTo is true of so many groups at most.
func upTo(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("(?:%s(?::%s){0,%d})?", anyGroup, anyGroup, n-1)
}

// groupExpression is true of the text of the numbers from base on, of which the
// lowest bits are free. Numbers are written without zeros in front.
func groupExpression(base uint16, free int) string {
	digits, bits := free/4, free%4
	if base == 0 {
		text := fmt.Sprintf("[0-9a-f]{1,%d}", max(digits, 1))
		switch {
		case digits == 0:
			return fmt.Sprintf("[0-%x]", 1<<bits-1)
		case bits > 0:
			return fmt.Sprintf("(?:%s|[1-%s][0-9a-f]{%d})", text, hexDigit(1<<bits-1), digits)
		}
		return text
	}
	// The highest bit that is set is fixed, and so is the number of digits.
	text := strconv.FormatUint(uint64(base), 16)
	fixed := text[:len(text)-digits]
	if bits > 0 {
		first := base >> (4 * digits) & 0xf
		fixed = fixed[:len(fixed)-1] + "(?:"
		var any []string
		for n := range uint16(1) << bits {
			any = append(any, hexDigit(int(first+n)))
		}
		fixed += strings.Join(any, "|") + ")"
	}
	return fixed + strings.Repeat("[0-9a-f]", digits)
}

func hexDigit(n int) string { return strconv.FormatInt(int64(n), 16) }
