package cases

import (
	"github.com/smi-project/smi/conformance"
)

// access are the cases of the AC rules.
var access = []*conformance.Case{
	{
		ID: "AC-1-deny-by-default", Title: "Without any TrafficTarget, a workload gets nothing",
		Rules: []string{"AC-1", "AC-12"}, Features: []conformance.Feature{conformance.AccessHTTP},
		Run: func(t *conformance.T) {
			t.WithoutControl()
			t.Denied(conformance.Client.Get("server", 80, "/"))
			t.Denied(conformance.Client.TCP("server", 9000))
			t.Denied(conformance.Client.GRPC("server", 8082, conformance.SayMethod))
		},
	},
	{
		ID: "AC-3-union", Title: "What is allowed is the union over all TrafficTargets",
		Rules: []string{"AC-3"}, Features: []conformance.Feature{conformance.AccessHTTP},
		APIs: []string{accessV1alpha3, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("ac_03_union.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Allowed(conformance.Client.Get("server", 80, "/rates"))
			t.Denied(conformance.Client.Get("server", 80, "/other"))
			t.Denied(conformance.Guest.Get("server", 80, "/books"))
		},
	},
}
