package envoy

import (
	"regexp"
	"strings"
	"testing"
)

func TestHostExpression(t *testing.T) {
	for _, tt := range []struct {
		expr, host string
		want       bool
	}{
		{`shop\.example`, "shop.example", true},
		{`shop\.example`, "SHOP.example:8080", true},
		{`shop\.example`, "shopXexample", false},
		{`Shop`, "shop", false},
		{`(?i)Shop`, "sHOP:1", true},
		{`[a-c]+`, "AbC", true},
		{`[^a]+`, "xA", false},
		{`.*`, "anything:80", true},
		{`.*:80`, "anything:80", false},
		{`shop$`, "shop:80", true},
		{`^shop$|^cart$`, "CART:80", true},
		{`a$b`, "ab", false},
		{`(?:a$|b)c*`, "a:1", true},
		{`(?:a$|b)c*`, "bcc:1", true},
		{`(?:a$|b)c*`, "acc", false},
		{`shop\b`, "shop:80", true},
		{``, ":80", true},
		{`a{2,3}`, "aA:80", true},
	} {
		got, ok := hostExpression(tt.expr)
		if !ok {
			t.Fatalf("%q does not parse", tt.expr)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r >= 0x80 }) || strings.Contains(got, `\x{`) {
			t.Errorf("%q became %q, which Envoy does not know", tt.expr, got)
		}
		if m := regexp.MustCompile(`^(?:` + got + `)$`).MatchString(tt.host); m != tt.want {
			t.Errorf("%q on %q: got %v with %q", tt.expr, tt.host, m, got)
		}
	}
	if _, ok := hostExpression("("); ok {
		t.Error("a broken expression was accepted")
	}
}

// The rewritten expression must agree with the original on the host that SP-3
// speaks of: lower-case, without port.
func FuzzHostExpression(f *testing.F) {
	for _, seed := range []string{
		`shop`, `a|b$`, `(?i)[A-D]x*$y?`, `(a$|b+)*c?`, `\bshop\b`, `^(a|^b)$$`, `[^x-z]{2,4}`, `(?s).$`, `(?m)^a$`, `(?P<n>a)$|\B`,
		`(?U)a+$`, `(?:)$`, `a**$`, `\w+\.svc`, `[[:^upper:]]+`,
	} {
		f.Add(seed, "Shop", "80")
		f.Add(seed, "aB", "")
		f.Add(seed, "", "1")
	}
	f.Fuzz(func(t *testing.T, expr, host, port string) {
		if len(expr) > 64 || strings.ContainsAny(host, ":\n") || strings.Trim(port, "0123456789") != "" {
			return
		}
		for i := range len(expr) + len(host) {
			if (expr + host)[i] >= 0x80 {
				return
			}
		}
		original, err := regexp.Compile(`^(?:` + expr + `)$`)
		if err != nil {
			return
		}
		if _, err := regexp.Compile(expr); err != nil {
			return
		}
		rewritten, ok := hostExpression(expr)
		if !ok {
			t.Fatalf("%q compiles but was refused", expr)
		}
		re, err := regexp.Compile(`^(?:` + rewritten + `)$`)
		if err != nil {
			t.Fatalf("%q became %q: %v", expr, rewritten, err)
		}
		if strings.ContainsFunc(rewritten, func(r rune) bool { return r >= 0x80 }) || strings.Contains(rewritten, `\x{`) {
			t.Errorf("%q became %q, which Envoy does not know", expr, rewritten)
		}
		want := original.MatchString(strings.ToLower(host))
		for _, authority := range []string{host, host + ":" + port, strings.ToUpper(host)} {
			if got := re.MatchString(authority); got != want {
				t.Errorf("%q became %q: %v on %q, want %v", expr, rewritten, got, authority, want)
			}
		}
	})
}
