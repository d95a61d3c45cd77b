package worldgen

import "strings"

// pathExpressions lie around the paths below: broad ones first, then exact, tricky and broken ones.
var pathExpressions = []string{
	"/", "/", "/.*", ".*", ".*", "/a", "/a", "/a", "/b", "/[a-c]", "/[a-c]", "/a|/b", "/a|/b", "/(a|b)/",
	"/a$", "/a/", "/a/b$", "/abc$", "^/b", "/a(/.*)?$", "/.*/b", "(?i)/A", `/\x61`, `/\x{62}`, `/a\x2fb`,
	"a", "b|/c", "a)|(?:.*", "/admin", `/a\Q/b\E$`, "/zzz|", "$", `/a|\Q/b`,
	"*", "(", "/[", `/\pL`, `\p{Lu}|/a`, `/\x{100}|/a`, `/\777|/a`, "/é|/a", `/\pZ`, "/a(?=b)",
	"/a|" + strings.Repeat("z", 1021), "/a|" + strings.Repeat("z", 1022), // 1024 characters compile, 1025 do not
}

// paths are what clients ask for.
var paths = []string{
	"/", "/", "/a", "/a", "/a", "/a", "/a/", "/a/", "/b", "/b", "/b", "/b/c", "/a/b", "/c", "/abc", "/A", "/a/b", "/a/b/c", "/admin", "/zzz",
	"/a?x=1", "/abc?x=/b", "/zzz?/a/b", "/c?x=%2f", "/zzz?x=/../a",
	"/a/../b", "/a/./b", "/a/..", "/a/b/.", "/../a", "/a/../../b", "/a//b", "/a/.../b", "//a",
	"/a/%2e%2e/b", "/zzz/%2E./a", "/b/%2e/c",
	`/a\b`, `/zzz\..\a`, `/c\..\..\b?x=\`,
	"/a%2fb", "/a%2F..%5Cb", "/%5c",
}

// methodLists are conditions on methods.
var methodLists = [][]string{
	nil, {}, {"*"}, {"GET"}, {"GET"}, {"GET", "POST"}, {"POST"}, {"PUT", "*"}, {"get"}, {"DELETE", "PUT"},
}

// methods are what clients use.
var methods = []string{"GET", "GET", "GET", "POST", "POST", "PUT", "DELETE"}

// headerConditions are names and expressions of single conditions.
var headerConditions = [][2]string{
	{"x-user", "ann"}, {"x-user", "ann|bob"}, {"x-user", ".*"}, {"X-User", ".*"}, {"X-USER", "(?i)ANN"}, {"x-user", "an"},
	{"x-user", "ann,bob"}, {"x-user", ".*bob"}, {"x-user", "^ann$"}, {"x-user", ""}, {"x-user", ".."}, {"x-user", "a)|(?:.*"}, {"x-user", "[a-z]{3}"},
	{"x-beta", "true"}, {"x-beta", ".*"}, {"x-beta", "true|false"}, {"x-none", ".*"}, {"x-user", "("}, {"x-user", `\PL+`},
	{"x-envoy-original-path", "/a.*"}, {"x-envoy-original-path", ".*"}, {":path", ".*"}, {":method", "GET"},
	{"host", ".*"}, {"host", `[a-z0-9.-]+`}, {"Host", `[^:]*`}, {"host", ".*[A-Z].*"}, {"host", "(?i)[A-Z0-9.-]*"}, {"host", `.*\.`}, {"host", `.*:.*`},
}

// headerLists are what clients send. One value has two bytes and one character (SP-1).
var headerLists = [][][2]string{
	nil, nil, nil,
	{{"x-user", "ann"}}, {{"x-user", "ann"}}, {{"X-User", "bob"}}, {{"x-user", "ANN"}}, {{"x-user", "anna"}}, {{"x-user", ""}},
	{{"x-user", "ann"}, {"x-user", "bob"}}, {{"x-user", "bob"}, {"x-beta", "true"}, {"X-USER", "ann"}}, {{"x-beta", "true"}},
	{{"x-user", "é"}}, {{"x-beta", "truey"}}, {{"x-user", "ann"}, {"x-beta", "false"}},
	{{"x-envoy-original-path", "/a"}}, {{"x-envoy-original-path", "/a/b"}, {"x-user", "ann"}},
}

// declaredPorts are the beginnings of port names, by what they declare.
var declaredPorts = []string{"http", "http", "http", "http", "http", "http", "http2", "grpc", "tcp", "tcp", "tls", "https"}

// silentPorts are port names that declare nothing.
var silentPorts = []string{"web", "main", "httpx", "tcpish"}

var appProtocols = []string{"http", "grpc", "kubernetes.io/h2c", "kubernetes.io/ws", "tcp", "tcp", "https"}

var weights = []int{0, 0, 1, 1, 10, 50, 90, 100, 500, 1000}

var unknownRuleKinds = []string{"HTTPRoute", "httproutegroup", "GRPCRouteGroup", "TCPRoutes"}

// modeLabels are values of smi-spec.io/access; the last ones mean nothing and count as strict.
var modeLabels = []string{"strict", "strict", "strict", "permissive", "audit", "off", ""}
