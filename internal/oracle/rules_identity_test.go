package oracle_test

import (
	"testing"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	"github.com/smi-project/smi/internal/oracle"
)

func TestID1_TheServiceAccountIsTheIdentity(t *testing.T) {
	unsaid := pod("shop", "web-0", "")
	world := []any{target("t", from("default"), to("api"), allow("HTTPRouteGroup", "g")), group("g", path("/"))}
	byAccount := get("/")
	byAccount.From, byAccount.FromAccount = "", "shop/default"
	check(t, []rule{
		{"ID-1 a pod that names no account is default", append(world, unsaid), get("/"), "allowed"},
		{"ID-1 another account is another identity", world, get("/"), "denied"},
		{"ID-1 the account without a pod", world, byAccount, "allowed"},
	})
}

func TestID1_SubjectsOfOtherKindsMeanNobody(t *testing.T) {
	anything := group("g", path("/"))
	grouped := func(group string) []any {
		tt := target("t", from("web"), to("api"), allow("HTTPRouteGroup", "g"))
		tt.Spec.Sources[0].Group = group
		return []any{tt, anything}
	}
	check(t, []rule{
		{"ID-1 another kind", []any{target("t", from("User:web"), to("api"), allow("HTTPRouteGroup", "g")), anything}, get("/"), "denied"},
		{"ID-1 without a group", grouped(""), get("/"), "allowed"},
		{"ID-1 another group", grouped("rbac.authorization.k8s.io"), get("/"), "denied"},
	})
}

func TestID3_WithoutIdentityNoSource(t *testing.T) {
	world := []any{target("t", from("plain"), to("api"), allow("HTTPRouteGroup", "g")), group("g", path("/"))}
	check(t, []rule{
		{"ID-3 an unmeshed client matches no source, not even its account", world, fromPod("shop/plain-0", get("/")), "denied"},
	})
}

func TestID4_IdentityBindings(t *testing.T) {
	selector := func(labels ...string) *access.PodLabelSelector {
		return &access.PodLabelSelector{MatchLabels: pairs(labels)}
	}
	granting := func(schemes access.IdentityBindingSchemes) []any {
		return []any{
			binding("b", schemes), group("g", path("/")),
			target("t", from("IdentityBinding:b"), to("api"), allow("HTTPRouteGroup", "g")),
		}
	}
	ids := func(ids ...string) access.IdentityBindingSchemes {
		return access.IdentityBindingSchemes{SPIFFEIdentities: ids}
	}
	destination := []any{
		binding("b", access.IdentityBindingSchemes{ServiceAccount: "api"}), group("g", path("/")),
		target("t", from("web"), to("IdentityBinding:b"), allow("HTTPRouteGroup", "g")),
	}
	check(t, []rule{
		{"ID-4 serviceAccount", granting(access.IdentityBindingSchemes{ServiceAccount: "web"}), get("/"), "allowed"},
		{"ID-4 spiffeIdentities", granting(ids("spiffe://cluster.local/ns/shop/sa/web")), get("/"), "allowed"},
		{"ID-4 without spiffe://", granting(ids("cluster.local/ns/shop/sa/web")), get("/"), "allowed"},
		{"ID-4 podLabelSelector", granting(access.IdentityBindingSchemes{PodLabelSelector: selector("app=web")}), get("/"), "allowed"},
		{"ID-4 schemes are alternatives", granting(access.IdentityBindingSchemes{ServiceAccount: "none", SPIFFEIdentities: []string{"cluster.local/ns/shop/sa/web"}}), get("/"), "allowed"},
		{"ID-4 another namespace's id", granting(ids("spiffe://cluster.local/ns/bank/sa/web")), fromPod("bank/web-0", get("/")), "denied"},
		{"ID-4 another trust domain's id", granting(ids("spiffe://other/ns/shop/sa/web")), get("/"), "denied"},
		{"ID-4 more than an id", granting(ids("spiffe://cluster.local/ns/shop/sa/web/x")), get("/"), "denied"},
		{"ID-4 the configured trust domain", append(granting(ids("spiffe://mesh/ns/shop/sa/web")), oracle.Config{TrustDomain: "mesh"}), get("/"), "allowed"},
		{"ID-4 an empty selector voids all of it", granting(access.IdentityBindingSchemes{PodLabelSelector: selector(), SPIFFEIdentities: []string{"cluster.local/ns/shop/sa/web"}}), get("/"), "denied"},
		{"ID-4 account and selector void it", granting(access.IdentityBindingSchemes{PodLabelSelector: selector("app=web"), ServiceAccount: "web"}), get("/"), "denied"},
		{"ID-4 no scheme, nobody", granting(access.IdentityBindingSchemes{}), get("/"), "denied"},
		{"ID-4 no such binding", []any{group("g", path("/")), target("t", from("IdentityBinding:b"), to("api"), allow("HTTPRouteGroup", "g"))}, get("/"), "denied"},
		{"ID-4 a binding as destination", destination, get("/"), "allowed"},
	})
}

func TestID5_ASelectorMeansItsPods(t *testing.T) {
	granting := []any{
		binding("b", access.IdentityBindingSchemes{PodLabelSelector: &access.PodLabelSelector{MatchLabels: pairs([]string{"tier=front"})}}),
		group("g", path("/")), target("t", from("IdentityBinding:b"), to("api"), allow("HTTPRouteGroup", "g")),
	}
	selected := labelled(pod("shop", "web-0", "web"), "tier=front")
	check(t, []rule{
		{"ID-5 all pods of the account selected", append(granting, selected), get("/"), "allowed"},
		{"ID-5 one pod of the account not selected", append(granting, selected, pod("shop", "web-1", "web")), get("/"), "denied"},
		{"ID-5 the same account's name elsewhere does not matter", append(granting, selected, pod("bank", "web-1", "web")), get("/"), "allowed"},
		{"ID-5 nobody selected", granting, get("/"), "denied"},
	})
}
