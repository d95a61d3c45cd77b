package cases

import (
	"github.com/smi-project/smi/conformance"
)

// accessRules are the cases of AC-6 to AC-11: what the rules of a TrafficTarget
// mean.
var accessRules = []*conformance.Case{
	{
		ID: "AC-6-listed", Title: "A rule that lists matches of a group allows these",
		Rules: []string{"AC-6"}, Features: requests, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_06_matches.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Allowed(conformance.Client.Get("server", 80, "/buy").Method("POST"))
			t.Allowed(conformance.Client.Get("server", 80, "/more"))
			t.Denied(conformance.Client.Get("server", 80, "/rates"))
			t.Denied(conformance.Client.Get("server", 80, "/buy"))
			// A match of this name is listed too, of another group.
			t.Denied(conformance.Client.Get("server", 80, "/private"))
		},
	},
	{
		ID: "AC-6-all", Title: "A rule that lists no matches allows all of its group's",
		Rules: []string{"AC-6"}, Features: requests, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_06_matches.yaml")
			for _, w := range []conformance.Workload{conformance.Guest, conformance.OtherClient} {
				t.Allowed(w.Get("server", 80, "/books"))
				t.Allowed(w.Get("server", 80, "/buy").Method("POST"))
				t.Allowed(w.Get("server", 80, "/rates"))
				t.Denied(w.Get("server", 80, "/buy"))
				t.Denied(w.Get("server", 80, "/private"))
				t.Denied(w.Get("server", 80, "/more"))
			}
		},
	},
	{
		ID: "AC-7-missing-group", Title: "A rule about a group that does not exist contributes nothing",
		Rules: []string{"AC-7"}, Features: requests, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_07_missing_group.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.Client.Get("server", 80, "/rates"))
			t.Denied(conformance.Guest.Get("server", 80, "/books"))
			t.Denied(conformance.Guest.TCP("server", 9000))
		},
	},
	{
		ID: "AC-7-missing-match", Title: "Of the matches that a rule lists, one that does not exist drops out alone",
		Rules: []string{"AC-7"}, Features: requests, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_07_missing_match.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.Client.Get("server", 80, "/rates"))
			for _, path := range []string{"/", "/books", "/rates"} {
				t.Denied(conformance.Guest.Get("server", 80, path))
			}
		},
	},
	{
		ID: "AC-7-unknown-kind", Title: "A rule of an unknown kind contributes nothing",
		Rules: []string{"AC-7"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_07_unknown_kind.yaml")
			accepted := t.TryApply("ac_07_unknown_kind_2.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/rates"))
			if accepted {
				// The rest of the target keeps working.
				t.Allowed(conformance.Client.Get("server", 80, "/books"))
			}
			t.Denied(conformance.Client.Get("server", 80, "/other"))
			t.Denied(conformance.Client.TCP("server", 9000))
			for _, path := range []string{"/", "/books", "/rates"} {
				t.Denied(conformance.Guest.Get("server", 80, path))
			}
			t.Denied(conformance.Guest.TCP("server", 9000))
		},
	},
	{
		ID: "AC-7-own-namespace", Title: "Rules name objects of the TrafficTarget's own namespace",
		Rules: []string{"AC-7"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_07_own_namespace.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.Client.Get("server", 80, "/private"))
			t.Denied(conformance.Client.Get("server", 80, "/other"))
			t.Denied(conformance.Client.TCP("server", 9000))
		},
	},
	{
		ID: "AC-7-missing-route", Title: "A rule about a TCPRoute that does not exist contributes nothing",
		Rules: []string{"AC-7"}, Features: connections, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_07_missing_route.yaml")
			t.Allowed(conformance.Client.TCP("server", 9000))
			t.Denied(conformance.Client.TCP("server", 9001))
			t.Denied(conformance.Guest.TCP("server", 9000))
			t.Denied(conformance.Guest.TCP("server", 9001).Silent())
		},
	},
	{
		ID: "AC-7-route-match", Title: "A rule that lists matches means a TCPRoute only if its match has one of these names",
		Rules: []string{"AC-7"}, Features: connections, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_07_route_match.yaml")
			t.Allowed(conformance.Client.TCP("server", 9000))
			t.Allowed(conformance.OtherClient.TCP("server", 9000))
			t.Denied(conformance.Client.TCP("server", 9001))
			t.Denied(conformance.Guest.TCP("server", 9000))
		},
	},
	{
		ID: "AC-8-opens", Title: "A TCPRoute alone opens connections on its ports",
		Rules: []string{"AC-8"}, Features: connections, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_08_opens.yaml")
			t.Allowed(conformance.Client.TCP("server", 9000))
			t.Denied(conformance.Client.TCP("server", 9001))
			t.Denied(conformance.Client.TCP("server", 9001).Silent())
			t.Denied(conformance.Client.Get("server", 80, "/"))
			t.Denied(conformance.Guest.TCP("server", 9000))
		},
	},
	{
		ID: "AC-8-http", Title: "A TCPRoute alone opens its ports to any HTTP too",
		Rules: []string{"AC-8"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.GRPC, conformance.WebSocket},
		APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_08_http.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Allowed(conformance.Client.Get("server", 80, "/rates?x=1").Method("DELETE"))
			t.Allowed(conformance.Client.Get("server", 80, "/books").HTTP2())
			t.Allowed(conformance.Client.Get("server", 80, "/ws").WebSocket())
			t.Allowed(conformance.Client.GRPC("server", 8082, conformance.SayMethod))
			t.Denied(conformance.Client.Get("server", 8081, "/books"))
			t.Denied(conformance.Client.TCP("server", 9000))
		},
	},
	{
		ID: "AC-8-undeclared", Title: "On a port that declares nothing, a TCPRoute opens HTTP and everything else",
		Rules: []string{"AC-8"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.Sniffing}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_08_undeclared.yaml")
			t.Allowed(conformance.Client.TCP("server", 9090))
			t.Allowed(conformance.Client.Get("server", 9090, "/books"))
			t.Allowed(conformance.Client.Get("server", 9090, "/rates").Method("POST"))
			t.Denied(conformance.Client.TCP("server", 9000))
			t.Denied(conformance.Guest.TCP("server", 9090))
			t.Denied(conformance.Guest.Get("server", 9090, "/books"))
		},
	},
	{
		ID: "AC-8-several", Title: "Several TCPRoutes add up, in one TrafficTarget and in several",
		Rules: []string{"AC-8", "AC-3"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_08_several.yaml")
			t.Allowed(conformance.Client.TCP("server", 9000))
			t.Allowed(conformance.Client.TCP("server", 9001).Silent())
			t.Allowed(conformance.Client.Get("server", 8081, "/"))
			t.Allowed(conformance.Client.Get("server", 8082, "/"))
			t.Denied(conformance.Client.Get("server", 80, "/"))
		},
	},
	{
		ID: "AC-8-udproute-beside", Title: "A UDPRoute beside TCPRoutes changes nothing for connections",
		Rules: []string{"AC-8", "AC-11"}, Features: connections, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_08_udproute_beside.yaml")
			for _, w := range []conformance.Workload{conformance.Client, conformance.Guest} {
				t.Allowed(w.TCP("server", 9000))
				t.Denied(w.TCP("server", 9001))
			}
		},
	},
	{
		ID: "AC-8-unknown-kind", Title: "TCPRoutes beside a rule of an unknown kind open nothing",
		Rules: []string{"AC-8"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_08_unknown_kind.yaml")
			t.TryApply("ac_08_unknown_kind_2.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.Client.Get("server", 80, "/rates"))
			t.Denied(conformance.Client.TCP("server", 9000))
		},
	},
	{
		ID: "AC-9-restricts", Title: "TCPRoutes beside a group allow its requests on their ports, which are the pods', and open nothing",
		Rules: []string{"AC-9"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_09_restricts.yaml")
			t.Allowed(conformance.Client.Get("server", 8081, "/books"))
			t.Denied(conformance.Client.Get("server", 80, "/books"))
			t.Allowed(conformance.Guest.Get("server", 8081, "/books"))
			t.Allowed(conformance.Guest.Get("server", 80, "/books"))
			t.Denied(conformance.Guest.Get("server", 8082, "/books"))
			for _, w := range []conformance.Workload{conformance.Client, conformance.Guest} {
				t.Denied(w.Get("server", 8081, "/rates"))
				t.Denied(w.TCP("server", 9000))
			}
			// Port 80 is the Service's and no pod's.
			t.Denied(conformance.OtherClient.Get("server", 80, "/books"))
		},
	},
	{
		ID: "AC-9-missing-group", Title: "TCPRoutes open nothing where the group beside them, or its match, does not exist",
		Rules: []string{"AC-9", "AC-7"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_09_missing_group.yaml")
			for _, w := range []conformance.Workload{conformance.Client, conformance.Guest} {
				t.Denied(w.Get("server", 80, "/books"))
				t.Denied(w.TCP("server", 9000))
			}
			t.Allowed(conformance.OtherClient.Get("server", 80, "/books"))
		},
	},
	{
		ID: "AC-9-missing-route", Title: "A TCPRoute that does not exist still restricts the group beside it",
		Rules: []string{"AC-9", "AC-7"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_09_missing_route.yaml")
			t.Denied(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.Client.Get("server", 8081, "/books"))
			t.Allowed(conformance.Guest.Get("server", 80, "/books"))
			t.Denied(conformance.Guest.Get("server", 8081, "/books"))
		},
	},
	{
		ID: "AC-9-two-targets", Title: "Two TrafficTargets allow requests here and connections there",
		Rules: []string{"AC-9", "AC-3"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_09_two_targets.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.Client.Get("server", 80, "/rates"))
			t.Allowed(conformance.Client.TCP("server", 9000))
			t.Allowed(conformance.Client.Get("server", 8081, "/rates"))
			t.Denied(conformance.Client.TCP("server", 9001))
		},
	},
	{
		ID: "AC-10-requests-only", Title: "An HTTPRouteGroup allows requests on all ports that speak HTTP, and no connection",
		Rules: []string{"AC-10"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.GRPC},
		APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_10_requests.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Allowed(conformance.Client.Get("server", 8081, "/books"))
			t.Allowed(conformance.Client.GRPC("server", 8082, conformance.SayMethod))
			t.Denied(conformance.Client.TCP("server", 9000))
			t.Denied(conformance.Client.TCP("server", 9001))
			t.Denied(conformance.Client.TCP("server", 9001).Silent())
		},
	},
	{
		ID: "AC-10-undeclared", Title: "On a port that declares nothing, an HTTPRouteGroup lets requests in and other bytes not",
		Rules: []string{"AC-10"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.Sniffing}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_10_requests.yaml")
			t.Allowed(conformance.Client.Get("server", 9090, "/books"))
			t.Denied(conformance.Client.TCP("server", 9090))
			t.Denied(conformance.Client.TCP("server", 9090).Body("GETTING\n"))
		},
	},
	{
		ID: "AC-11-udp", Title: "UDP is dropped, unless a UDPRoute opens its port to the source",
		Rules: []string{"AC-11", "AC-1"}, Features: []conformance.Feature{conformance.AccessUDP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			// Grants of requests and of connections are about another transport.
			t.Apply("ac_11_udp.yaml")
			t.Denied(conformance.Client.UDP("server", 9002))
			t.Apply("ac_11_udp_2.yaml")
			t.Allowed(conformance.Client.UDP("server", 9002))
			t.Denied(conformance.Guest.UDP("server", 9002))
			t.Unreached(conformance.Stranger.UDP("server", 9002))
		},
	},
	{
		ID: "AC-11-no-connections", Title: "A UDPRoute opens no port to connections",
		Rules: []string{"AC-11"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_11_connections.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.Client.Get("server", 80, "/rates"))
			t.Denied(conformance.Client.TCP("server", 9000))
		},
	},
}
