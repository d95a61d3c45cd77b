package oracle_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/oracle"
)

// divided is one case of a split: in this world, the request is shared out so.
type divided struct {
	name    string
	world   []any
	request oracle.Request
	want    string // "backend part, ..." in the order of the split
}

// versions are the backends of Service api, each with a pod of its own; api-empty has none. The mesh is permissive, so that only
// the split decides.
func versions() []any {
	web := []corev1.ServicePort{port(80, "http", 8080), port(81, "tcp", 9090), port(82, "main", 7000)}
	return []any{
		namespace("shop", "permissive"),
		labelled(pod("shop", "v1-0", "v1"), "app=v1"), service("v1", "app=v1", web...),
		labelled(pod("shop", "v2-0", "v2"), "app=v2"), service("v2", "app=v2", web...),
		service("empty", "app=nobody", web...),
		service("only-81", "app=v1", port(81, "tcp", 9090)),
	}
}

func checkShares(t *testing.T, cases []divided) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := oracle.Judge(fixture(append(versions(), c.world...)...), c.request)
			var parts []string
			for _, share := range v.Shares {
				parts = append(parts, share.Backend+" "+share.Weight.RatString())
			}
			if got := strings.Join(parts, ", "); got != c.want {
				t.Errorf("%s\n got %s\nwant %s\n%s", c.request, got, c.want, v)
			}
		})
	}
}

func TestTS1_WhatASplitAppliesTo(t *testing.T) {
	split := func(root string) []any { return []any{trafficSplit("s", root, backend("v1", 1))} }
	elsewhere := trafficSplit("s", "api.shop", backend("v1", 1))
	elsewhere.Namespace = "bank"
	checkShares(t, []divided{
		{"TS-1 name", split("api"), get("/"), "v1 1"},
		{"TS-1 name.namespace", split("api.shop"), get("/"), "v1 1"},
		{"TS-1 name.namespace.svc", split("api.shop.svc"), get("/"), "v1 1"},
		{"TS-1 the cluster's name", split("api.shop.svc.cluster.local"), get("/"), "v1 1"},
		{"TS-1 the configured cluster domain", append(split("api.shop.svc.my.corp"), oracle.Config{ClusterDomain: "my.corp"}), get("/"), "v1 1"},
		{"TS-1 another domain is refused", split("api.shop.svc.my.corp"), get("/"), "api 1"},
		{"TS-1 another namespace is refused", split("api.bank"), get("/"), "api 1"},
		{"TS-1 a split of another namespace is refused", []any{elsewhere}, get("/"), "api 1"},
		{"TS-1 a final dot is refused", split("api.shop.svc.cluster.local."), get("/"), "api 1"},
		{"TS-1 a name without svc is refused", split("api.shop.cluster.local"), get("/"), "api 1"},
		{"TS-1 whatever the Host header says", split("api"), toHost("example.com", get("/")), "v1 1"},
		{"TS-1 no split of a headless Service", append(split("api"), headless(service("api", "app=api", port(80, "http", 8080)))), get("/"), "api 1"},
	})
}

func TestTS2_WeightsAreRelative(t *testing.T) {
	checkShares(t, []divided{
		{"TS-2 1000 to 500", []any{trafficSplit("s", "api", backend("v1", 1000), backend("v2", 500))}, get("/"), "v1 2/3, v2 1/3"},
		{"TS-2 large weights", []any{trafficSplit("s", "api", backend("v1", 2147483647), backend("v2", 2147483647))}, get("/"), "v1 1/2, v2 1/2"},
		{"TS-2 a negative weight is refused", []any{trafficSplit("s", "api", backend("v1", 1), backend("v2", -1))}, get("/"), "api 1"},
	})
}

func TestTS3_WeightZero(t *testing.T) {
	checkShares(t, []divided{
		{"TS-3 receives nothing", []any{trafficSplit("s", "api", backend("v1", 0), backend("v2", 5))}, get("/"), "v2 1"},
		{"TS-3 all zero: the root serves", []any{trafficSplit("s", "api", backend("v1", 0), backend("v2", 0))}, get("/"), "api 1"},
		{"TS-3 no backends: the root serves", []any{trafficSplit("s", "api")}, get("/"), "api 1"},
		{"TS-3 only missing backends: the root serves", []any{trafficSplit("s", "api", backend("none", 1), backend("v1", 0))}, get("/"), "api 1"},
		{
			"TS-3 not the next split without matches",
			[]any{trafficSplit("a", "api", backend("v1", 0)), trafficSplit("b", "api", backend("v2", 1))}, get("/"), "api 1",
		},
		{
			"TS-3 with matches: the request goes on",
			[]any{group("g", path("/")), trafficSplit("a", "api", matching("g"), backend("v1", 0)), trafficSplit("b", "api", backend("v2", 1))}, get("/"), "v2 1",
		},
	})
}

