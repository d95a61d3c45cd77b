package cases

import (
	"slices"

	"github.com/smi-project/smi/conformance"
)

// split are the cases of the TS rules.
var split = slices.Concat(splitRoots, splitWeights, splitBackends, splitMatches, splitOrder, splitNesting, splitTCP, splitJudged, splitChanges)

// The workloads that splits share traffic among.
const (
	workloadV1     = "smi-apps/v1"
	workloadV2     = "smi-apps/v2"
	workloadServer = "smi-apps/server"
)

// What most splits need. The API versions are those of their grants too, without
// which nothing would be answered.
var (
	splitAPIs    = []string{accessV1alpha3, specsV1alpha4, splitV1alpha4}
	splitsOfHTTP = []conformance.Feature{conformance.SplitHTTP}
)

// toRoot is a request to the root of most splits.
var toRoot = conformance.Client.Get("root", 80, "/")

// some is a sample that shows who answers. Of two that share traffic by turns, or
// at random, both are seen in it: with dice one stays unseen once in 10^17.
const some = 60

// unsplit expects the root to serve by itself: by its own pods, whichever of them
// the mesh chooses. What is not to be applied sends to others.
func unsplit(t *conformance.T) { ownPods(t, toRoot) }

func ownPods(t *conformance.T, c conformance.Call) {
	t.Only(c, some, "200 from "+workloadV1, "200 from "+workloadV2)
}

// splitRoots say what a split applies to.
var splitRoots = []*conformance.Case{
	{
		ID: "TS-1-forms", Title: "A Service of the own namespace is named in four forms, as root and as backend",
		Rules: []string{"TS-1"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_01_forms.yaml")
			for root, workload := range map[string]string{"root": workloadV2, "stable": workloadV2, "server": workloadV1, "empty": workloadV1} {
				t.Always(conformance.Client.Get(root, 80, "/"), some, workload)
			}
		},
	},
	{
		ID: "TS-1-other-forms", Title: "A split whose root is named otherwise is refused, and the root serves as without it",
		Rules: []string{"TS-1"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml")
			for _, manifest := range []string{"ts_01_dot.yaml", "ts_01_full_dot.yaml", "ts_01_case.yaml", "ts_01_domain.yaml"} {
				t.TryApply(manifest)
				unsplit(t)
			}
			t.Apply("ts_to_v1.yaml")
			t.Always(toRoot, some, workloadV1)
		},
	},
	{
		ID: "TS-1-own-namespace", Title: "A split takes no Service of another namespace for its root",
		Rules: []string{"TS-1"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_01_grants_elsewhere.yaml")
			t.TryApply("ts_01_elsewhere.yaml")
			t.TryApply("ts_01_from_elsewhere.yaml")
			t.Always(conformance.Client.Get("server", 80, "/"), some, workloadServer)
			t.Always(conformance.Client.Get("server.smi-other", 80, "/"), some, "smi-other/server")
		},
	},
	{
		ID: "TS-1-root-alone", Title: "Every client of the mesh has its requests to the root split, and those to another Service of the same pods not",
		Rules: []string{"TS-1"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_to_v2.yaml")
			t.Always(toRoot, some, workloadV2)
			t.Always(conformance.OtherClient.Get("root", 80, "/"), some, workloadV2)
			t.Always(conformance.Client.Get("stable", 80, "/"), some, workloadV1)
			t.Always(conformance.Client.Get("v1", 80, "/"), some, workloadV1)
		},
	},
	{
		ID: "TS-1-host", Title: "At the root's address, requests are split whatever their Host header says",
		Rules: []string{"TS-1"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_to_v2.yaml")
			t.Always(toRoot.Direct().Authority("v1.smi-apps"), some, workloadV2)
			t.Always(toRoot.Direct().Authority("elsewhere.example"), some, workloadV2)
			t.Always(toRoot.Authority("ROOT.smi-apps.:80"), some, workloadV2)
			t.Always(conformance.Client.Get("v1", 80, "/").Direct().Authority("root.smi-apps"), some, workloadV1)
		},
	},
	{
		ID: "TS-1-headless", Title: "A headless Service takes no split, and access control holds there",
		Rules: []string{"TS-1"}, Features: []conformance.Feature{conformance.SplitHTTP, conformance.AccessHTTP}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_01_headless.yaml")
			t.Always(conformance.Client.Get("at-8080", 8080, "/"), some, workloadServer)
			// Each has a connection of its own, as names may be all that such a mesh chooses by.
			toHeadless := conformance.Client.Get("headless", 8080, "/").Header("Connection", "close")
			ownPods(t, toHeadless)
			t.Denied(conformance.Guest.Get("headless", 8080, "/"))
		},
	},
}

