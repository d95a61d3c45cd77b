//go:build linux

package xds_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/smi-project/smi/internal/xds"
)

// A changed weight takes effect without touching anything else.
func TestEnvoyRouteWeights(t *testing.T) {
	f := serve(t)
	e := f.startEnvoy()
	apps := backends(time.Second, map[string]string{"one": application(t, "one"), "two": application(t, "two")})
	listener := resources(e.httpListener("in"))
	f.apply(listener, apps, resources(weighted(map[string]uint32{"one": 1})))
	e.until("one", func(code int, body string) bool { return code == 200 && body == "one" })

	f.apply(listener, apps, resources(weighted(map[string]uint32{"two": 1})))
	e.until("two", func(code int, body string) bool { return code == 200 && body == "two" })
	for range 20 {
		if code, body, err := e.get(); err != nil || code != 200 || body != "two" {
			t.Fatalf("after the move: %d %q %v", code, body, err)
		}
	}
	f.apply(listener, apps, resources(weighted(map[string]uint32{"one": 1, "two": 1})))
	e.until("one again", func(code int, body string) bool { return code == 200 && body == "one" })
	e.until("two still", func(code int, body string) bool { return code == 200 && body == "two" })
}

// Clusters come, change and go while routes move between them. Requests flow all
// the time, and none fails.
func TestEnvoyMakeBeforeBreak(t *testing.T) {
	f := serve(t)
	e := f.startEnvoy()
	address := application(t, "ok")
	generation := func(i int) *xds.View {
		name := fmt.Sprintf("generation-%d", i)
		return xds.NewView(resources(e.httpListener("in")), backends(time.Duration(i+1)*time.Second, map[string]string{name: address, "stays": address}),
			resources(weighted(map[string]uint32{name: 1, "stays": 1})))
	}
	f.publish(generation(0))
	f.wait()
	e.until("ok", func(code int, _ string) bool { return code == 200 })

	traffic := e.flood(4)
	for i := 1; i <= 12; i++ {
		traffic.more(20)
		f.publish(generation(i))
		f.wait()
		traffic.more(20)
	}
	traffic.stop()
}

// Envoy refuses a broken resource with a reason and keeps the last good one,
// whatever else of the response was fine.
func TestEnvoyNack(t *testing.T) {
	f := serve(t)
	e := f.startEnvoy()
	apps := backends(time.Second, map[string]string{"app": application(t, "app"), "other": application(t, "other")})
	listener := resources(e.httpListener("in"))
	f.apply(listener, apps, resources(weighted(map[string]uint32{"app": 1})))
	e.until("app", func(code int, body string) bool { return body == "app" })

	broken := edsCluster("app", time.Second)
	broken.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	fine := backends(2*time.Second, map[string]string{"fine": application(t, "fine"), "other": application(t, "other")})
	f.publish(xds.NewView(listener, apps, fine, resources(broken), resources(weighted(map[string]uint32{"app": 1, "fine": 1}))))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := f.Wait(ctx, "ns/pod")
	if err == nil || !strings.Contains(err.Error(), "Cluster app refused") {
		t.Fatalf("Wait returned %v", err)
	}
	if got := f.Refusals(); len(got) != 1 || got[0].Name != "app" || got[0].Reason == "" {
		t.Fatalf("refusals: %+v", got)
	}
	e.until("the last good cluster", func(code int, body string) bool { return code == 200 && body == "app" })
	e.until("what was fine", func(code int, body string) bool { return code == 200 && body == "fine" })

	route := weighted(map[string]uint32{"app": 1})
	route.VirtualHosts = append(route.VirtualHosts, route.VirtualHosts[0]) // twice the same name
	f.publish(xds.NewView(listener, apps, resources(route)))
	if err := f.Wait(ctx, "ns/pod"); err == nil || !strings.Contains(err.Error(), "RouteConfiguration root refused") {
		t.Fatalf("Wait returned %v", err)
	}
	e.until("the last good route", func(code int, body string) bool { return code == 200 && body == "fine" })

	f.apply(listener, apps, resources(weighted(map[string]uint32{"app": 1})))
	e.until("app", func(code int, body string) bool { return body == "app" })
	if got := f.Refusals(); len(got) != 0 {
		t.Errorf("refusals after the fix: %+v", got)
	}
}

// A cluster whose endpoints do not exist does not hold up Envoy's start until
// its fetch times out, and neither does its change.
func TestEnvoyClusterWithoutEndpoints(t *testing.T) {
	f := serve(t)
	e := f.startEnvoy()
	started := time.Now()
	for _, timeout := range []time.Duration{time.Second, 2 * time.Second} {
		f.apply(resources(e.httpListener("in"), edsCluster("none", timeout), weighted(map[string]uint32{"none": 1})))
		e.until("503", func(code int, _ string) bool { return code == 503 })
	}
	if took := time.Since(started); took > 14*time.Second {
		t.Errorf("Envoy took %s: it waited for endpoints that do not exist", took)
	}
}

// Access rules travel by extension discovery and take effect on open connections.
func TestEnvoyAccessRules(t *testing.T) {
	f := serve(t)
	e := f.startEnvoy()
	filter := &hcmv3.HttpFilter{Name: "access|in", ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: &corev3.ExtensionConfigSource{
		ConfigSource: byADS(), TypeUrls: []string{"type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"},
	}}}
	allow := func(anyone bool) *corev3.TypedExtensionConfig {
		policies := map[string]*rbacv3.Policy{}
		if anyone {
			policies["all"] = &rbacv3.Policy{
				Permissions: []*rbacv3.Permission{{Rule: &rbacv3.Permission_Any{Any: true}}},
				Principals:  []*rbacv3.Principal{{Identifier: &rbacv3.Principal_Any{Any: true}}},
			}
		}
		rules := &httprbacv3.RBAC{Rules: &rbacv3.RBAC{Action: rbacv3.RBAC_ALLOW, Policies: policies}}
		return &corev3.TypedExtensionConfig{Name: "access|in", TypedConfig: must(anypb.New(rules))}
	}
	rest := append(backends(time.Second, map[string]string{"app": application(t, "app")}),
		resources(e.httpListener("in", filter), weighted(map[string]uint32{"app": 1}))...)
	f.apply(rest, resources(allow(false)))
	e.until("a denial", func(code int, _ string) bool { return code == 403 })
	f.apply(rest, resources(allow(true)))
	e.until("a grant", func(code int, _ string) bool { return code == 200 })
	f.apply(rest, resources(allow(false)))
	e.until("a denial again", func(code int, _ string) bool { return code == 403 })
}

// Envoy survives the loss of its server, and takes from the next one only what
// changed.
func TestEnvoyReconnect(t *testing.T) {
	f := serve(t)
	e := f.startEnvoy()
	listener := resources(e.httpListener("in"))
	apps := backends(time.Second, map[string]string{"one": application(t, "one"), "two": application(t, "two")})
	f.apply(listener, apps, resources(weighted(map[string]uint32{"one": 1})))
	e.until("one", func(_ int, body string) bool { return body == "one" })

	f.restart()
	e.until("one without a server", func(_ int, body string) bool { return body == "one" })
	two := backends(2*time.Second, map[string]string{"two": application(t, "changed two")})
	f.apply(listener, two, resources(weighted(map[string]uint32{"two": 1})))
	e.until("the changed two", func(_ int, body string) bool { return body == "changed two" })
}
