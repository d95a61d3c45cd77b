package mesh

import "slices"

// Mesh is everything that a set of SMI resources means.
type Mesh struct {
	// TrustDomain is the SPIFFE trust domain of every identity (ID-1).
	TrustDomain string
	// Services are all Services of the mesh by name, sorted.
	Services []*Service
	// Workloads are the classes of meshed workloads, sorted by ID.
	Workloads []*Workload
	// Policies hold, per destination account, what it grants; sorted by account.
	Policies []*Policy
	// Addresses tell what is in the mesh by its address; nil in the standalone
	// runtime, where destinations are told by name.
	Addresses *Addresses
	// Findings say what is wrong with the resources, and where; sorted.
	Findings []Finding
}

// New assembles a mesh from parts that are sorted already.
func New(trustDomain string, services []*Service, workloads []*Workload, policies []*Policy, findings []Finding) *Mesh {
	return &Mesh{TrustDomain: trustDomain, Services: services, Workloads: workloads, Policies: policies, Findings: findings}
}

// Service returns the Service of that name, or nil.
func (m *Mesh) Service(name Name) *Service {
	i, found := slices.BinarySearchFunc(m.Services, name, func(s *Service, name Name) int { return s.Name.Compare(name) })
	if !found {
		return nil
	}
	return m.Services[i]
}

// Policy returns what TrafficTargets grant at the account, or nil where none does.
func (m *Mesh) Policy(account Account) *Policy {
	i, found := slices.BinarySearchFunc(m.Policies, account, func(p *Policy, account Account) int { return p.Account.Compare(account) })
	if !found {
		return nil
	}
	return m.Policies[i]
}
