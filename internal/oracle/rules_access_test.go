package oracle_test

import (
	"testing"

	"github.com/smi-project/smi/internal/oracle"
)

func TestAC1_StrictDeniesWhatNoTargetAllows(t *testing.T) {
	check(t, []rule{
		{"AC-1 HTTP without a TrafficTarget", nil, get("/"), "denied"},
		{"AC-1 TCP without a TrafficTarget", nil, connect(81), "denied"},
		{"AC-1 with a target that allows it", []any{webToAPI(allow("HTTPRouteGroup", "g")), group("g", path("/"))}, get("/"), "allowed"},
		{"AC-1 an unmeshed pod has no guard", []any{unmeshed(pod("shop", "api-0", "api"))}, get("/"), "allowed"},
	})
}

func TestAC3_GrantsAreAUnion(t *testing.T) {
	a := target("a", from("web"), to("api"), allow("HTTPRouteGroup", "a"))
	b := target("b", from("web"), to("api"), allow("HTTPRouteGroup", "b"))
	world := []any{a, b, group("a", path("/a")), group("b", path("/b"))}
	check(t, []rule{
		{"AC-3 the first target's grant", world, get("/a"), "allowed"},
		{"AC-3 the second target's grant", world, get("/b"), "allowed"},
		{"AC-3 nobody's grant", world, get("/c"), "denied"},
		{
			"AC-3 a narrow target hides no wide one",
			[]any{target("wide", from("web"), to("api"), allow("TCPRoute", "all")), tcpRoute("all"), a, group("a", path("/a"))}, get("/c"), "allowed",
		},
	})
}

func TestAC4_ATargetNeedsSourceRuleAndDestination(t *testing.T) {
	all := group("all", path("/"))
	check(t, []rule{
		{"AC-4 no source", []any{target("t", to("api"), allow("HTTPRouteGroup", "all")), all}, get("/"), "denied"},
		{"AC-4 no rule", []any{target("t", from("web"), to("api")), all}, get("/"), "denied"},
		{"AC-4 no destination", []any{target("t", from("web"), allow("HTTPRouteGroup", "all")), all}, get("/"), "denied"},
	})
}

func TestAC5_Namespaces(t *testing.T) {
	all := group("all", path("/"))
	granting := func(source, destination string) []any {
		return []any{target("t", from(source), to(destination), allow("HTTPRouteGroup", "all")), all}
	}
	theirs := target("t", from("shop/web"), to("shop/api"), allow("HTTPRouteGroup", "all"))
	theirs.Namespace = "bank"
	theirGroup := group("all", path("/"))
	theirGroup.Namespace = "bank"
	check(t, []rule{
		{"AC-5 without namespaces it is the target's own", granting("web", "api"), get("/"), "allowed"},
		{"AC-5 so a client of another namespace is another source", granting("web", "api"), fromPod("bank/web-0", get("/")), "denied"},
		{"AC-5 a source of another namespace", granting("bank/web", "api"), fromPod("bank/web-0", get("/")), "allowed"},
		{"AC-5 which is not the one of the same name here", granting("bank/web", "api"), get("/"), "denied"},
		{"AC-5 the destination's own namespace said", granting("web", "shop/api"), get("/"), "allowed"},
		{"AC-5 a destination in another namespace is refused", []any{theirs, theirGroup}, get("/"), "denied"},
	})
}

func TestAC6_NamedMatches(t *testing.T) {
	a, b := path("/a"), path("/b")
	a.Name, b.Name = "a", "b"
	g := group("g", a, b)
	check(t, []rule{
		{"AC-6 the named match", []any{webToAPI(allow("HTTPRouteGroup", "g", "a")), g}, get("/a"), "allowed"},
		{"AC-6 not the others", []any{webToAPI(allow("HTTPRouteGroup", "g", "a")), g}, get("/b"), "denied"},
		{"AC-6 without names all of them", []any{webToAPI(allow("HTTPRouteGroup", "g")), g}, get("/b"), "allowed"},
		{"AC-6 without matches in the group nothing", []any{webToAPI(allow("HTTPRouteGroup", "g")), group("g")}, get("/b"), "denied"},
	})
}

