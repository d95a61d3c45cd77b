package controlplane

import (
	"testing"

	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/mesh"
)

const (
	ann = mesh.Principal("spiffe://cluster.local/ns/shop/sa/ann")
	bob = mesh.Principal("spiffe://cluster.local/ns/shop/sa/bob")
)

// TestWithdrawBumpsOnlyWhatWasLost is AC-17: what only a withdrawn grant
// carried must be closed, and nothing else may be.
func TestWithdrawBumpsOnlyWhatWasLost(t *testing.T) {
	read := &mesh.Match{Name: "read", Methods: []string{"GET"}}
	sameRead := &mesh.Match{Name: "other", Methods: []string{"GET"}}
	write := &mesh.Match{Name: "write", Methods: []string{"PUT"}}
	grant := func(g mesh.Grant, sources ...mesh.Principal) *mesh.Grant {
		g.Sources = sources
		return &g
	}
	both := grant(mesh.Grant{Matches: []*mesh.Match{read}}, ann, bob)
	for name, tc := range map[string]struct {
		before, after []*mesh.Grant
		lost          map[mesh.Principal]bool
	}{
		"nothing changed":               {before: []*mesh.Grant{both}, after: []*mesh.Grant{both}},
		"a grant was added":             {before: []*mesh.Grant{both}, after: []*mesh.Grant{both, grant(mesh.Grant{Connections: true}, ann)}},
		"the only grant is gone":        {before: []*mesh.Grant{both}, lost: map[mesh.Principal]bool{ann: true, bob: true}},
		"one source is gone":            {before: []*mesh.Grant{both}, after: []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{read}}, bob)}, lost: map[mesh.Principal]bool{ann: true}},
		"another grant allows the same": {before: []*mesh.Grant{both}, after: []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{sameRead}}, ann, bob)}},
		"a connection grant allows it":  {before: []*mesh.Grant{both}, after: []*mesh.Grant{grant(mesh.Grant{Connections: true}, ann, bob)}},
		"one of two matches is gone":    {before: []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{read, write}}, ann)}, after: []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{read}}, ann)}, lost: map[mesh.Principal]bool{ann: true}},
		"two grants allow it together": {
			before: []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{read, write}}, ann)},
			after:  []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{sameRead}}, ann), grant(mesh.Grant{Matches: []*mesh.Match{write}}, ann)},
		},
		"two grants, of which one is for another source": {
			before: []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{read, write}}, ann)},
			after:  []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{read}}, ann), grant(mesh.Grant{Matches: []*mesh.Match{write}}, bob)},
			lost:   map[mesh.Principal]bool{ann: true},
		},
		"two grants, of which one is for another port": {
			before: []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{read, write}}, ann)},
			after:  []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{read}}, ann), grant(mesh.Grant{Matches: []*mesh.Match{write}, Ports: []uint16{81}}, ann)},
			lost:   map[mesh.Principal]bool{ann: true},
		},
		"connections became requests":      {before: []*mesh.Grant{grant(mesh.Grant{Connections: true}, ann)}, after: []*mesh.Grant{grant(mesh.Grant{Matches: []*mesh.Match{{}}}, ann)}, lost: map[mesh.Principal]bool{ann: true}},
		"the port is no longer covered":    {before: []*mesh.Grant{grant(mesh.Grant{Connections: true}, ann)}, after: []*mesh.Grant{grant(mesh.Grant{Connections: true, Ports: []uint16{81}}, ann)}, lost: map[mesh.Principal]bool{ann: true}},
		"another port is no longer served": {before: []*mesh.Grant{grant(mesh.Grant{Connections: true, Ports: []uint16{80, 99}}, ann)}, after: []*mesh.Grant{grant(mesh.Grant{Connections: true, Ports: []uint16{80}}, ann)}},
	} {
		t.Run(name, func(t *testing.T) {
			epochs := withdraw(envoy.Epochs{}, meshWith(tc.before), meshWith(tc.after))
			for _, p := range []mesh.Principal{ann, bob} {
				if bumped := epochs.Of(ledger, 80, p) > 0; bumped != tc.lost[p] {
					t.Errorf("%s: bumped is %t, want %t", p, bumped, tc.lost[p])
				}
			}
		})
	}
}

var ledger = mesh.Account{Namespace: "bank", Name: "ledger"}

func meshWith(grants []*mesh.Grant) *mesh.Mesh {
	workload := &mesh.Workload{ID: "w", Account: ledger, Ports: []mesh.InboundPort{{Number: 80, Protocol: mesh.HTTP}}}
	var policies []*mesh.Policy
	if grants != nil {
		policies = []*mesh.Policy{{Account: ledger, Grants: grants}}
	}
	return mesh.New("cluster.local", nil, []*mesh.Workload{workload}, policies, nil)
}

// On a cluster a grant may name a port that nothing else does. Then it begins and
// ends with the grant, and what is open there was, or will be, judged as on any
// port.
func TestPortsThatGrantsName(t *testing.T) {
	world := func(ports []mesh.InboundPort, grants ...*mesh.Grant) *mesh.Mesh {
		policy := &mesh.Policy{Account: ledger, Grants: grants}
		workload := &mesh.Workload{ID: "ledger", Account: ledger, Ports: append([]mesh.InboundPort{{Number: mesh.AnyPort}, {Number: 80}}, ports...), Policy: policy}
		return mesh.New("cluster.local", nil, []*mesh.Workload{workload}, []*mesh.Policy{policy}, nil)
	}
	web := &mesh.Grant{Sources: []mesh.Principal{bob}, Ports: []uint16{80}, Connections: true}
	named := &mesh.Grant{Sources: []mesh.Principal{ann}, Ports: []uint16{9000}, Connections: true}
	with, without := world([]mesh.InboundPort{{Number: 9000}}, web, named), world(nil, web)
	expect := func(when string, epochs envoy.Epochs, port uint16, source mesh.Principal, want uint64) {
		t.Helper()
		if got := epochs.Of(ledger, port, source); got != want {
			t.Errorf("%s: the epoch of %s at port %d is %d, want %d", when, source, port, got, want)
		}
	}
	epochs := withdraw(envoy.Epochs{}, without, with)
	expect("named", epochs, mesh.AnyPort, ann, 1)
	expect("named", epochs, mesh.AnyPort, bob, 0)
	expect("named", epochs, 9000, ann, 0)
	epochs = withdraw(epochs, with, without)
	expect("withdrawn", epochs, mesh.AnyPort, ann, 1)
	expect("withdrawn", epochs, 9000, ann, 1)
	expect("withdrawn", epochs, 9000, bob, 0)
	expect("withdrawn", epochs, 80, bob, 0)
}
