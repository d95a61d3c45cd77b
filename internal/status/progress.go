package status

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/smi-project/smi/mesh"
)

// fleet is what all replicas say of all proxies, beside what the mesh asks of them.
type fleet struct {
	// present are the objects that proxies have something to carry out for.
	present map[mesh.ObjectRef]bool
	// rejected and pending say what is wrong for the objects that concern an account
	// whose proxies are behind.
	rejected, pending map[mesh.ObjectRef]string
	// unknown says that proxies are behind that no replica could list.
	unknown string
}

func refOf(kind string, name mesh.Name) mesh.ObjectRef {
	return mesh.ObjectRef{Kind: kind, Namespace: name.Namespace, Name: name.Name}
}

// newFleet puts together what the replicas say.
func newFleet(m *mesh.Mesh, replicas []*Summary) *fleet {
	f := &fleet{present: map[mesh.ObjectRef]bool{}, rejected: map[mesh.ObjectRef]string{}, pending: map[mesh.ObjectRef]string{}}
	for _, p := range m.Policies {
		for _, g := range p.Grants {
			f.present[refOf("TrafficTarget", g.Target)] = true
		}
	}
	for _, s := range m.Services {
		for _, port := range s.Ports {
			for _, split := range port.Splits {
				f.present[refOf("TrafficSplit", split.Name)] = true
			}
		}
	}
	behind := map[mesh.Account]Account{}
	for _, s := range replicas {
		if s.Omitted > 0 {
			f.unknown = fmt.Sprintf("proxies of %d more accounts of %s have not acknowledged what they were sent", s.Omitted, s.Replica)
		}
		for _, a := range s.Behind {
			namespace, name, _ := strings.Cut(a.Name, "/")
			key := mesh.Account{Namespace: namespace, Name: name}
			sum := behind[key]
			sum.Name = a.Name
			sum.Pending += a.Pending
			sum.Rejecting += a.Rejecting
			behind[key] = sum
		}
	}
	f.blame(m, behind)
	return f
}

// blame notes which objects concern the accounts whose proxies are behind.
func (f *fleet) blame(m *mesh.Mesh, behind map[mesh.Account]Account) {
	if len(behind) == 0 {
		return
	}
	for _, p := range m.Policies {
		for _, g := range p.Grants {
			target := refOf("TrafficTarget", g.Target)
			f.note(target, behind[p.Account])
			for _, source := range g.Sources {
				if account, ok := source.Account(m.TrustDomain); ok {
					f.note(target, behind[account])
				}
			}
		}
	}
	for _, w := range m.Workloads {
		account, isBehind := behind[w.Account]
		if !isBehind {
			continue
		}
		for _, port := range w.Reaches {
			for _, split := range port.Splits {
				f.note(refOf("TrafficSplit", split.Name), account)
			}
		}
	}
}

func (f *fleet) note(object mesh.ObjectRef, a Account) {
	if a.Rejecting > 0 && f.rejected[object] == "" {
		// Who reads the object may not read the pods of every account in it, so neither a
		// pod is named here nor what one says: that is for who looks after the mesh.
		f.rejected[object] = fmt.Sprintf("proxies of %s refuse a part of what they were sent and keep the last configuration that was good (%d of them); "+
			"smi status tells what they say", a.Name, a.Rejecting)
	}
	if a.Pending > 0 && f.pending[object] == "" {
		f.pending[object] = fmt.Sprintf("proxies of %s have not acknowledged what they were sent yet", a.Name)
	}
}

// progress tells how far an object is. One that was carried out once in its
// generation stays so while proxies catch up on something else.
func (f *fleet) progress(object mesh.ObjectRef, lag string, before bool) Progress {
	p := Progress{Nothing: !f.present[object], Rejected: f.rejected[object]}
	if !before {
		p.Pending = cmp.Or(lag, f.pending[object], f.unknown)
	}
	return p
}

// joinSome lists a few of many.
func joinSome(all []string) string {
	const most = 3
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}