func TestAC7_WhatDoesNotExistContributesNothing(t *testing.T) {
	a, b := path("/a"), path("/b")
	a.Name, b.Name = "a", "b"
	g := group("g", a, b)
	check(t, []rule{
		{"AC-7 no such group", []any{webToAPI(allow("HTTPRouteGroup", "none"))}, get("/a"), "denied"},
		{"AC-7 no such match is not all matches", []any{webToAPI(allow("HTTPRouteGroup", "g", "none")), g}, get("/a"), "denied"},
		{"AC-7 beside it a match that exists", []any{webToAPI(allow("HTTPRouteGroup", "g", "none", "a")), g}, get("/a"), "allowed"},
		{"AC-7 the rest of the target works", []any{webToAPI(allow("HTTPRouteGroup", "none"), allow("HTTPRouteGroup", "g")), g}, get("/a"), "allowed"},
		{"AC-7 no such TCPRoute", []any{webToAPI(allow("TCPRoute", "none"))}, connect(81), "denied"},
		{"AC-7 no such match of a TCPRoute", []any{webToAPI(allow("TCPRoute", "t", "none")), tcpRoute("t")}, connect(81), "denied"},
		{"AC-7 the TCPRoute's match by name", []any{webToAPI(allow("TCPRoute", "t", "tcp")), tcpRoute("t")}, connect(81), "allowed"},
		{"AC-7 an unknown kind", []any{webToAPI(allow("HTTPRoute", "g")), g}, get("/a"), "denied"},
		{"AC-7 an unknown kind beside a group", []any{webToAPI(allow("HTTPRoute", "g"), allow("HTTPRouteGroup", "g")), g}, get("/a"), "allowed"},
		{"AC-7 an unknown kind does not turn a restriction into a grant", []any{webToAPI(allow("HTTPRoute", "g"), allow("TCPRoute", "t")), g, tcpRoute("t")}, get("/a"), "denied"},
		{"AC-7 objects of other namespaces do not count", []any{func() any { o := group("g", a); o.Namespace = "bank"; return o }(), webToAPI(allow("HTTPRouteGroup", "g"))}, get("/a"), "denied"},
	})
}

func TestAC8_TCPRoutesAloneAllowConnections(t *testing.T) {
	open := func(ports ...int) []any { return []any{webToAPI(allow("TCPRoute", "t")), tcpRoute("t", ports...)} }
	check(t, []rule{
		{"AC-8 a connection on its port", open(9090), connect(81), "allowed"},
		{"AC-8 not on another", open(8080), connect(81), "denied"},
		{"AC-8 HTTP included", open(8080), get("/anything"), "allowed"},
		{"AC-8 HTTP to a port declared TCP", open(9090), onPort(81, get("/anything")), "allowed"},
		{"AC-8 several TCPRoutes add up", []any{webToAPI(allow("TCPRoute", "t"), allow("TCPRoute", "u")), tcpRoute("t", 1), tcpRoute("u", 9090)}, connect(81), "allowed"},
		{"AC-8 a UDPRoute beside it does not matter", append(open(9090), webToAPI(allow("TCPRoute", "t"), allow("UDPRoute", "u"))), connect(81), "allowed"},
	})
}

func TestAC9_ATCPRouteBesideAGroupRestricts(t *testing.T) {
	restricted := func(objects ...any) []any {
		return append(objects, webToAPI(allow("HTTPRouteGroup", "g"), allow("TCPRoute", "t")))
	}
	g := group("g", path("/a"))
	check(t, []rule{
		{"AC-9 the match on the port", restricted(g, tcpRoute("t", 8080)), get("/a"), "allowed"},
		{"AC-9 no other path on the port", restricted(g, tcpRoute("t", 8080)), get("/b"), "denied"},
		{"AC-9 the match on another port", restricted(g, tcpRoute("t", 9090)), get("/a"), "denied"},
		{"AC-9 no connection on the port", restricted(g, tcpRoute("t", 7000)), connect(82), "denied"},
		{"AC-9 a route without ports restricts to every port", restricted(g, tcpRoute("t")), get("/a"), "allowed"},
		{"AC-9 still a restriction without the group", restricted(tcpRoute("t", 8080)), get("/a"), "denied"},
		{"AC-9 still a restriction without the group's matches", restricted(group("g"), tcpRoute("t", 7000)), connect(82), "denied"},
		{"AC-9 still a restriction without the route", restricted(g), get("/a"), "denied"},
	})
}

