package envoy

import (
	"regexp/syntax"
	"unicode"
)

// pathExpression makes an expression that is anchored at the beginning (SP-2)
// one for Envoy, whose expressions match the whole value. \C is any byte, a
// newline and half a character included.
func pathExpression(expr string) string { return "(?:" + expr + `)\C*` }

// valueExpression keeps alternatives inside the whole value (SP-1, SP-3).
func valueExpression(expr string) string { return "(?:" + expr + ")" }

// hostExpression makes an expression over a host, lower-case and without port
// (SP-3), one over the authority as it came, since Envoy can neither turn a
// header to lower case nor cut it while matching: each character class is
// widened to the upper-case forms of its members, upper-case letters in the
// expression match nothing, and a port may follow. The final dot is gone
// before anything matches (strip_trailing_host_dot). An IPv6 literal matches
// no expression. It returns false for an expression that does not parse.
func hostExpression(expr string) (string, bool) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return "", false
	}
	re = re.Simplify()
	if hasEnd(re) {
		re = either(splitEnd(re))
	}
	return "(?:" + anyCase(re).String() + ")(?::[0-9]*)?", true
}

// anyCase rewrites every character of the expression: it consumes c where the
// original consumes the lower-case form of c, and never a colon.
func anyCase(re *syntax.Regexp) *syntax.Regexp {
	switch re.Op {
	case syntax.OpLiteral:
		chars := make([]*syntax.Regexp, len(re.Rune))
		for i, r := range re.Rune {
			ranges := []rune{r, r}
			if re.Flags&syntax.FoldCase != 0 {
				for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
					ranges = append(ranges, f, f)
				}
			}
			chars[i] = lowerClass(ranges)
		}
		return &syntax.Regexp{Op: syntax.OpConcat, Sub: chars}
	case syntax.OpCharClass:
		return lowerClass(re.Rune)
	case syntax.OpNoMatch:
		return never
	case syntax.OpAnyChar:
		return lowerClass([]rune{0, unicode.MaxRune})
	case syntax.OpAnyCharNotNL:
		return lowerClass([]rune{0, '\n' - 1, '\n' + 1, unicode.MaxRune})
	}
	if len(re.Sub) == 0 {
		return re
	}
	out := *re
	out.Sub = make([]*syntax.Regexp, len(re.Sub))
	for i, sub := range re.Sub {
		out.Sub[i] = anyCase(sub)
	}
	if out.Op == syntax.OpCapture {
		out.Name = "" // names must be unique, and alternatives may repeat one
	}
	return &out
}

// lowerClass is the class of all c whose lower-case form lies in the ranges,
// which are pairs of first and last, but the colon. It keeps to ASCII, as
// authorities do: Envoy's expressions speak of bytes and know no rune above.
func lowerClass(ranges []rune) *syntax.Regexp {
	var out []rune
	for c := rune(0); c < 0x80; c++ {
		lower := c
		if 'A' <= c && c <= 'Z' {
			lower = c + 'a' - 'A'
		}
		if c == ':' || !inRanges(ranges, lower) {
			continue
		}
		if n := len(out); n > 0 && out[n-1] == c-1 {
			out[n-1] = c
			continue
		}
		out = append(out, c, c)
	}
	if len(out) == 0 {
		return never
	}
	return &syntax.Regexp{Op: syntax.OpCharClass, Rune: out}
}

func inRanges(ranges []rune, c rune) bool {
	for i := 0; i < len(ranges); i += 2 {
		if ranges[i] <= c && c <= ranges[i+1] {
			return true
		}
	}
	return false
}

// never matches nothing, in words that Envoy knows.
var never = &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{{Op: syntax.OpWordBoundary}, {Op: syntax.OpNoWordBoundary}}}

// hasEnd tells whether the expression asserts the end of the text anywhere.
func hasEnd(re *syntax.Regexp) bool {
	if re.Op == syntax.OpEndText || re.Op == syntax.OpEndLine {
		return true
	}
	for _, sub := range re.Sub {
		if hasEnd(sub) {
			return true
		}
	}
	return false
}

var (
	noMatch    = &syntax.Regexp{Op: syntax.OpNoMatch}
	emptyMatch = &syntax.Regexp{Op: syntax.OpEmptyMatch}
)

func concat(a, b *syntax.Regexp) *syntax.Regexp {
	switch {
	case a.Op == syntax.OpNoMatch || b.Op == syntax.OpNoMatch:
		return noMatch
	case a.Op == syntax.OpEmptyMatch:
		return b
	case b.Op == syntax.OpEmptyMatch:
		return a
	}
	return &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{a, b}}
}

func either(a, b *syntax.Regexp) *syntax.Regexp {
	switch {
	case a.Op == syntax.OpNoMatch:
		return b
	case b.Op == syntax.OpNoMatch:
		return a
	}
	return &syntax.Regexp{Op: syntax.OpAlternate, Sub: []*syntax.Regexp{a, b}}
}

func star(a *syntax.Regexp) *syntax.Regexp {
	if a.Op == syntax.OpNoMatch {
		return emptyMatch
	}
	return &syntax.Regexp{Op: syntax.OpStar, Sub: []*syntax.Regexp{a}}
}

// splitEnd divides an expression, which must match a whole text, into what it
// matches without an assertion of the end (open) and with one (ended), both
// free of such assertions: what follows an assertion of the end can only match
// nothing. Without it, a port could not follow the host.
func splitEnd(re *syntax.Regexp) (open, ended *syntax.Regexp) {
	switch re.Op {
	case syntax.OpEndText, syntax.OpEndLine:
		return noMatch, emptyMatch
	case syntax.OpCapture:
		return splitEnd(re.Sub[0])
	case syntax.OpConcat:
		open, ended = emptyMatch, noMatch
		for _, sub := range re.Sub {
			o, e := splitEnd(sub)
			ended = either(concat(open, e), concat(ended, atEnd(sub)))
			open = concat(open, o)
		}
		return open, ended
	case syntax.OpAlternate:
		open, ended = noMatch, noMatch
		for _, sub := range re.Sub {
			o, e := splitEnd(sub)
			open, ended = either(open, o), either(ended, e)
		}
		return open, ended
	case syntax.OpStar:
		o, e := splitEnd(re.Sub[0])
		return star(o), concat(star(o), e)
	case syntax.OpPlus:
		o, e := splitEnd(re.Sub[0])
		return concat(o, star(o)), concat(star(o), e)
	case syntax.OpQuest:
		o, e := splitEnd(re.Sub[0])
		return either(o, emptyMatch), e
	}
	return re, noMatch
}

// atEnd is what remains of an expression that has to match nothing at the end
// of the text: its assertions.
func atEnd(re *syntax.Regexp) *syntax.Regexp {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpEndText, syntax.OpEndLine, syntax.OpStar, syntax.OpQuest:
		return emptyMatch
	case syntax.OpBeginText, syntax.OpBeginLine, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return re
	case syntax.OpCapture, syntax.OpPlus:
		return atEnd(re.Sub[0])
	case syntax.OpConcat:
		out := emptyMatch
		for _, sub := range re.Sub {
			out = concat(out, atEnd(sub))
		}
		return out
	case syntax.OpAlternate:
		out := noMatch
		for _, sub := range re.Sub {
			out = either(out, atEnd(sub))
		}
		return out
	}
	return noMatch
}
