package crd

// objectTests are objects that the API server accepts without dropping a field,
// or refuses for a reason.
var objectTests = []struct {
	name, object, refused string
}{
	{name: "target", object: target("access.smi-spec.io/v1alpha4", "ServiceAccount", "HTTPRouteGroup")},
	{name: "target v1alpha3", object: target("access.smi-spec.io/v1alpha3", "ServiceAccount", "TCPRoute")},
	{name: "target of a binding", object: target("access.smi-spec.io/v1alpha4", "IdentityBinding", "UDPRoute")},
	{name: "groups", object: grouped("IdentityBinding", "access.smi-spec.io", "core")},
	{name: "a foreign group", object: grouped("IdentityBinding", "example.com", "core"), refused: "group must be absent"},
	{name: "a group of another kind", object: grouped("IdentityBinding", "core", "core"), refused: "group must be absent"},
	{name: "a foreign group of a source", object: grouped("ServiceAccount", "core", "example.com"), refused: "group must be absent"},
	{name: "target without sources and rules (AC-4)", object: `{
    	apiVersion: access.smi-spec.io/v1alpha4, kind: TrafficTarget, metadata: {name: a},
    	spec: {destination: {kind: ServiceAccount, name: a}}}`},
	{name: "target of a group", object: target("access.smi-spec.io/v1alpha4", "Group", "TCPRoute"),
		refused: `supported values: "ServiceAccount", "IdentityBinding"`},
	{name: "target by an unknown rule", object: target("access.smi-spec.io/v1alpha4", "ServiceAccount", "HttpRouteGroup"),
		refused: `supported values: "HTTPRouteGroup", "TCPRoute", "UDPRoute"`},
	{name: "target without a destination", object: `{
    	apiVersion: access.smi-spec.io/v1alpha4, kind: TrafficTarget, metadata: {name: a}, spec: {}}`,
		refused: "spec.destination: Required value"},
	{name: "binding", object: `{
    	apiVersion: access.smi-spec.io/v1alpha4, kind: IdentityBinding, metadata: {name: a},
    	spec: {schemes: {podLabelSelector: {matchLabels: {app: a}}, spiffeIdentities: [spiffe://x/y], serviceAccount: a}}}`},
	{name: "binding of a repeated identity", object: `{
    	apiVersion: access.smi-spec.io/v1alpha4, kind: IdentityBinding, metadata: {name: a},
    	spec: {schemes: {spiffeIdentities: [a, a]}}}`, refused: "Duplicate value"},
	{name: "headers as a map (SP-6)", object: group(`{user-agent: ".*", accept: "text/.*"}`)},
	{name: "headers as a list (SP-6)", object: group(`[{user-agent: ".*"}, {user-agent: "a.*"}]`)},
	{name: "matches of one name", object: `{
    	apiVersion: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, metadata: {name: a},
    	spec: {matches: [{name: x}, {name: x}]}}`, refused: "Duplicate value"},
	{name: "match without a name", object: `{
    	apiVersion: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, metadata: {name: a},
    	spec: {matches: [{pathRegex: /x}]}}`, refused: "spec.matches[0].name: Required value"},
	{name: "tcp", object: ports("TCPRoute", "[8080, 9090]")},
	{name: "udp", object: ports("UDPRoute", "[53]")},
	{name: "tcp without anything (SP-7)", object: `{
    	apiVersion: specs.smi-spec.io/v1alpha4, kind: TCPRoute, metadata: {name: a}, spec: {}}`},
	{name: "port zero", object: ports("TCPRoute", "[0]"), refused: "greater than or equal to 1"},
	{name: "port too large", object: ports("UDPRoute", "[65536]"), refused: "less than or equal to 65535"},
	{name: "split", object: split(`[{service: a, weight: 1000}, {service: b, weight: 0}, {service: c}]`)},
	{name: "split of a repeated backend", object: split(`[{service: a, weight: 1}, {service: a, weight: 2}]`), refused: "Duplicate value"},
	{name: "negative weight (TS-2)", object: split(`[{service: a, weight: -1}]`), refused: "greater than or equal to 0"},
	{name: "weight beyond the bound", object: split(`[{service: a, weight: 2147483648}]`), refused: "less than or equal to 2147483647"},
	{name: "fractional weight", object: split(`[{service: a, weight: 1.5}]`), refused: "must be of type integer"},
	{name: "quantity as a weight", object: split(`[{service: a, weight: 500m}]`), refused: "must be of type integer"},
}

func target(version, subject, rule string) string {
	return `{apiVersion: ` + version + `, kind: TrafficTarget, metadata: {name: a}, spec: {
    	destination: {kind: ` + subject + `, name: a, namespace: here},
    	sources: [{kind: ServiceAccount, name: b, namespace: there}],
    	rules: [{kind: ` + rule + `, name: c, matches: [d]}]}}`
}

func grouped(kind, group, source string) string {
	return `{apiVersion: access.smi-spec.io/v1alpha4, kind: TrafficTarget, metadata: {name: a}, spec: {
		destination: {kind: ` + kind + `, name: a, group: ` + group + `},
		sources: [{kind: ServiceAccount, name: b, group: ` + source + `}, {kind: ServiceAccount, name: c, group: ""}]}}`
}

func group(headers string) string {
	return `{apiVersion: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, metadata: {name: a},
    	spec: {matches: [{name: x, methods: [GET, "*"], pathRegex: /y, headers: ` + headers + `}]}}`
}

func ports(kind, list string) string {
	return `{apiVersion: specs.smi-spec.io/v1alpha4, kind: ` + kind + `, metadata: {name: a},
    	spec: {matches: {name: x, ports: ` + list + `}}}`
}

func split(backends string) string {
	return `{apiVersion: split.smi-spec.io/v1alpha4, kind: TrafficSplit, metadata: {name: a},
    	spec: {service: root, backends: ` + backends + `, matches: [{kind: HTTPRouteGroup, name: g, apiGroup: specs.smi-spec.io}]}}`
}
