package oracle_test

import (
	"encoding/json"
	"strings"
	"testing"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	"github.com/smi-project/smi/internal/oracle"
)

// allowing is a world in which web may send to api what one of the matches says.
func allowing(matches ...specs.HTTPMatch) []any {
	return []any{webToAPI(allow("HTTPRouteGroup", "g")), group("g", matches...)}
}

func TestSP1_Expressions(t *testing.T) {
	long := func(n int) string { return "/a|" + strings.Repeat("z", n-3) }
	bad := path("/a")
	bad.Headers = specs.NewHTTPHeaders(specs.HTTPHeader{Name: "x-user", Value: "("})
	check(t, []rule{
		{"SP-1 an alternative does not escape the anchor", allowing(path("/a|/b")), get("/c/b"), "denied"},
		{"SP-1 both alternatives match", allowing(path("/a|/b")), get("/b"), "allowed"},
		{"SP-1 a stray parenthesis does not either", allowing(path("a)|(?:.*")), get("/"), "denied"},
		{"SP-1 what does not compile grants nothing", allowing(path("(")), get("/("), "denied"},
		{"SP-1 and nothing else suffers", allowing(path("("), path("/a")), get("/a"), "allowed"},
		{"SP-1 a bad header expression voids its match", allowing(bad), get("/a", "x-user: ("), "denied"},
		{"SP-1 no \\p classes", allowing(path(`/\pL`)), get("/a"), "denied"},
		{"SP-1 no \\P classes", allowing(path(`/a|\P{L}`)), get("/a"), "denied"},
		{"SP-1 no \\p inside a class", allowing(path(`/[\pL]`)), get("/a"), "denied"},
		{"SP-1 a backslash and a p is no class", allowing(path(`/\\p|/a`)), get("/a"), "allowed"},
		{"SP-1 quoted \\p is no class", allowing(path(`/\Q\p\E|/a`)), get("/a"), "allowed"},
		{"SP-1 escapes up to \\xFF", allowing(path(`/\x61|\x{FF}`)), get("/a"), "allowed"},
		{"SP-1 none above", allowing(path(`/\x{100}|/a`)), get("/a"), "denied"},
		{"SP-1 none above, in octal", allowing(path(`/\777|/a`)), get("/a"), "denied"},
		{"SP-1 octal up to \\377", allowing(path(`/\141|\377`)), get("/a"), "allowed"},
		{"SP-1 ASCII only", allowing(path("/é|/a")), get("/a"), "denied"},
		{"SP-1 1024 characters", allowing(path(long(1024))), get("/a"), "allowed"},
		{"SP-1 1025 characters", allowing(path(long(1025))), get("/a"), "denied"},
		{"SP-1 a quotation without end compiles alone but not wrapped", allowing(path(`/a\Qb`)), get("/ab"), "denied"},
		{"SP-1 a quotation with \\p and without end", allowing(path(`/a\Q\p`)), get(`/a`), "denied"},
		{"SP-1 bytes, not characters", allowing(header("x-user", "..")), get("/", "x-user: é"), "allowed"},
		{"SP-1 a byte by its number", allowing(header("x-user", `\xC3\xA9`)), get("/", "x-user: é"), "allowed"},
		{"SP-1 flags", allowing(path("(?i)/A")), get("/a"), "allowed"},
	})
}

func TestSP2_PathsAreAnchoredAtTheBeginning(t *testing.T) {
	check(t, []rule{
		{"SP-2 the path", allowing(path("/metrics")), get("/metrics"), "allowed"},
		{"SP-2 below it", allowing(path("/metrics")), get("/metrics/x"), "allowed"},
		{"SP-2 a longer word", allowing(path("/metrics")), get("/metricsfoo"), "allowed"},
		{"SP-2 not in the middle", allowing(path("/metrics")), get("/x/metrics"), "denied"},
		{"SP-2 an exact path", allowing(path("/metrics$")), get("/metricsfoo"), "denied"},
		{"SP-2 the query is left out", allowing(path("/a$")), get("/a?x=1"), "allowed"},
		{"SP-2 a query satisfies nothing", allowing(path("/.*b")), get("/a?x=/b"), "denied"},
		{"SP-2 no pathRegex is no condition", allowing(path("")), get("/a"), "allowed"},
	})
}

