package cases

import (
	"strings"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
)

// hardened is what the cases of SP-9 claim.
var hardened = []conformance.Feature{conformance.AccessHTTP, conformance.Hardening}

// paths are the cases of the rule SP-9.
var paths = []*conformance.Case{
	{
		ID: "SP-9-dots", Title: "Dot segments and backslashes are resolved before a path is judged, and the application gets that path",
		Rules: []string{"SP-9"}, Features: hardened, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_09_paths.yaml")
			for _, get := range []func(string) conformance.Call{overHTTP1, overHTTP2} {
				for _, path := range []string{
					"/public/../secret", "/public/%2e%2e/secret", "/public/%2E./secret", "/public/./../secret",
					`/public\..\secret`, "/x/./public",
				} {
					t.Denied(get(path))
				}
				for _, path := range []string{"/x/../public", "/x/%2e%2E/public", `/x\..\public`, "/./public", "/../public"} {
					seesPath(t, get(path), "/public")
				}
			}
		},
	},
	{
		ID: "SP-9-encoded-slashes", Title: "An encoded slash or backslash in a path gets 400, and is harmless in a query",
		Rules: []string{"SP-9"}, Features: hardened, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_09_every.yaml")
			for _, get := range []func(string) conformance.Call{overHTTP1, overHTTP2} {
				for _, path := range []string{"/public/..%2Fsecret", "/public%2fsecret", "/public/..%5Csecret", "/public%5csecret"} {
					t.Status(get(path), 400)
				}
				t.Allowed(get("/public?x=%2F&y=%5C"))
			}
		},
	},
	{
		ID: "SP-9-escapes", Title: "Escapes of plain characters are decoded once, and nothing else changes",
		Rules: []string{"SP-9"}, Features: hardened, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_09_paths.yaml")
			for _, get := range []func(string) conformance.Call{overHTTP1, overHTTP2} {
				seesPath(t, get("/%70ubli%63"), "/public")
				seesPath(t, get("/public/%41%30%2D%5f%7E"), "/public/A0-_~")
				seesPath(t, get("/public/a%20b%25%3f"), "/public/a%20b%25%3f")
				seesPath(t, get("/public{a}"), "/public%7Ba%7D")
				seesPath(t, get("/public//x//"), "/public//x//")
				seesPath(t, get("//double"), "//double")
				t.Denied(get("/%2570ublic"))
				t.Denied(get("//public"))
				t.Denied(get("/double"))
			}
		},
	},
	{
		ID: "SP-9-parameters", Title: "A segment of dots with parameters reaches no application",
		Rules: []string{"SP-9"}, Features: hardened, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_09_every.yaml")
			for _, get := range []func(string) conformance.Call{overHTTP1, overHTTP2} {
				for _, path := range []string{"/public/..;v=1/secret", "/public/..;/secret", "/public/%2e%2e;/secret", "/public/.;/../secret"} {
					t.Answered(get(path), "400, or the path resolved", func(a *driver.Answer) string {
						switch {
						case a.Seen == nil && a.Status == 400:
							return ""
						case a.Seen == nil || strings.Contains(a.Seen.Path, "/."), strings.Contains(strings.ToLower(a.Seen.Path), "/%2e"):
							return "it reached the application, or failed otherwise"
						}
						return ""
					})
				}
				seesPath(t, get("/public/..x;v=1"), "/public/..x;v=1")
				seesPath(t, get("/public/...;v=1"), "/public/...;v=1")
			}
		},
	},
	{
		ID: "SP-9-split", Title: "Splits judge the path that the application gets",
		Rules: []string{"SP-9"}, Features: []conformance.Feature{conformance.SplitMatches, conformance.Hardening}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_09_split.yaml")
			for _, path := range []string{"/x/../beta", "/%62eta", `/x\..\beta`} {
				t.Always(conformance.Client.Get("stable", 80, path), 10, "smi-apps/v2")
			}
			for _, path := range []string{"/beta/../x", "/beta/%2e%2e/x", "//beta", "/%2562eta"} {
				t.Always(conformance.Client.Get("stable", 80, path), 10, "smi-apps/v1")
			}
		},
	},
	{
		ID: "SP-9-modes", Title: "Paths are normalised where no access rule is enforced, too, whoever calls",
		Rules: []string{"SP-9"}, Features: []conformance.Feature{conformance.Hardening, conformance.Modes},
		Run: func(t *conformance.T) {
			t.Apply("sp_09_modes.yaml")
			for _, w := range []conformance.Workload{conformance.Client, conformance.Stranger} {
				t.Status(w.Get("server.smi-other", 80, "/a%2Fb"), 400)
				seesPath(t, w.Get("server.smi-other", 80, "/x/%2e%2e/a"), "/a")
			}
		},
	},
}

// seesPath expects the application to get this path.
func seesPath(t *conformance.T, c conformance.Call, path string) {
	t.Answered(c, "an application that sees "+path, func(a *driver.Answer) string {
		switch {
		case a.Seen == nil:
			return "no application answered"
		case a.Seen.Path != path:
			return "it saw " + a.Seen.Path
		}
		return ""
	})
}
