package compile

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// Config is what the mesh's configuration says of the meaning of resources.
type Config struct {
	// TrustDomain is the SPIFFE trust domain; "cluster.local" when empty (ID-1).
	TrustDomain string
	// ClusterDomain ends the full names of Services; "cluster.local" when empty.
	ClusterDomain string
	// Mode is that of namespaces without a label; Strict when empty (AC-1).
	Mode mesh.Mode
	// Floor is the mode below which nothing leads, neither Mode nor a namespace's
	// label (AC-16); Permissive, which is no floor, when empty.
	Floor mesh.Mode
	// Sidecars tells that pods are those of a cluster: meshed are those that have a
	// sidecar, and no others, and they may listen on ports that nothing declares.
	Sidecars bool
	// PodRanges and ServiceRanges are those that the cluster gives its pods and Services
	// addresses from, as far as they are known. An address in them that nobody has is
	// refused and not taken for one outside the mesh. Only with Sidecars.
	PodRanges, ServiceRanges []netip.Prefix
	// Excluded is what new pods exclude from redirection wherever they are. What a pod
	// has excluded, it says itself; what most have need not be told of each. Only with
	// Sidecars.
	Excluded sidecar.Redirection
}

func (c Config) withDefaults() Config {
	c.TrustDomain = cmp.Or(c.TrustDomain, "cluster.local")
	c.ClusterDomain = cmp.Or(c.ClusterDomain, "cluster.local")
	c.Mode = cmp.Or(c.Mode, mesh.Strict)
	c.Floor = cmp.Or(c.Floor, mesh.Permissive)
	if strictness(c.Mode) < strictness(c.Floor) {
		c.Mode = c.Floor
	}
	return c
}

// Compiler turns snapshots into meshes. It remembers the last walk, so that
// the next one makes anew only what changed. It is not safe for concurrent use.
type Compiler struct {
	config Config

	routeStage    stage[routeStageInputs, routes]
	podStage      stage[podStageInputs, podSet]
	bindingStage  stage[bindingStageInputs, bindingSet]
	serviceStage  stage[serviceStageInputs, serviceSet]
	accountStage  stage[accountStageInputs, accountSet]
	policyStage   stage[policyStageInputs, policySet]
	splitStage    stage[splitStageInputs, splitSet]
	rootStage     stage[rootStageInputs, rootSet]
	callerStage   stage[callerStageInputs, callerSet]
	classStage    stage[classStageInputs, classSet]
	groupStage    stage[groupStageInputs, groupSet]
	addressStage  stage[addressStageInputs, mesh.Addresses]
	workloadStage stage[workloadStageInputs, workloadSet]

	httpRoutes memo[mesh.Name, routeGroupInputs, *routeGroup]
	portRoutes memo[mesh.Name, portRouteInputs, *portRoute]
	modes      memo[string, modeInputs, *namespaceMode]
	pods       memo[mesh.Name, podInputs, *pod]
	bindings   memo[mesh.Name, bindingInputs, *binding]
	services   memo[mesh.Name, serviceInputs, *service]
	podPorts   memo[mesh.Name, podPortsInputs, *podPorts]
	accounts   memo[mesh.Account, accountInputs, *account]
	names      memo[struct{}, accountNamesInputs, *accountNames]
	classes    memo[mesh.Name, classInputs, *class]
	targets    memo[mesh.Name, targetInputs, *grants]
	policies   memo[mesh.Account, policyInputs, *mesh.Policy]
	splits     memo[mesh.Name, splitInputs, *resolvedSplit]
	nested     memo[mesh.Name, nestedInputs, *nested]
	roots      memo[mesh.Name, rootInputs, *root]
	callers    memo[portKey, callersInputs, *callers]
	groups     memo[string, groupInputs, *group]
	workloads  memo[string, workloadInputs, *mesh.Workload]
}

type portKey struct {
	service mesh.Name
	number  uint16
}

// New returns a compiler that has seen nothing yet.
func New(config Config) *Compiler {
	return &Compiler{config: config.withDefaults()}
}

// Compile gives a snapshot its meaning. The result depends on the snapshot and
// the configuration alone; what did not change since the last call keeps its
// pointers.
func (c *Compiler) Compile(s *store.Snapshot) *mesh.Mesh {
	routes := c.routeStage.get(routeStageInputs{s.HTTPRouteGroups, s.TCPRoutes}, c.readRoutes)
	pods := c.podStage.get(podStageInputs{s.Namespaces, s.Pods}, c.readPods)
	bindings := c.bindingStage.get(bindingStageInputs{s.IdentityBindings, pods}, c.readBindings)
	services := c.serviceStage.get(serviceStageInputs{s.Services, s.EndpointSlices, pods}, c.resolveServices)
	accounts := c.accountStage.get(accountStageInputs{pods, services}, c.resolveAccounts)
	policies := c.policyStage.get(policyStageInputs{
		s.TrafficTargets, targetContext{s.ServiceAccounts, s.UDPRoutes, bindings, routes, accounts.names}, accounts,
	}, c.resolveTargets)
	splits := c.splitStage.get(splitStageInputs{s.TrafficSplits, services, routes}, c.resolveSplits)
	roots := c.rootStage.get(rootStageInputs{services, splits}, c.resolveRoots)
	callers := c.callerStage.get(callerStageInputs{roots, policies}, c.resolveCallers)
	classes := c.classStage.get(classStageInputs{pods, services}, c.resolveClasses)
	groups := c.groupStage.get(groupStageInputs{classes, policies}, c.resolveGroups)
	workloads := c.workloadStage.get(workloadStageInputs{classes, policies, callers, groups}, c.resolveWorkloads)

	findings := slices.Concat(routes.findings, pods.findings, bindings.findings, services.findings, policies.findings, splits.findings, roots.findings)
	slices.SortStableFunc(findings, mesh.Finding.Compare)
	m := mesh.New(c.config.TrustDomain, roots.all, workloads.all, policies.all, findings)
	if c.config.Sidecars {
		m.Addresses = c.addressStage.get(addressStageInputs{pods, services}, c.resolveAddresses)
	}
	return m
}
