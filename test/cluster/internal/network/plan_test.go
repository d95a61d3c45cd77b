package network

import (
	"net/netip"
	"testing"
)

func TestFirstPlan(t *testing.T) {
	plan, err := Allocate([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fd00::/64")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"pods", plan.Pods.String(), "10.244.0.0/16,fd00:10:244::/64"},
		{"the node's pods", plan.NodePods.String(), "10.244.0.0/24,fd00:10:244::/64"},
		{"services", plan.Services.String(), "10.96.0.0/16,fd00:10:96::/112"},
		{"machine", plan.Host.String(), "10.95.0.1/24,fd00:10:95::1/64"},
		{"node", plan.Node.String(), "10.95.0.2/24,fd00:10:95::2/64"},
		{"DNS", plan.DNS()[0].String() + "," + plan.DNS()[1].String(), "10.96.0.10,fd00:10:96::a"},
		{"the Service kubernetes", plan.APIServer()[2].String(), "10.96.0.1"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, c.got, c.want)
		}
	}
}

func TestPlansAvoidWhatIsInUse(t *testing.T) {
	var used []netip.Prefix
	for i := range Clusters {
		plan, err := Allocate(used)
		if err != nil {
			t.Fatalf("cluster %d: %v", i, err)
		}
		if plan.overlaps(used) {
			t.Fatalf("cluster %d: %v overlaps with %v", i, plan, used)
		}
		// As routes on a machine are: one of each family is enough to be avoided.
		used = append(used, plan.Services.V4, plan.Pods.V6)
	}
	if plan, err := Allocate(used); err == nil {
		t.Errorf("a cluster more than there is room for got %v", plan)
	}
}

func TestIPNet(t *testing.T) {
	for _, prefix := range []string{"10.95.0.2/24", "fd00:10:95::2/64", "10.96.0.0/16"} {
		if got := IPNet(netip.MustParsePrefix(prefix)).String(); got != prefix {
			t.Errorf("%s became %s", prefix, got)
		}
	}
}
