package controlplane

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/scaletest"
	"github.com/smi-project/smi/internal/store"
)

// TestReconfigure learns of addresses that the cluster gives away, as when a node
// comes: the next push knows them, and what did not change in meaning is not sent
// anew, nor anything closed.
func TestReconfigure(t *testing.T) {
	ca, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		t.Fatal(err)
	}
	w := scaletest.New(scaletest.Standard(4))
	s := store.New()
	s.Replace(w.Objects)
	config := compile.Config{Sidecars: true}
	c := New(Config{Store: s, CA: ca, Compile: config, Place: w.Placement})
	before := c.Push()
	added := netip.MustParsePrefix("10.244.7.0/24")
	if slices.Contains(before.Addresses.Inside, added) {
		t.Fatal("the range is known before it was told")
	}
	epochs := c.epochs
	config.PodRanges = []netip.Prefix{added}
	c.Reconfigure(config)
	after := c.Push()
	if !slices.Contains(after.Addresses.Inside, added) {
		t.Errorf("inside are %v, without %s", after.Addresses.Inside, added)
	}
	if len(after.Workloads) != len(before.Workloads) || len(after.Policies) != len(before.Policies) {
		t.Error("the mesh means something else")
	}
	for _, p := range before.Policies {
		for _, g := range p.Grants {
			for _, source := range g.Sources {
				if was, is := epochs.Of(p.Account, scaletest.PodPort, source), c.epochs.Of(p.Account, scaletest.PodPort, source); was != is {
					t.Errorf("what %s holds open at %s is closed", source, p.Account)
				}
			}
		}
	}
}
