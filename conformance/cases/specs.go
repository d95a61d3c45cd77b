package cases

import (
	"github.com/smi-project/smi/conformance"
)

// specs are the cases of the rules SP-1 to SP-3, on which requests an expression
// selects.
var specs = []*conformance.Case{
	{
		ID: "SP-1-alternatives", Title: "Alternatives of an expression stay within its anchors",
		Rules: []string{"SP-1"}, Features: headerAccess, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_01_alternatives.yaml")
			for _, path := range []string{"/red", "/red/x", "/redder", "/green", "/green/x"} {
				t.Allowed(conformance.Client.Get("server", 80, path))
			}
			t.Denied(conformance.Client.Get("server", 80, "/x/green"))
			t.Denied(conformance.Client.Get("server", 80, "/x/red"))
			coloured := conformance.Client.Get("server", 80, "/").Method("POST")
			t.Allowed(coloured.Header("x-colour", "red"))
			t.Allowed(coloured.Header("x-colour", "green"))
			t.Denied(coloured.Header("x-colour", "redder"))
			t.Denied(coloured.Header("x-colour", "dark green"))
		},
	},
	{
		ID: "SP-1-escape", Title: "An expression that compiles only when wrapped grants nothing, and no other match suffers",
		Rules: []string{"SP-1"}, Features: headerAccess, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			if t.TryApply("sp_01_escape.yaml") {
				t.Allowed(conformance.Client.Get("server", 80, "/beside"))
			}
			t.Denied(conformance.Client.Get("server", 80, "/"))
			t.Denied(conformance.Client.Get("server", 80, "/header").Header("x-a", "a"))
			t.Denied(conformance.Client.Get("server", 80, "/header").Header("x-a", "b"))
			t.Denied(conformance.Client.Get("server", 80, "/half").Header("x-a", "("))
			t.Denied(conformance.Client.Get("server", 80, "/half"))
		},
	},
	{
		ID: "SP-1-refused", Title: "Expressions that are too large, or read differently by Go and proxies, grant nothing",
		Rules: []string{"SP-1"}, Features: []conformance.Feature{conformance.AccessHTTP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_01_bounds.yaml")
			// Each would match its path, if it were compiled.
			t.TryApply("sp_01_refused_long.yaml")
			t.TryApply("sp_01_refused_steps.yaml")
			t.TryApply("sp_01_refused_ascii.yaml")
			t.TryApply("sp_01_refused_class.yaml")
			t.TryApply("sp_01_refused_negated.yaml")
			t.TryApply("sp_01_refused_escape.yaml")
			t.TryApply("sp_01_refused_octal.yaml")
			t.TryApply("sp_01_refused_quote.yaml")
			for _, path := range []string{"/toolong", "/steps", "/ascii", "/class", "/negated", "/escape", "/octal", "/unended"} {
				t.Denied(conformance.Client.Get("server", 80, path))
			}
			for _, path := range []string{"/long", "/longxxx", "/quote.", "/byte"} {
				t.Allowed(conformance.Client.Get("server", 80, path))
			}
			t.Denied(conformance.Client.Get("server", 80, "/quotes"))
		},
	},
	{
		ID: "SP-2-prefix", Title: "A path has to match from its first character on, and need not to its end",
		Rules: []string{"SP-2"}, Features: []conformance.Feature{conformance.AccessHTTP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_02_paths.yaml")
			for _, path := range []string{"/metrics", "/metrics/x", "/metricsfoo", "/exact", "/x/secret", "/x/secrets"} {
				t.Allowed(conformance.Client.Get("server", 80, path))
			}
			for _, path := range []string{"/x/metrics", "/metric", "/Metrics", "/exact/", "/exactly", "/x/exact"} {
				t.Denied(conformance.Client.Get("server", 80, path))
			}
		},
	},
	{
		ID: "SP-2-query", Title: "The query is no part of the path",
		Rules: []string{"SP-2"}, Features: []conformance.Feature{conformance.AccessHTTP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_02_paths.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/exact?"))
			t.Allowed(conformance.Client.Get("server", 80, "/exact?q=1"))
			t.Allowed(conformance.Client.Get("server", 80, "/metrics?q=1"))
			t.Denied(conformance.Client.Get("server", 80, "/other?/secret"))
			t.Denied(conformance.Client.Get("server", 80, "/other?q=/secret"))
			t.Denied(conformance.Client.Get("server", 80, "/?/metrics"))
		},
	},
	{
		ID: "SP-2-absent", Title: "An absent or empty path is no condition",
		Rules: []string{"SP-2"}, Features: []conformance.Feature{conformance.AccessHTTP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_02_paths.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/x").Method("PUT"))
			t.Allowed(conformance.Client.Get("server", 80, "/x").Method("PATCH"))
			t.Denied(conformance.Client.Get("server", 80, "/x").Method("DELETE"))
		},
	},
	{
		ID: "SP-2-split", Title: "Splits compare paths as access rules do",
		Rules: []string{"SP-1", "SP-2"}, Features: []conformance.Feature{conformance.SplitMatches}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_02_split.yaml")
			for _, path := range []string{"/beta", "/beta?q=1", "/red/x", "/green"} {
				t.Always(conformance.Client.Get("stable", 80, path), 10, "smi-apps/v2")
			}
			for _, path := range []string{"/x?/beta", "/?q=/beta", "/beta/x", "/x/beta", "/x/green"} {
				t.Always(conformance.Client.Get("stable", 80, path), 10, "smi-apps/v1")
			}
		},
	},
	{
		ID: "SP-3-whole", Title: "A header's whole value has to match, in its case; its name in any",
		Rules: []string{"SP-3"}, Features: headerAccess, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_03_values.yaml")
			whole := conformance.Client.Get("server", 80, "/whole")
			t.Allowed(whole.Header("x-beta", "beta"))
			t.Allowed(whole.Header("X-BETA", "beta"))
			for _, value := range []string{"betas", "alphabeta", "Beta", "beta,beta", "beta beta"} {
				t.Denied(whole.Header("x-beta", value))
			}
			t.Allowed(conformance.Client.Get("server", 80, "/names").Header("x-mixed", "yes"))
			t.Denied(conformance.Client.Get("server", 80, "/names").Header("x-mixed", "Yes"))
		},
	},
	{
		ID: "SP-3-absent", Title: "A header that is absent meets no condition",
		Rules: []string{"SP-3"}, Features: headerAccess, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_03_values.yaml")
			present := conformance.Client.Get("server", 80, "/any")
			t.Allowed(present.Header("x-beta", "whatever"))
			t.Allowed(present.Header("x-beta", ""))
			t.Denied(present)
			t.Denied(present.Header("x-beta2", "whatever"))
		},
	},
	{
		ID: "SP-3-repeated", Title: "The values of a repeated header are joined before they are compared",
		Rules: []string{"SP-3"}, Features: headerAccess, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_03_repeated.yaml")
			for _, get := range []func(string) conformance.Call{overHTTP1, overHTTP2} {
				t.Allowed(get("/first").Header("x-beta", "a"))
				t.Denied(get("/first").Header("x-beta", "a").Header("x-beta", "b"))
				t.Denied(get("/second").Header("x-beta", "a").Header("x-beta", "b"))
				t.Denied(get("/first").Header("x-beta", "a").Header("x-beta", "a"))
				t.Allowed(get("/joined").Header("x-beta", "a").Header("x-beta", "b"))
				t.Allowed(get("/joined").Header("x-beta", "a,b"))
				t.Denied(get("/joined").Header("x-beta", "b").Header("x-beta", "a"))
			}
		},
	},
	{
		ID: "SP-3-cookie", Title: "The cookies of a request over HTTP/2 are joined by a semicolon",
		Rules: []string{"SP-3"}, Features: headerAccess, APIs: accessAPIs,
		Run: cookies,
	},
	{
		ID: "SP-3-repeated-split", Title: "Splits join the values of a repeated header, too",
		Rules: []string{"SP-3"}, Features: []conformance.Feature{conformance.SplitMatches}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_03_split.yaml")
			get := conformance.Client.Get("stable", 80, "/")
			t.Always(get.Header("x-beta", "a"), 10, "smi-apps/v2")
			t.Always(get.Header("X-Beta", "b").Header("X-Beta", "a"), 10, "smi-apps/v2")
			t.Always(get, 10, "smi-apps/v1")
			t.Always(get.Header("x-beta", "a").Header("x-beta", "b"), 10, "smi-apps/v1")
			t.Always(get.Header("x-beta", "aa"), 10, "smi-apps/v1")
		},
	},
	{
		ID: "SP-3-host", Title: "host is the authority, in lower case, without port and final dot",
		Rules: []string{"SP-3"}, Features: headerAccess, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_03_host.yaml")
			long := conformance.Client.Get("server", 80, "/long")
			for _, authority := range []string{"server.smi-apps.svc", "server.smi-apps.svc:80", "SERVER.smi-apps.Svc", "server.smi-apps.svc.", "server.smi-apps.svc.:80"} {
				t.Allowed(long.Authority(authority))
			}
			t.Denied(long)
			t.Denied(long.Authority("server.smi-apps.svc.cluster.local"))
			anyone := conformance.Client.Get("server", 80, "/any").Direct()
			t.Allowed(anyone)
			t.Denied(anyone.Authority("[::1]:80"))
		},
	},
	{
		ID: "SP-3-names", Title: "A condition on what cannot be a header makes its match grant nothing",
		Rules: []string{"SP-3"}, Features: headerAccess, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			if t.TryApply("sp_03_names.yaml") {
				t.Allowed(conformance.Client.Get("server", 80, "/beside"))
			}
			t.Denied(conformance.Client.Get("server", 80, "/pseudo"))
			t.Denied(conformance.Client.Get("server", 80, "/space"))
		},
	},
}

// headerAccess is what cases about conditions on headers claim.
var headerAccess = []conformance.Feature{conformance.AccessHTTP, conformance.AccessHeaders}

func overHTTP1(path string) conformance.Call { return conformance.Client.Get("server", 80, path) }

func overHTTP2(path string) conformance.Call { return overHTTP1(path).HTTP2() }

// cookies expects cookies to be joined as HTTP/2 does it.
func cookies(t *conformance.T) {
	t.Apply("sp_03_cookie.yaml")
	t.Allowed(overHTTP2("/crumb").Header("cookie", "a=1"))
	t.Denied(overHTTP2("/crumb").Header("cookie", "a=1").Header("cookie", "b=2"))
	t.Allowed(overHTTP2("/cookie").Header("cookie", "a=1; b=2"))
	t.Allowed(overHTTP2("/cookie").Header("cookie", "a=1").Header("cookie", "b=2"))
	t.Denied(overHTTP2("/cookie").Header("cookie", "b=2").Header("cookie", "a=1"))
}
