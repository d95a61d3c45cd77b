package cases

import (
	"net/http"
	"strings"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
)

// passing are the cases of the rules PR-4 and PR-5, on what a mesh leaves as it is.
var passing = []*conformance.Case{
	{
		ID: "PR-4-headers", Title: "An application sees who has proved to call, and no header that speaks to proxies",
		Rules: []string{"PR-4"}, Features: []conformance.Feature{conformance.Identity, conformance.AccessHTTP, conformance.Hardening},
		APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_04_headers.yaml")
			for _, get := range []func(string) conformance.Call{overHTTP1, overHTTP2} {
				trusted(t, get("/"))
				trusted(t, get("/").Header("x-envoy-original-path", "/forged").Header("X-Envoy-Forged", "forged"))
				trusted(t, get("/").Header("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/smi-apps/sa/forged"))
				trusted(t, get("/").Header("x_forwarded_client_cert", "forged"))
				trusted(t, get("/").Header("X-Forwarded_Client-Cert", "forged").Header("x_forwarded-client_cert", "forged"))
			}
		},
	},
	{
		ID: "PR-4-conditions", Title: "Conditions on headers that speak to proxies hold for nobody",
		Rules: []string{"PR-4"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessHeaders, conformance.Hardening},
		APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_04_conditions.yaml")
			for _, get := range []func(string) conformance.Call{overHTTP1, overHTTP2} {
				t.Allowed(get("/kept").Header("x-own", "1"))
				t.Denied(get("/envoy").Header("x-envoy-own", "1"))
				t.Denied(get("/cert"))
				t.Denied(get("/cert").Header("x-forwarded-client-cert", "1"))
				t.Denied(get("/cert").Header("x_forwarded_client_cert", "1"))
				t.Allowed(get("/secret"))
				t.Denied(get("/other").Header("x-envoy-original-path", "/secret"))
			}
		},
	},
	{
		ID: "PR-4-split", Title: "Splits see none of the headers that speak to proxies",
		Rules: []string{"PR-4"}, Features: []conformance.Feature{conformance.SplitMatches, conformance.Hardening}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_04_split.yaml")
			get := conformance.Client.Get("stable", 80, "/")
			t.Always(get.Header("x-own", "1"), 10, "smi-apps/v2")
			t.Always(get.Header("x-envoy-own", "1"), 10, "smi-apps/v1")
			t.Always(get.Header("x-forwarded-client-cert", "1"), 10, "smi-apps/v1")
			t.Always(get.Header("x-envoy-original-path", "/beta"), 10, "smi-apps/v1")
		},
	},
	{
		ID: "PR-4-deadlines", Title: "No header of a client puts a timeout on a request",
		Rules: []string{"PR-4"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.Hardening}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_04_headers.yaml")
			slow := conformance.Client.Get("server", 80, "/delay?ms=300")
			t.Allowed(slow.Header("x-envoy-upstream-rq-timeout-ms", "1"))
			t.Allowed(slow.Header("x-envoy-expected-rq-timeout-ms", "1"))
			t.Allowed(slow.HTTP2().Header("x-envoy-upstream-rq-timeout-ms", "1"))
		},
	},
	{
		ID: "PR-4-retries", Title: "A request that an application has answered is not sent again, however it failed",
		Rules: []string{"PR-4"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.DenialMetrics}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_04_retries.yaml")
			before := t.Denials(relay, workloadV1)
			for i, method := range []string{http.MethodGet, http.MethodPost} {
				failsAtRelay(t, conformance.Client.Get("relay", 80, "/relay").Method(method))
				t.DenialsReach(relay, workloadV1, before+i+1)
			}
			// Others would have come before this one.
			failsAtRelay(t, conformance.Client.Get("relay", 80, "/relay").Method(http.MethodPut))
			t.DenialsReach(relay, workloadV1, before+3)
		},
	},
	{
		ID: "PR-4-long", Title: "The mesh puts no timeout on an answer that takes long",
		Rules: []string{"PR-4"}, Features: []conformance.Feature{conformance.AccessHTTP}, APIs: accessAPIs, Slow: true,
		Run: func(t *conformance.T) {
			t.Apply("pr_04_long.yaml")
			// No other case takes anything from this client, and with it its connections.
			caller := conformance.Control
			t.Answered(caller.Get("vault", 80, "/stream?seconds=600").On("long").Stream(), "an answer that goes on",
				func(a *driver.Answer) string {
					if a.Status != 200 {
						return "no answer"
					}
					return ""
				})
			// A line comes each second. Proxies that end answers mostly do so after 15.
			for range 18 {
				t.Flowing(caller, "long")
			}
		},
	},
	{
		ID: "PR-5-outside", Title: "What leaves the mesh needs no grant and passes unchanged",
		Rules: []string{"PR-5"}, Features: []conformance.Feature{conformance.Identity},
		Run: func(t *conformance.T) {
			t.Apply("id_06_outside.yaml")
			call := conformance.Guest.Get("plain.smi-outside", 80, "/red//x?a=%2F&b").Method(http.MethodPost).Body("hello").Header("x-own", "1")
			t.Answered(call, "the request as it was sent", func(a *driver.Answer) string {
				switch s := a.Seen; {
				case s == nil:
					return "no application answered"
				case s.Method != http.MethodPost || s.Path != "/red//x" || s.Query != "a=%2F&b" || s.Host != "plain.smi-outside":
					return "it was changed"
				case strings.Join(s.Headers["x-own"], ",") != "1" || s.Headers["x-forwarded-client-cert"] != nil:
					return "its headers were changed"
				}
				return ""
			})
		},
	},
	{
		ID: "PR-5-no-service", Title: "A name in the mesh that no Service has is refused like one without a grant",
		Rules: []string{"PR-5"}, Features: []conformance.Feature{conformance.AccessHTTP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_04_headers.yaml")
			for _, name := range []string{"nobody.smi-apps", "nobody.smi-other.svc", "nobody.smi-other.svc.cluster.local"} {
				t.Allowed(overHTTP1("/"))
				t.Answered(conformance.Client.Get(name, 80, "/"), "403 of the mesh, or no such name", func(a *driver.Answer) string {
					if (a.Status != http.StatusForbidden || a.Pod != "") && a.Failure != driver.NotConnected {
						return "another answer"
					}
					return ""
				})
				t.Allowed(overHTTP1("/"))
			}
		},
	},
}

// relay is a server that asks another one, in vain, and fails with that.
const relay conformance.Workload = "smi-apps/relay"

func failsAtRelay(t *conformance.T, c conformance.Call) {
	t.Answered(c, "502 of the application", func(a *driver.Answer) string {
		if a.Status != http.StatusBadGateway || a.Pod != string(relay) {
			return "another answer"
		}
		return ""
	})
}

// trusted expects the application to be told that the client calls, and nothing
// that a header of the client's said.
func trusted(t *conformance.T, c conformance.Call) {
	calledBy(t, c, "smi-apps", "client")
	t.Answered(c, "no forged header at the application", func(a *driver.Answer) string {
		if a.Seen == nil {
			return "no application answered"
		}
		for name, values := range a.Seen.Headers {
			dashed := strings.ReplaceAll(name, "_", "-")
			switch {
			case strings.HasPrefix(dashed, "x-envoy-"), dashed == "x-forwarded-client-cert" && name != dashed,
				strings.Contains(strings.Join(values, ","), "forged"):
				return "it saw " + name
			}
		}
		return ""
	})
}