func TestSP3_Headers(t *testing.T) {
	check(t, []rule{
		{"SP-3 the whole value", allowing(header("x-user", "ann")), get("/", "x-user: ann"), "allowed"},
		{"SP-3 not its beginning", allowing(header("x-user", "ann")), get("/", "x-user: anna"), "denied"},
		{"SP-3 not its end", allowing(header("x-user", "ann")), get("/", "x-user: joann"), "denied"},
		{"SP-3 an alternative does not escape the anchors", allowing(header("x-user", "ann|bob")), get("/", "x-user: annbob"), "denied"},
		{"SP-3 names in any case", allowing(header("X-User", "ann")), get("/", "x-uSER: ann"), "allowed"},
		{"SP-3 repeated headers are joined", allowing(header("x-user", "ann,bob")), get("/", "x-user: ann", "x-beta: x", "X-User: bob"), "allowed"},
		{"SP-3 so one of them alone is not enough", allowing(header("x-user", "ann")), get("/", "x-user: ann", "x-user: bob"), "denied"},
		{"SP-3 cookies are joined as in HTTP/2", allowing(header("cookie", "a=1; b=2")), get("/", "cookie: a=1", "cookie: b=2"), "allowed"},
		{"SP-3 an absent header never matches", allowing(header("x-user", ".*")), get("/"), "denied"},
		{"SP-3 an empty header does", allowing(header("x-user", ".*")), get("/", "x-user: "), "allowed"},
		{"SP-3 an empty expression is an empty value", allowing(header("x-user", "")), get("/", "x-user: ann"), "denied"},
		{"SP-3 pseudo-headers are no headers", allowing(header(":path", ".*")), get("/"), "denied"},
		{"SP-3 host", allowing(header("host", `api\.shop`)), get("/"), "allowed"},
		{"SP-3 host without the port", allowing(header("Host", `api\.shop`)), toHost("api.shop:80", get("/")), "allowed"},
		{"SP-3 host in lower case without final dot", allowing(header("host", `api\.shop`)), toHost("API.Shop.:80", get("/")), "allowed"},
		{"SP-3 an expression in upper case never meets it", allowing(header("host", `API\.shop`)), toHost("API.shop", get("/")), "denied"},
		{"SP-3 an IPv6 host meets no condition", allowing(header("host", `.*`)), toHost("[::1]:80", get("/")), "denied"},
		{"SP-3 nor does a host with a port that is none", allowing(header("host", `.*`)), toHost("api.shop:x", get("/")), "denied"},
		{"SP-3 nor one with two", allowing(header("host", `.*`)), toHost("api.shop:80:80", get("/")), "denied"},
	})
}

func TestSP4_Methods(t *testing.T) {
	only := func(methods ...string) []any { return allowing(specs.HTTPMatch{Name: "m", Methods: methods}) }
	check(t, []rule{
		{"SP-4 a method", only("GET"), request("GET", "/"), "allowed"},
		{"SP-4 another", only("GET"), request("POST", "/"), "denied"},
		{"SP-4 one of several", only("GET", "POST"), request("POST", "/"), "allowed"},
		{"SP-4 none is every", only(), request("POST", "/"), "allowed"},
		{"SP-4 a star among others is every", only("GET", "*"), request("POST", "/"), "allowed"},
		{"SP-4 case counts", only("get"), request("GET", "/"), "denied"},
	})
}

func TestSP5_ConditionsAndAlternatives(t *testing.T) {
	both := specs.HTTPMatch{Name: "both", Methods: []string{"GET"}, PathRegex: "/a"}
	check(t, []rule{
		{"SP-5 all conditions hold", allowing(both), request("GET", "/a"), "allowed"},
		{"SP-5 one does not", allowing(both), request("POST", "/a"), "denied"},
		{"SP-5 matches are alternatives", allowing(path("/a"), path("/b")), get("/b"), "allowed"},
		{"SP-5 conditions of two matches do not mix", allowing(both, path("/b")), request("POST", "/a"), "denied"},
		{"SP-5 no condition is every request", allowing(specs.HTTPMatch{Name: "any"}), get("/x"), "allowed"},
	})
}

func TestSP6_BothFormsOfHeaders(t *testing.T) {
	written := func(text string) []any {
		match := specs.HTTPMatch{Name: "m"}
		if err := json.Unmarshal([]byte(text), &match.Headers); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return allowing(match)
	}
	check(t, []rule{
		{"SP-6 a map", written(`{"x-user": "ann", "x-beta": "1"}`), get("/", "x-user: ann", "x-beta: 1"), "allowed"},
		{"SP-6 all of a map", written(`{"x-user": "ann", "x-beta": "1"}`), get("/", "x-user: ann"), "denied"},
		{"SP-6 a list", written(`[{"x-user": "ann"}, {"x-beta": "1"}]`), get("/", "x-user: ann", "x-beta: 1"), "allowed"},
		{"SP-6 a list with one name twice", written(`[{"x-user": "a.*"}, {"x-user": ".*n"}]`), get("/", "x-user: ann"), "allowed"},
		{"SP-6 both hold", written(`[{"x-user": "a.*"}, {"x-user": ".*b"}]`), get("/", "x-user: ann"), "denied"},
	})
}

