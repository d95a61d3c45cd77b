package cases

import (
	"github.com/smi-project/smi/conformance"
)

// What most cases about access need.
var (
	requests    = []conformance.Feature{conformance.AccessHTTP}
	connections = []conformance.Feature{conformance.AccessTCP}
	bothKinds   = []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP}
	accessAPIs  = []string{accessV1alpha3, specsV1alpha4}
)

// access are the cases of AC-1 to AC-5: when there is a grant at all.
var access = []*conformance.Case{
	{
		ID: "AC-1-deny-by-default", Title: "Without any TrafficTarget, a workload gets nothing",
		Rules: []string{"AC-1", "AC-12"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.GRPC},
		APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.WithoutControl()
			for _, service := range []string{"server", "server.smi-other", "root"} {
				t.Denied(conformance.Client.Get(service, 80, "/books"))
				t.Denied(conformance.Client.TCP(service, 9000))
				t.Denied(conformance.Client.GRPC(service, 8082, conformance.SayMethod))
			}
			// It was no outage: what is granted now is served, and nothing beside it.
			t.Apply("ac_01_deny_by_default.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.Client.Get("server.smi-other", 80, "/books"))
		},
	},
	{
		ID: "AC-1-untargeted", Title: "A workload without any TrafficTarget gets nothing from a client that is let through to its neighbour",
		Rules: []string{"AC-1", "AC-2"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			// Behind the root, only version 1 is granted to anybody, so that the
			// client's side cannot be the one that keeps version 2 closed.
			t.WithoutControl()
			t.Apply("ac_13_judged.yaml")
			openedAtV1(t)
		},
	},
	{
		ID: "AC-1-elsewhere", Title: "A grant at one workload opens no other one",
		Rules: []string{"AC-1"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_01_elsewhere.yaml")
			t.Allowed(conformance.Client.Get("v1", 80, "/"))
			t.Allowed(conformance.Client.TCP("v1", 9000))
			for _, service := range []string{"v2", "server"} {
				t.Denied(conformance.Client.Get(service, 80, "/"))
				t.Denied(conformance.Client.TCP(service, 9000))
			}
		},
	},
	{
		ID: "AC-2-straight", Title: "The destination refuses what reaches it without the client's side",
		Rules: []string{"AC-2", "AC-1"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_02_straight.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/"))
			t.Allowed(conformance.Client.TCP("server", 9000))
			for _, port := range []uint16{80, 8081, 9090} {
				t.Unreached(conformance.Stranger.Get("server", port, "/"))
				t.Unreached(conformance.Stranger.Get("server", port, "/").HTTP2())
				t.Unreached(conformance.Stranger.Get("server", port, "/").Header("x-forwarded-client-cert",
					"By=spiffe://cluster.local/ns/smi-apps/sa/server;URI=spiffe://cluster.local/ns/smi-apps/sa/client"))
			}
			for _, port := range []uint16{80, 9000, 9001, 9090} {
				t.Unreached(conformance.Stranger.TCP("server", port))
			}
		},
	},
	{
		ID: "AC-3-union", Title: "What is allowed is the union over all TrafficTargets",
		Rules: []string{"AC-3"}, Features: requests, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_03_union.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Allowed(conformance.Client.Get("server", 80, "/rates"))
			t.Denied(conformance.Client.Get("server", 80, "/other"))
			t.Denied(conformance.Guest.Get("server", 80, "/books"))
		},
	},
	{
		ID: "AC-3-nothing-narrows", Title: "A narrow TrafficTarget takes nothing from a wide one",
		Rules: []string{"AC-3"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_03_nothing_narrows.yaml")
			for _, port := range []uint16{80, 8081} {
				t.Allowed(conformance.Client.Get("server", port, "/books"))
				t.Allowed(conformance.Client.Get("server", port, "/books").Method("POST"))
				t.Denied(conformance.Client.Get("server", port, "/other"))
			}
			t.Allowed(conformance.Guest.Get("server", 8081, "/books"))
			t.Denied(conformance.Guest.Get("server", 80, "/books"))
		},
	},
	{
		ID: "AC-3-apart", Title: "The sources of one TrafficTarget do not get the rules of another",
		Rules: []string{"AC-3"}, Features: requests, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_03_apart.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.Client.Get("server", 80, "/rates"))
			for _, w := range []conformance.Workload{conformance.Guest, conformance.OtherClient} {
				t.Allowed(w.Get("server", 80, "/rates"))
				t.Denied(w.Get("server", 80, "/books"))
			}
		},
	},
	{
		ID: "AC-4-no-sources", Title: "A TrafficTarget without sources grants nothing",
		Rules: []string{"AC-4"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) { incomplete(t, "ac_04_no_sources.yaml") },
	},
	{
		ID: "AC-4-no-rules", Title: "A TrafficTarget without rules grants nothing",
		Rules: []string{"AC-4"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) { incomplete(t, "ac_04_no_rules.yaml") },
	},
	{
		ID: "AC-4-no-destination", Title: "A TrafficTarget without a destination grants nothing",
		Rules: []string{"AC-4"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) { incomplete(t, "ac_04_no_destination.yaml") },
	},
	{
		ID: "AC-5-sources-anywhere", Title: "Sources are told apart by their namespaces, and may be in any",
		Rules: []string{"AC-5"}, Features: requests, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_05_sources.yaml")
			t.Allowed(conformance.OtherClient.Get("server", 80, "/books"))
			t.Denied(conformance.OtherClient.Get("server", 80, "/rates"))
			t.Allowed(conformance.Client.Get("server", 80, "/rates"))
			t.Denied(conformance.Client.Get("server", 80, "/books"))
		},
	},
	{
		ID: "AC-5-own-by-default", Title: "A subject without a namespace is in the TrafficTarget's",
		Rules: []string{"AC-5"}, Features: requests, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_05_default.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.OtherClient.Get("server", 80, "/books"))
			t.Allowed(conformance.OtherClient.Get("server.smi-other", 80, "/books"))
			t.Denied(conformance.Client.Get("server.smi-other", 80, "/books"))
		},
	},
	{
		ID: "AC-5-destination", Title: "A TrafficTarget opens no destination in another namespace than its own",
		Rules: []string{"AC-5"}, Features: requests, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_05_destination.yaml")
			t.TryApply("ac_05_destination_2.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Denied(conformance.Client.Get("server.smi-other", 80, "/rates"))
			t.Denied(conformance.Client.Get("server", 80, "/rates"))
		},
	},
}

// incomplete applies TrafficTargets of which a part is missing, beside a complete
// one for /books, and expects them to grant nothing.
func incomplete(t *conformance.T, manifest string) {
	t.Apply("ac_04_granted.yaml")
	t.TryApply(manifest)
	t.Allowed(conformance.Client.Get("server", 80, "/books"))
	for _, w := range []conformance.Workload{conformance.Client, conformance.Guest} {
		for _, service := range []string{"server", "v1"} {
			t.Denied(w.Get(service, 80, "/rates"))
			t.Denied(w.TCP(service, 9000))
		}
	}
	t.Unreached(conformance.Stranger.Get("server", 80, "/rates"))
}
