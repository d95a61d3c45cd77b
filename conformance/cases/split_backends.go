package cases

import "github.com/smi-project/smi/conformance"

// splitBackends say which backends take part.
var splitBackends = []*conformance.Case{
	{
		ID: "TS-4-target-port", Title: "A backend's port is the root's by number, and its target port its own",
		Rules: []string{"TS-4"}, Features: []conformance.Feature{conformance.SplitHTTP, conformance.AccessHTTP}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			// Port 80 of the backend is 8081 of its pods, which is all that is granted
			// there; its port that is called as the root's is another one.
			t.Apply("ts_04_target_port.yaml")
			t.Always(toRoot, some, workloadServer)
			t.Denied(conformance.Client.Get("server", 80, "/"))
		},
	},
	{
		ID: "TS-4-left-out", Title: "The others share the weight of backends that do not exist, are elsewhere, or lack the port",
		Rules: []string{"TS-4"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_04_left_out.yaml")
			t.Shares(toRoot, map[string]float64{workloadV1: 1. / 3, workloadV2: 2. / 3})
		},
	},
	{
		ID: "TS-4-none-usable", Title: "A split of which no usable backend has a weight is not applied",
		Rules: []string{"TS-4", "TS-3"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_04_none_usable.yaml")
			unsplit(t)
		},
	},
	{
		ID: "TS-4-by-port", Title: "A backend that lacks one port of the root is left out there alone",
		Rules: []string{"TS-4"}, Features: []conformance.Feature{conformance.SplitHTTP, conformance.SplitTCP}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_grants_tcp.yaml", "ts_04_by_port.yaml")
			t.Always(toRoot, 4*some, workloadV1)
			t.Shares(rootConnection, map[string]float64{workloadV1: 0.9, workloadV2: 0.1})
		},
	},
	{
		ID: "TS-5-empty", Title: "A backend without endpoints keeps its share, which fails with 503",
		Rules: []string{"TS-5"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_05_empty.yaml")
			t.Shares(toRoot, map[string]float64{workloadV1: 0.75})
			t.Mixed(toRoot, 2*some, "200 from "+workloadV1, "503")
			t.Apply("ts_05_empty_2.yaml")
			beside := conformance.Client.Get("v1", 80, "/")
			t.AllowedAt(beside, workloadV1)
			t.Status(toRoot, 503)
			// Nobody is there who could deny.
			t.Status(conformance.Guest.Get("root", 80, "/"), 503)
			t.Denied(conformance.Guest.Get("v1", 80, "/"))
			t.AllowedAt(beside, workloadV1)
		},
	},
	{
		ID: "TS-5-skip", Title: "A split may let the others share the weight of a backend without endpoints",
		Rules: []string{"TS-5"}, Features: []conformance.Feature{conformance.SplitHTTP, conformance.EmptyBackends}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_05_skip.yaml")
			t.Shares(toRoot, map[string]float64{workloadV1: 0.75, workloadV2: 0.25})
		},
	},
}

// splitNesting say what backends are besides.
var splitNesting = []*conformance.Case{
	{
		ID: "TS-8-root", Title: "The root may be one of its backends, and that share goes to its own endpoints",
		Rules: []string{"TS-8"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_08_root.yaml")
			t.Shares(conformance.Client.Get("stable", 80, "/"), map[string]float64{workloadV1: 0.8, workloadV2: 0.2})
		},
	},
	{
		ID: "TS-8-nested", Title: "A backend's own split is not followed",
		Rules: []string{"TS-8"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_08_nested.yaml")
			t.Always(toRoot, some, workloadV1)
			t.Always(conformance.Client.Get("v1", 80, "/"), some, workloadV2)
		},
	},
}