func TestTS4_BackendsThatCannotServeThePort(t *testing.T) {
	left := func(name string) []any {
		return []any{trafficSplit("s", "api", backend("v1", 1), backend("v2", 1), backend(name, 2))}
	}
	udp := service("udp", "app=v1", corev1.ServicePort{Port: 80, Protocol: corev1.ProtocolUDP})
	own := service("v1", "app=v1", port(80, "http", 9090)) // its own target port
	checkShares(t, []divided{
		{"TS-4 does not exist", left("none"), get("/"), "v1 1/2, v2 1/2"},
		{"TS-4 in another namespace", left("v1.bank"), get("/"), "v1 1/2, v2 1/2"},
		{"TS-4 no such port", left("only-81"), get("/"), "v1 1/2, v2 1/2"},
		{"TS-4 which has it on another port", left("only-81"), connect(81), "v1 1/4, v2 1/4, only-81 1/2"},
		{"TS-4 the port of another transport", append(left("udp"), udp), get("/"), "v1 1/2, v2 1/2"},
	})
	unsaid := service("v1", "app=v1", corev1.ServicePort{Port: 80})
	if v := oracle.Judge(fixture(append(versions(), unsaid, trafficSplit("s", "api", backend("v1", 1)))...), get("/")); len(v.Outcomes) != 1 || v.Outcomes[0].Port != 80 {
		t.Errorf("TS-4 a target port that is not said is the Service's: %s", v)
	}
	v := oracle.Judge(fixture(append(versions(), own, trafficSplit("s", "api", backend("v1", 1)))...), get("/"))
	if len(v.Outcomes) != 1 || v.Outcomes[0].Port != 9090 {
		t.Errorf("TS-4 the backend maps its own target port: %s", v)
	}
}

func TestTS5_BackendsWithoutEndpoints(t *testing.T) {
	shared := trafficSplit("s", "api", backend("v1", 3), backend("empty", 1))
	skipping := trafficSplit("s", "api", backend("v1", 3), backend("empty", 1), skippingEmpty)
	onlyEmpty := trafficSplit("s", "api", backend("empty", 1), skippingEmpty)
	broken := labelled(pod("shop", "v1-0", "v1"), "app=v1")
	check(t, []rule{
		{"TS-5 its share fails", append(versions(), shared), get("/"), "allowed 3/4, 503 1/4"},
		{"TS-5 an unready pod is no endpoint", append(versions(), shared, unready(labelled(pod("shop", "v1-0", "v1"), "app=v1"))), get("/"), "503"},
		{"TS-5 skip: the others share it", append(versions(), skipping), get("/"), "allowed"},
		{"TS-5 nor is one that says nothing of it", append(versions(), shared, silent(broken)), get("/"), "503"},
		{"TS-5 the root itself without endpoints", []any{service("api", "app=nobody", port(80, "http", 8080))}, get("/"), "503"},
	})
	checkShares(t, []divided{
		{"TS-5 it keeps its weight", []any{shared}, get("/"), "v1 3/4, empty 1/4"},
		{"TS-5 skip", []any{skipping}, get("/"), "v1 1"},
		{"TS-5 skip all: the root serves", []any{onlyEmpty}, get("/"), "api 1"},
	})
}

func TestTS6_Matches(t *testing.T) {
	beta := []any{
		group("beta", header("x-beta", "true"), path("/beta")), group("post", specs.HTTPMatch{Name: "post", Methods: []string{"POST"}}),
	}
	with := func(splits ...any) []any { return append(splits, beta...) }
	of := func(kind string) any {
		s := trafficSplit("s", "api", matching("beta"), backend("v2", 1))
		s.Spec.Matches[0].Kind = kind
		return s
	}
	emptyList := trafficSplit("s", "api", backend("v2", 1))
	emptyList.Spec.Matches = []corev1.TypedLocalObjectReference{}
	s := trafficSplit("s", "api", matching("beta"), matching("post"), backend("v2", 1))
	checkShares(t, []divided{
		{"TS-6 a request that matches", with(s), get("/", "x-beta: true"), "v2 1"},
		{"TS-6 by another match of the group", with(s), get("/beta/x"), "v2 1"},
		{"TS-6 by another group", with(s), request("POST", "/"), "v2 1"},
		{"TS-6 one that does not goes to the root", with(s), get("/"), "api 1"},
		{"TS-6 one that does not goes on to the next split", with(s, trafficSplit("t", "api", backend("v1", 1))), get("/"), "v1 1"},
		{"TS-6 the path that is judged is the normalised one", with(s), get("/beta/../x"), "api 1"},
		{"TS-6 a missing group matches nothing", []any{trafficSplit("s", "api", matching("none"), backend("v2", 1))}, get("/"), "api 1"},
		{"TS-6 another kind matches nothing", with(of("HTTPRoute")), get("/beta"), "api 1"},
		{"TS-6 an empty list is none", []any{emptyList}, get("/"), "v2 1"},
	})
}

