package conformance

import (
	"context"

	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/forge"
)

// Ability is what a case may need that not every target can offer. On one that
// cannot, the case is not claimed: nothing is known of the mesh then.
type Ability string

// The abilities.
const (
	Forging       Ability = "have the mesh's own authority sign certificates that it would give to nobody"
	Impersonation Ability = "have a workload's sidecar prove to be another account"
)

// Forger is a target that can have the mesh's own authority sign a certificate,
// whatever that says: Forging. Its mesh takes connections at the ports of its pods,
// of TLS with nothing but the port's protocol inside.
type Forger interface {
	// Forge returns the certificate, with the server name by which a client of the
	// mesh that has its first id would call, if there is such a thing.
	Forge(ctx context.Context, wanted forge.Certificate) (*driver.Credentials, error)
}

// Impersonator is a target that can make impostors: Impersonation.
type Impersonator interface {
	// Impersonate makes whoever serves a workload's connections to the mesh prove to
	// be the account of another workload of the fixture, while the mesh goes on to
	// take it for what it was; both are "namespace/name". It returns when the next
	// connection finds it so. Given the workload itself, it ends that.
	Impersonate(ctx context.Context, workload, as string) error
}

// lacks tells what the case needs and the target cannot, if there is anything.
func lacks(target Target, c *Case) (string, bool) {
	_, forges := target.(Forger)
	_, impersonates := target.(Impersonator)
	can := map[Ability]bool{Forging: forges, Impersonation: impersonates}
	for _, ability := range c.Needs {
		if !can[ability] {
			return "not tried here: this target cannot " + string(ability), true
		}
	}
	return "", false
}

// Forge returns what the mesh's own authority signs for once. Cases that call it
// need Forging.
func (t *T) Forge(wanted forge.Certificate) *driver.Credentials {
	forger, ok := t.run.target.(Forger)
	if !ok {
		t.Fatalf("the case forges, and does not say that it needs Forging")
	}
	credentials, err := forger.Forge(t.ctx, wanted)
	if err != nil {
		t.Fatalf("the certificate: %v", err)
	}
	return credentials
}

// ForgeUntrusted returns what an authority signs that the mesh does not know. In
// all else it is what Forge returns, where the target can tell.
func (t *T) ForgeUntrusted(wanted forge.Certificate) *driver.Credentials {
	authority, err := forge.New(wanted.IDs[0])
	if err != nil {
		t.Fatalf("the authority: %v", err)
	}
	credentials, err := authority.Sign(wanted)
	if err != nil {
		t.Fatalf("the certificate: %v", err)
	}
	if _, ok := t.run.target.(Forger); ok {
		credentials.ServerName = t.Forge(wanted).ServerName
	}
	return credentials
}

// Impersonate makes a workload prove to be the account of another one, until it is
// given itself or the case ends. Cases that call it need Impersonation, and bring
// the workload.
func (t *T) Impersonate(workload, as string) {
	impersonator, ok := t.run.target.(Impersonator)
	if !ok {
		t.Fatalf("the case makes an impostor, and does not say that it needs Impersonation")
	}
	if err := impersonator.Impersonate(t.ctx, workload, as); err != nil {
		t.Fatalf("the impostor: %v", err)
	}
}
