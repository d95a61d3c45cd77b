package main

import "testing"

func TestPrincipal(t *testing.T) {
	const buyer = "spiffe://cluster.local/ns/bookbuyer/sa/bookbuyer"
	for _, c := range []struct {
		name    string
		headers []string
		want    string
	}{
		{"absent", nil, ""},
		{"as Envoy sets it", []string{"By=spiffe://cluster.local/ns/bookstore/sa/bookstore;Hash=ab12;Subject=\"\";URI=" + buyer}, buyer},
		{"no URI", []string{"Hash=ab12"}, ""},
		{"the nearest hop counts", []string{"URI=spiffe://x/ns/a/sa/a,URI=" + buyer}, buyer},
		{"a header of its own for each hop", []string{"URI=spiffe://x/ns/a/sa/a", "URI=" + buyer}, buyer},
		{"separators within quotes", []string{`Subject="CN=a,URI=spiffe://x;URI=y";URI=` + buyer}, buyer},
		{"an escaped quote", []string{`Subject="a\";URI=x";URI="` + buyer + `"`}, buyer},
		{"a quote that never ends", []string{`Subject="a;URI=x`}, ""},
		{"lower case", []string{"uri=" + buyer}, buyer},
	} {
		if got := principal(c.headers); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