func TestTS7_SeveralSplitsOfOneRoot(t *testing.T) {
	g := group("g", path("/g"))
	old := func(name string, hour int, options ...splitOption) *split.TrafficSplit {
		return trafficSplit(name, "api", append(options, madeAt(hour))...)
	}
	checkShares(t, []divided{
		{"TS-7 the oldest without matches", []any{old("a", 2, backend("v1", 1)), old("b", 1, backend("v2", 1))}, get("/"), "v2 1"},
		{"TS-7 ties go by name", []any{old("b", 1, backend("v1", 1)), old("a", 1, backend("v2", 1))}, get("/"), "v2 1"},
		{"TS-7 without timestamps by name", []any{trafficSplit("b", "api", backend("v1", 1)), trafficSplit("a", "api", backend("v2", 1))}, get("/"), "v2 1"},
		{"TS-7 one without timestamp cannot show its age", []any{trafficSplit("a", "api", backend("v1", 1)), old("b", 3, backend("v2", 1)), trafficSplit("c", "api", backend("v1", 1))}, get("/"), "v2 1"},
		{"TS-7 those with matches first", []any{g, old("a", 1, backend("v1", 1)), old("b", 2, backend("v2", 1), matching("g"))}, get("/g"), "v2 1"},
		{"TS-7 the oldest of those", []any{g, old("a", 2, backend("v1", 1), matching("g")), old("b", 1, backend("v2", 1), matching("g"))}, get("/g"), "v2 1"},
		{"TS-7 a root written in two forms is one root", []any{trafficSplit("b", "api", backend("v1", 1)), trafficSplit("a", "api.shop", backend("v2", 1))}, get("/"), "v2 1"},
	})
}

func TestTS8_RootAsBackendAndNoNesting(t *testing.T) {
	own := []any{trafficSplit("s", "api", backend("api", 1), backend("v2", 1))}
	nested := []any{trafficSplit("s", "api", backend("v1", 1)), trafficSplit("t", "v1", backend("v2", 1))}
	checkShares(t, []divided{
		{"TS-8 the root as its own backend", own, get("/"), "api 1/2, v2 1/2"},
		{"TS-8 a backend's split is not followed", nested, get("/"), "v1 1"},
		{"TS-8 it applies to what is sent to the backend itself", nested, toService("v1", get("/")), "v2 1"},
	})
	v := oracle.Judge(fixture(append(versions(), own...)...), get("/"))
	if len(v.Outcomes) != 2 || v.Outcomes[0].Pod != "shop/api-0" {
		t.Errorf("TS-8 the root's share goes to its own endpoints: %s", v)
	}
}

func TestTS9_SplitsOfTCPPorts(t *testing.T) {
	plain, conditional := trafficSplit("s", "api", backend("v1", 1)), trafficSplit("c", "api", matching("g"), backend("v2", 1))
	world := []any{group("g", path("/")), plain, conditional}
	checkShares(t, []divided{
		{"TS-9 a connection", world, connect(81), "v1 1"},
		{"TS-9 a request to a TCP port is a connection", world, onPort(81, get("/")), "v1 1"},
		{"TS-9 with matches alone the root serves", []any{group("g", path("/")), conditional}, connect(81), "api 1"},
		{"TS-9 a connection on an undeclared port", world, connect(82), "v1 1"},
		{"TS-9 a request on an undeclared port is HTTP", world, onPort(82, get("/")), "v2 1"},
	})
}

func TestTS10_ASplitOpensNoBackend(t *testing.T) {
	world := append(versions(), namespace("shop", "strict"), webToAPI(allow("HTTPRouteGroup", "g")), group("g", path("/")))
	check(t, []rule{
		{"TS-10 the pod that is reached decides", append(world, trafficSplit("s", "api", backend("api", 3), backend("v2", 1))), get("/"), "allowed 3/4, denied 1/4"},
	})
}

func TestTS12_ClientsOutsideTheMesh(t *testing.T) {
	checkShares(t, []divided{
		{"TS-12 use the plain Service", []any{trafficSplit("s", "api", backend("v1", 1))}, fromPod("shop/plain-0", get("/")), "api 1"},
	})
}

func TestNothingToJudge(t *testing.T) {
	check(t, []rule{
		{"no such client", nil, fromPod("shop/none", get("/")), "no such client"},
		{"no such Service", nil, toService("none", get("/")), "no such service"},
		{"no such port", nil, onPort(4, get("/")), "no such port"},
	})
}
