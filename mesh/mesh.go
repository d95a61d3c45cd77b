package mesh

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
	// Findings say what is wrong with the resources, and where; sorted.
	Findings []Finding

	services map[Name]*Service
	policies map[Account]*Policy
}

// New assembles a mesh from parts that are sorted already and indexes it.
func New(trustDomain string, services []*Service, workloads []*Workload, policies []*Policy, findings []Finding) *Mesh {
	m := &Mesh{
		TrustDomain: trustDomain, Services: services, Workloads: workloads, Policies: policies, Findings: findings,
		services: make(map[Name]*Service, len(services)),
		policies: make(map[Account]*Policy, len(policies)),
	}
	for _, s := range services {
		m.services[s.Name] = s
	}
	for _, p := range policies {
		m.policies[p.Account] = p
	}
	return m
}

// Service returns the Service of that name, or nil.
func (m *Mesh) Service(name Name) *Service { return m.services[name] }

// Policy returns what TrafficTargets grant at the account, or nil where none does.
func (m *Mesh) Policy(account Account) *Policy { return m.policies[account] }