func TestAC10_AGroupOpensPortsThatSpeakHTTP(t *testing.T) {
	world := []any{webToAPI(allow("HTTPRouteGroup", "g")), group("g", path("/"))}
	check(t, []rule{
		{"AC-10 a port declared HTTP", world, get("/"), "allowed"},
		{"AC-10 a request on an undeclared port", world, onPort(82, get("/")), "allowed"},
		{"AC-10 bytes on an undeclared port", world, connect(82), "denied"},
		{"AC-10 a request on a port declared TCP", world, onPort(81, get("/")), "denied"},
		{"AC-10 a connection on a port declared TCP", world, connect(81), "denied"},
	})
}

func TestAC11_AUDPRouteOpensNothingHere(t *testing.T) {
	check(t, []rule{
		{"AC-11 alone", []any{webToAPI(allow("UDPRoute", "u"))}, connect(81), "denied"},
		{"AC-11 it does not restrict a group", []any{webToAPI(allow("UDPRoute", "u"), allow("HTTPRouteGroup", "g")), group("g", path("/"))}, get("/"), "allowed"},
	})
}

func TestAC13_IdentityBelongsToThePod(t *testing.T) {
	other := labelled(pod("shop", "old-0", "old"), "app=api") // behind the same Service
	grant := []any{webToAPI(allow("HTTPRouteGroup", "g")), group("g", path("/"))}
	check(t, []rule{
		{"AC-13 two Services of one account share its grants", append(grant, service("also-api", "app=api", port(80, "http", 8080))), toService("also-api", get("/")), "allowed"},
		{"AC-13 pods of two accounts behind one Service", append(grant, other), get("/"), "allowed 1/2, denied 1/2"},
	})
}

func TestAC16_Modes(t *testing.T) {
	check(t, []rule{
		{"AC-16 permissive", []any{namespace("shop", "permissive")}, get("/"), "allowed"},
		{"AC-16 permissive serves plain clients", []any{namespace("shop", "permissive")}, fromPod("shop/plain-0", connect(81)), "allowed"},
		{"AC-16 audit lets through", []any{namespace("shop", "audit")}, get("/"), "allowed"},
		{"AC-16 an unknown value is strict", []any{namespace("shop", "off"), oracle.Config{Mode: oracle.Permissive}}, get("/"), "denied"},
		{"AC-16 the client's namespace does not matter", []any{namespace("bank", "permissive")}, fromPod("bank/web-0", get("/")), "denied"},
		{"AC-16 without a label the mesh's mode", []any{oracle.Config{Mode: oracle.Permissive}}, get("/"), "allowed"},
		{"AC-16 the label wins over the mesh's mode", []any{namespace("shop", "strict"), oracle.Config{Mode: oracle.Permissive}}, get("/"), "denied"},
		{"AC-16 no label lowers the floor", []any{namespace("shop", "permissive"), oracle.Config{Floor: oracle.Strict}}, get("/"), "denied"},
		{"AC-16 the floor of audit still lets through", []any{namespace("shop", "permissive"), oracle.Config{Floor: oracle.Audit}}, get("/"), "allowed"},
		{"AC-16 no mode serves what gets 400", []any{namespace("shop", "permissive")}, get("/a%2fb"), "400"},
	})
}

func TestAC18_PlaintextPorts(t *testing.T) {
	open := func(ports string) []any {
		p := pod("shop", "api-0", "api")
		p.Annotations = map[string]string{"smi-spec.io/plaintext-ports": ports}
		return []any{p}
	}
	check(t, []rule{
		{"AC-18 a port by number", open("8080"), fromPod("shop/plain-0", get("/")), "allowed"},
		{"AC-18 a port by name", open("7000, raw"), fromPod("shop/plain-0", connect(81)), "allowed"},
		{"AC-18 no other port", open("8080"), fromPod("shop/plain-0", connect(81)), "denied"},
		{"AC-18 what gets 400 still gets it", open("8080"), fromPod("shop/plain-0", get("/a%2fb")), "400"},
		{"AC-18 for peers without identity only", open("8080"), get("/"), "denied"},
	})
}
