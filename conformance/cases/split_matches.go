package cases

import "github.com/smi-project/smi/conformance"

// splitsOfSome are the features of splits for some requests.
var splitsOfSome = []conformance.Feature{conformance.SplitHTTP, conformance.SplitMatches}

// splitMatches say which requests a split takes.
var splitMatches = []*conformance.Case{
	{
		ID: "TS-6-conditions", Title: "A split with matches takes what meets all conditions of one of them, and leaves the rest to the next split",
		Rules: []string{"TS-6"}, Features: splitsOfSome, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_06_conditions.yaml")
			beta := toRoot.Path("/beta")
			for _, taken := range []conformance.Call{
				beta.Header("x-user", "alice"),
				beta.Header("X-User", "a").Method("PUT"),
				toRoot.Path("/betamax?x=y").Header("x-user", "alice"),
				toRoot.Path("/other").Method("POST"),
				toRoot.Path("/gamma?x=y"),
			} {
				t.AllowedAt(taken, workloadV2)
			}
			for _, left := range []conformance.Call{
				beta,
				beta.Header("x-user", "bob"),
				beta.Header("x-user", "malice"),
				beta.Header("x-other", "alice"),
				beta.Header("x-user", "alice").Method("POST"),
				beta.Header("x-user", "alice").Method("put").HTTP2(),
				toRoot.Path("/x/beta").Header("x-user", "alice"),
				toRoot.Path("/?/beta").Header("x-user", "alice"),
				toRoot.Path("/gamma/x"),
			} {
				t.AllowedAt(left, workloadV1)
			}
		},
	},
	{
		ID: "TS-6-next", Title: "What no split takes goes to the root itself",
		Rules: []string{"TS-6"}, Features: splitsOfSome, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_06_next.yaml")
			t.Always(toRoot.Path("/beta"), some, workloadV1)
			t.Always(toRoot.Path("/gamma"), some, workloadServer)
			unsplit(t)
			// Nor does the rest go where the first split does.
			t.Apply("ts_06_next_2.yaml")
			t.Always(toRoot.Path("/beta"), some, workloadServer)
			unsplit(t)
		},
	},
	{
		ID: "TS-6-shares", Title: "What a split with matches takes is shared by its weights",
		Rules: []string{"TS-6", "TS-2"}, Features: splitsOfSome, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_06_shares.yaml")
			t.Shares(toRoot.Path("/beta"), map[string]float64{workloadV1: 0.2, workloadV2: 0.8})
			t.Always(toRoot, some, workloadServer)
		},
	},
	{
		ID: "TS-6-missing", Title: "A split whose groups are missing takes no request, and one of whose groups some are there takes theirs",
		Rules: []string{"TS-6"}, Features: splitsOfSome, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_06_missing.yaml")
			t.Always(toRoot, some, workloadV1)
			t.Apply("ts_06_missing_2.yaml")
			t.Always(toRoot.Path("/beta"), some, workloadV2)
			t.Always(toRoot, some, workloadV1)
		},
	},
	{
		ID: "TS-6-elsewhere", Title: "Groups are those of the split's own namespace",
		Rules: []string{"TS-6"}, Features: splitsOfSome, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_06_elsewhere.yaml")
			t.Always(toRoot.Path("/beta"), some, workloadV1)
		},
	},
	{
		ID: "TS-6-kind", Title: "A reference to another kind than HTTPRouteGroup takes no request",
		Rules: []string{"TS-6"}, Features: splitsOfSome, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml")
			t.TryApply("ts_06_kind.yaml")
			t.Apply("ts_06_kind_2.yaml")
			t.Always(toRoot, some, workloadV1)
		},
	},
	{
		ID: "TS-6-empty-list", Title: "An empty list of matches is as good as none",
		Rules: []string{"TS-6", "TS-7"}, Features: splitsOfSome, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_06_empty_list.yaml")
			t.Always(toRoot, some, workloadV1)
		},
	},
	{
		ID: "TS-6-grpc", Title: "A split takes the calls of one gRPC method",
		Rules: []string{"TS-6", "SP-8"}, Features: []conformance.Feature{conformance.SplitHTTP, conformance.SplitMatches, conformance.GRPC}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_06_grpc.yaml")
			t.Always(conformance.Client.GRPC("root", 8082, conformance.SayMethod), some, workloadV2)
			t.Always(conformance.Client.Get("root", 8082, conformance.SayMethod+"More").HTTP2(), some, workloadV1)
		},
	},
}

// splitOrder say which of several splits of a root holds.
var splitOrder = []*conformance.Case{
	{
		ID: "TS-7-matches-first", Title: "A split with matches comes before an older one without",
		Rules: []string{"TS-7"}, Features: splitsOfSome, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_07_matches_first.yaml")
			t.Always(toRoot.Path("/beta"), some, workloadV2)
			t.Always(toRoot, some, workloadV1)
		},
	},
	{
		ID: "TS-7-overlap", Title: "Of two splits with matches the first takes what both match",
		Rules: []string{"TS-7"}, Features: splitsOfSome, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_07_overlap.yaml")
			t.Always(toRoot.Path("/beta"), some, workloadV1)
			t.Always(toRoot.Path("/alpha"), some, workloadV2)
			t.Remove("TrafficSplit", "a-beta")
			t.Always(toRoot.Path("/beta"), some, workloadV2)
			t.Remove("TrafficSplit", "b-letters")
			t.Always(toRoot.Path("/beta"), some, workloadServer)
		},
	},
	{
		ID: "TS-7-conflict", Title: "Of two splits without matches the second is not applied, until the first is gone",
		Rules: []string{"TS-7"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_07_conflict.yaml")
			t.Always(toRoot, some, workloadV1)
			t.Remove("TrafficSplit", "a-older")
			t.Always(toRoot, some, workloadV2)
		},
	},
	{
		ID: "TS-7-age", Title: "Age decides before names do",
		Rules: []string{"TS-7"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_07_age.yaml")
			t.Age()
			t.Apply("ts_07_age_2.yaml")
			t.Always(toRoot, some, workloadV1)
		},
	},
}
