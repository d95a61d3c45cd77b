package oracle

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// maxExpression is the longest expression that compiles, in characters.
const maxExpression = 1024

// expressions remembers what was compiled, as tests judge the same few worlds very often. The values are *regexp.Regexp, nil
// where the expression does not compile.
var expressions sync.Map

// matchesStart says whether the expression matches a beginning of the text (SP-2).
func matchesStart(expression, text string) bool {
	re := compiled(expression, "")
	return re != nil && re.MatchString(asBytes(text))
}

// matchesWhole says whether the expression matches the whole text (SP-3).
func matchesWhole(expression, text string) bool {
	re := compiled(expression, `\z`)
	return re != nil && re.MatchString(asBytes(text))
}

// compiles says whether an expression is one that SP-1 takes.
func compiles(expression string) bool {
	return compiled(expression, "") != nil
}

// compiled is the anchored expression, nil where SP-1 refuses it.
func compiled(expression, end string) *regexp.Regexp {
	key := end + "|" + expression
	if known, ok := expressions.Load(key); ok {
		return known.(*regexp.Regexp)
	}
	re := compile(expression, end)
	expressions.Store(key, re)
	return re
}

func compile(expression, end string) *regexp.Regexp {
	// SP-1: bounded, ASCII, and nothing on which Go and Envoy differ.
	if len(expression) > maxExpression || !isASCII(expression) || hasRefusedEscape(expression) {
		return nil
	}
	// SP-1: compiled alone first, so that `a)|(?:.*` does not escape its anchor.
	if _, err := regexp.Compile(expression); err != nil {
		return nil
	}
	// SP-1: then wrapped, so that `/a|/b` does not escape its anchor.
	re, err := regexp.Compile(`\A(?:` + expression + `)` + end)
	if err != nil {
		return nil
	}
	return re
}

// asBytes turns every byte into the rune of the same number: SP-1 matches over bytes, Go over UTF-8.
func asBytes(text string) string {
	var out strings.Builder
	for i := range len(text) {
		out.WriteRune(rune(text[i]))
	}
	return out.String()
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// hasRefusedEscape finds \p and \P classes and escapes above \xFF, hexadecimal or octal (SP-1). Text between \Q and \E is no escape.
func hasRefusedEscape(expression string) bool {
	for i := 0; i+1 < len(expression); i++ {
		if expression[i] != '\\' {
			continue
		}
		i++ // now at the character that is escaped
		rest := expression[i:]
		switch {
		case rest[0] == 'p' || rest[0] == 'P':
			return true
		case rest[0] == 'Q':
			end := strings.Index(rest, `\E`)
			if end < 0 {
				return false
			}
			i += end + 1
		case strings.HasPrefix(rest, "x{"):
			digits, _, _ := strings.Cut(rest[2:], "}")
			if value, err := strconv.ParseUint(digits, 16, 32); err != nil || value > 0xFF {
				return true
			}
		case rest[0] >= '4' && rest[0] <= '7' && len(rest) >= 3 && isOctal(rest[1]) && isOctal(rest[2]):
			return true
		}
	}
	return false
}

func isOctal(c byte) bool {
	return c >= '0' && c <= '7'
}
