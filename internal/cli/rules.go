package cli

// ruleText says in a few words what a rule of docs/semantics.md does, for the
// rules that decide on requests.
func ruleText(number string) string {
	switch number {
	case "AC-1":
		return "strict mode denies what no TrafficTarget allows"
	case "AC-6":
		return "a rule that names an HTTPRouteGroup allows its matches"
	case "AC-8":
		return "TCPRoutes alone allow all TCP traffic on their ports, HTTP included"
	case "AC-9":
		return "beside an HTTPRouteGroup, TCPRoutes only restrict the ports"
	case "AC-16":
		return "the destination's namespace does not enforce access rules"
	case "AC-18":
		return "the pod opens this port to everybody"
	case "PR-1":
		return "the Service declares what the port speaks"
	case "PR-5":
		return "what leaves the mesh passes unchanged"
	case "SP-9":
		return "paths that the application might read differently are refused"
	case "TS-1":
		return "a TrafficSplit shares what is sent to its root Service"
	case "TS-5":
		return "the share of a backend without ready pods fails"
	case "TS-6":
		return "a TrafficSplit with matches takes matching requests only"
	default:
		return "see the rules of the mesh"
	}
}
