package cases

import "github.com/smi-project/smi/conformance"

// platform is what a mesh leaves to the platform that it runs on.
var platform = []*conformance.Case{
	{
		ID: "AC-14-probes", Title: "Probes of the platform need no grant, and open nothing to anybody else",
		Rules: []string{"AC-14"}, Features: []conformance.Feature{conformance.AccessHTTP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			// It would not become ready if its probes were judged as others' requests are.
			t.Apply("ac_14_probes.yaml")
			t.Denied(conformance.Client.Get("probed", 80, "/healthz"))
		},
	},
	{
		ID: "TS-12-outside", Title: "A split is for clients of the mesh; others use the Service as it is",
		Rules: []string{"TS-12"}, Features: splitsOfHTTP, APIs: []string{splitV1alpha4},
		Run: func(t *conformance.T) {
			const server = conformance.Outside + "/plain"
			host := "plain." + conformance.Outside
			t.AllowedAt(conformance.Client.Get(host, 80, "/"), server)
			t.Apply("ts_12_outside.yaml")
			t.Status(conformance.Client.Get(host, 80, "/"), 503)
			t.AllowedAt(conformance.Stranger.Get(host, 80, "/"), server)
		},
	},
}
