package controlplane

import (
	"fmt"
	"testing"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/scaletest"
	"github.com/smi-project/smi/internal/store"
)

// loaded returns a control plane whose store holds a world, and which has
// published nothing yet.
func loaded(b *testing.B, ca *identity.CA, w *scaletest.World) *ControlPlane {
	b.Helper()
	s := store.New()
	s.Replace(w.Objects)
	return New(Config{Store: s, CA: ca, Place: w.Placement})
}

func authority(b *testing.B) *identity.CA {
	b.Helper()
	ca, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		b.Fatal(err)
	}
	return ca
}

// BenchmarkFull compiles and renders a whole mesh for every class, and makes the
// views that proxies are compared with.
func BenchmarkFull(b *testing.B) {
	ca := authority(b)
	for _, services := range []int{500, 1000, 2000, 4000} {
		w := scaletest.New(scaletest.Standard(services))
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c := loaded(b, ca, w)
				if m := c.Push(); len(m.Workloads) != services {
					b.Fatalf("%d classes, want %d", len(m.Workloads), services)
				}
			}
		})
	}
}

// BenchmarkOneChange edits one object and makes the new views.
func BenchmarkOneChange(b *testing.B) {
	ca := authority(b)
	for _, services := range []int{500, 1000, 2000, 4000} {
		for _, change := range scaletest.Changes() {
			b.Run(fmt.Sprintf("services=%d/%s", services, change.Name), func(b *testing.B) {
				w := scaletest.New(scaletest.Standard(services))
				c := loaded(b, ca, w)
				c.Push()
				b.ReportAllocs()
				for round := 0; b.Loop(); round++ {
					c.config.Store.Put(change.Edit(w, round))
					c.Push()
				}
			})
		}
	}
}