// splitWeights say how traffic is shared.
var splitWeights = []*conformance.Case{
	{
		ID: "TS-2-relative", Title: "Weights are relative: 1000 and 500 are two thirds and one third",
		Rules: []string{"TS-2"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_02_relative.yaml")
			t.Shares(toRoot, map[string]float64{workloadV1: 2. / 3, workloadV2: 1. / 3})
		},
	},
	{
		ID: "TS-2-grpc", Title: "The calls of one gRPC connection are shared one by one",
		Rules: []string{"TS-2"}, Features: []conformance.Feature{conformance.SplitHTTP, conformance.GRPC}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_02_grpc.yaml")
			t.Shares(conformance.Client.GRPC("root", 8082, conformance.SayMethod), map[string]float64{workloadV1: 0.9, workloadV2: 0.1})
		},
	},
	{
		ID: "TS-2-huge", Title: "Weights that are too large in sum keep their ratio",
		Rules: []string{"TS-2"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_02_huge.yaml")
			t.Shares(toRoot, map[string]float64{workloadV1: 0.4, workloadV2: 0.4, workloadServer: 0.2})
		},
	},
	{
		ID: "TS-2-twice", Title: "A backend that is named twice has the sum of its weights",
		Rules: []string{"TS-2"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_02_twice.yaml")
			t.Shares(toRoot, map[string]float64{workloadV1: 0.9, workloadV2: 0.1})
		},
	},
	{
		ID: "TS-2-invalid", Title: "A weight that is none refuses the whole split",
		Rules: []string{"TS-2"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml")
			for _, manifest := range []string{"ts_02_negative.yaml", "ts_02_large.yaml"} {
				t.TryApply(manifest)
				unsplit(t)
			}
		},
	},
	{
		ID: "TS-3-zero", Title: "A backend of weight 0 receives nothing, and one without a weight has weight 0",
		Rules: []string{"TS-3", "TS-2"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_03_zero.yaml")
			t.Always(toRoot, 4*some, workloadV2)
			t.Apply("ts_03_zero_2.yaml")
			t.Always(toRoot, 4*some, workloadV1)
			if t.TryApply("ts_03_absent.yaml") {
				t.Always(toRoot, 4*some, workloadV1)
			}
		},
	},
	{
		ID: "TS-3-all-zero", Title: "Where all weights are 0 the root serves as though there were no split",
		Rules: []string{"TS-3"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_03_all_zero.yaml")
			unsplit(t)
		},
	},
	{
		ID: "TS-3-place", Title: "A split that comes to nothing holds its place among the root's splits, and a refused one does not",
		Rules: []string{"TS-3", "TS-7"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_03_place.yaml")
			unsplit(t)
			t.Remove("TrafficSplit", "a-empty")
			t.Always(toRoot, some, workloadServer)
			t.Remove("TrafficSplit", "b-conflict")
			t.TryApply("ts_03_refused.yaml")
			t.Apply("ts_03_refused_2.yaml")
			t.Always(toRoot, some, workloadServer)
		},
	},
	{
		ID: "TS-3-matches", Title: "A split with matches that comes to nothing is passed over",
		Rules: []string{"TS-3", "TS-6"}, Features: splitsOfSome, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_03_matches.yaml")
			t.Always(toRoot.Path("/beta"), some, workloadV2)
			t.Always(toRoot, some, workloadV1)
			t.Remove("TrafficSplit", "b-beta")
			t.Always(toRoot.Path("/beta"), some, workloadV1)
		},
	},
}
