//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestCertificates lets certificates end and roots change under load. No call may fail.
func TestCertificates(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three minutes, as certificates have to end meanwhile; make e2e-full runs it")
	}
	const life = 20 * time.Second
	here.upgrade(t, "config.certificateTTL="+life.String())
	t.Cleanup(func() { here.upgrade(t) })
	l := here.underLoad(t, "e2e-certificates")
	t.Run("that live for 20 s", func(t *testing.T) {
		l.during(t, "certificates of 20 s", func() { here.elapse(t, 3*life) })
	})
	t.Run("of another root", func(t *testing.T) {
		before := here.authority(t)
		l.during(t, "root rotated", func() {
			said, err := here.smi(t.Context(), "ca", "rotate", "--timeout", "5m")
			if err != nil {
				t.Fatal(err)
			}
			t.Log(said)
		})
		if after := here.authority(t); after == before {
			t.Errorf("the root is still %s", after)
		}
		l.follows(t)
	})
}

// authority is the fingerprint of the only root that the mesh trusts.
func (c *cluster) authority(t *testing.T) string {
	t.Helper()
	said, err := c.smi(t.Context(), "ca", "status")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if len(lines) != 3 {
		t.Fatalf("smi ca status tells of more than one root:\n%s", said)
	}
	fields := strings.Fields(lines[2])
	return fields[len(fields)-4]
}