func TestSP7_RoutePortsAreThePodsPorts(t *testing.T) {
	open := func(ports ...int) []any { return []any{webToAPI(allow("TCPRoute", "t")), tcpRoute("t", ports...)} }
	sidecar := service("api", "app=api", port(81, "tcp", 15001))
	check(t, []rule{
		{"SP-7 without ports every port", open(), connect(81), "allowed"},
		{"SP-7 the target port", open(9090), connect(81), "allowed"},
		{"SP-7 not the Service's port", open(81), connect(81), "denied"},
		{"SP-7 never the sidecar's own", append(open(), sidecar), connect(81), "denied"},
	})
}

func TestSP8_AGRPCMethodIsAPath(t *testing.T) {
	check(t, []rule{
		{"SP-8 the method", allowing(path(`/shop\.Books/Buy$`)), request("POST", "/shop.Books/Buy"), "allowed"},
		{"SP-8 another method", allowing(path(`/shop\.Books/Buy$`)), request("POST", "/shop.Books/Sell"), "denied"},
	})
}

func TestSP9_PathsAreNormalisedFirst(t *testing.T) {
	check(t, []rule{
		{"SP-9 dot-dot leaves the allowed path", allowing(path("/a")), get("/a/../b"), "denied"},
		{"SP-9 dot-dot leads to it", allowing(path("/a")), get("/b/../a"), "allowed"},
		{"SP-9 encoded dots", allowing(path("/a")), get("/a/%2e%2E/b"), "denied"},
		{"SP-9 half encoded dots", allowing(path("/a$")), get("/b/.%2e/a"), "allowed"},
		{"SP-9 a single dot", allowing(path("/a/b$")), get("/a/./b"), "allowed"},
		{"SP-9 dot-dot at the end leaves a slash", allowing(path("/a/$")), get("/a/b/.."), "allowed"},
		{"SP-9 a dot at the end leaves a slash", allowing(path("/a/b/$")), get("/a/b/."), "allowed"},
		{"SP-9 not above the root", allowing(path("/b$")), get("/a/../../b"), "allowed"},
		{"SP-9 three dots are a name", allowing(path(`/a/\.\.\./b$`)), get("/a/.../b"), "allowed"},
		{"SP-9 repeated slashes stay", allowing(path("/a/b")), get("/a//b"), "denied"},
		{"SP-9 backslashes turn", allowing(path("/b$")), get(`/a\..\b`), "allowed"},
		{"SP-9 backslashes in the query do not matter", allowing(path("/a$")), get(`/a?\..\b`), "allowed"},
		{"SP-9 dots in the query are not resolved", allowing(path("/a$")), get("/a?x=/../../b"), "allowed"},
		{"SP-9 escapes that nothing needs", allowing(path(`/a-z_0~\.$`)), get("/%61-%7A%5f%30%7e%2e"), "allowed"},
		{"SP-9 other escapes stay", allowing(path("/%3b%7B%25%zz$")), get("/%3b%7B%25%zz"), "allowed"},
		{"SP-9 nothing is decoded twice", allowing(path("/a/%252e")), get("/a/%252e%252e/b"), "allowed"},
		{"SP-9 dots with parameters", allowing(path("/")), get("/a/..;v=1/b"), "400"},
		{"SP-9 encoded dots with parameters", allowing(path("/")), get("/a/%2E;/b"), "400"},
		{"SP-9 other parameters", allowing(path("/a;v=1/...;")), get("/a;v=1/...;/b"), "allowed"},
		{"SP-9 an encoded slash", allowing(path("/")), get("/a%2fb"), "400"},
		{"SP-9 an encoded slash in upper case", allowing(path("/")), get("/a%2Fb"), "400"},
		{"SP-9 an encoded backslash", allowing(path("/")), get("/a%5cb"), "400"},
		{"SP-9 an encoded slash without any grant", nil, get("/a%2fb"), "400"},
		{"SP-9 an encoded slash in the query", allowing(path("/a$")), get("/a?x=%2f"), "allowed"},
		{"SP-9 bytes to a TCP port are not read", []any{webToAPI(allow("TCPRoute", "t")), tcpRoute("t")}, onPort(81, get("/a%2fb")), "allowed"},
		{"SP-9 a client without identity gets no answer at all", nil, fromPod("shop/plain-0", oracle.Request{Namespace: "shop", Service: "api", Port: 80, HTTP: &oracle.HTTP{Method: "GET", Path: "/a%2fb"}}), "denied"},
	})
}
