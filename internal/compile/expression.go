package compile

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
)

// The bounds of one expression. They are far above what routes need and keep
// the automaton that a proxy builds from a hostile one small.
const (
	maxExpression = 1024
	maxProgram    = 10_000
)

// checkExpression tells why an expression cannot be used (SP-1), nil when it
// can. It is compiled alone, so that it cannot escape from what it is wrapped
// in later.
func checkExpression(expr string) error {
	if len(expr) > maxExpression {
		return fmt.Errorf("has %d characters; at most %d are allowed", len(expr), maxExpression)
	}
	for i := range len(expr) {
		if expr[i] >= 0x80 {
			return fmt.Errorf("has a character outside ASCII at position %d", i+1)
		}
	}
	// Unicode classes are switched off rather than searched for: the parser
	// knows best where one stands.
	const flags = syntax.Perl &^ syntax.UnicodeGroups
	if _, err := syntax.Parse(expr, flags); err != nil {
		return fmt.Errorf("does not compile: %w", err)
	}
	// An open \Q would take in what comes behind the expression.
	tree, err := syntax.Parse("(?:"+expr+")", flags)
	if err != nil {
		return fmt.Errorf("does not compile within a group: %w", err)
	}
	if r, ok := highRune(expr); ok {
		return fmt.Errorf("has the escape of a character above \\xFF (%U)", r)
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return fmt.Errorf("does not compile: %w", err)
	}
	if len(program.Inst) > maxProgram {
		return fmt.Errorf("is too complex: it compiles to %d steps; at most %d are allowed", len(program.Inst), maxProgram)
	}
	return nil
}

// escapes finds quoted text, which has no escapes, and the escapes that can
// reach above \xFF, hexadecimal in braces and octal; it steps over all others.
var escapes = regexp.MustCompile(`(?s)\\Q.*?(?:\\E|$)|\\x\{([0-9A-Fa-f]+)\}|\\([0-7]{1,3})|\\.`)

// highRune returns the first escaped character above \xFF.
func highRune(expr string) (rune, bool) {
	for _, m := range escapes.FindAllStringSubmatch(expr, -1) {
		digits, base := m[1], 16
		if m[2] != "" {
			digits, base = m[2], 8
		}
		if digits == "" {
			continue
		}
		if r, err := strconv.ParseInt(digits, base, 32); err != nil || r > 0xFF {
			return rune(r), true
		}
	}
	return 0, false
}
