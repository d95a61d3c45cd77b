package cases

import (
	"slices"

	"github.com/smi-project/smi/conformance"
)

// original are the cases of the suite that came before this one, under their
// numbers. That suite went through them in order, each building on the one before,
// and on meshes that allow by default. Here each stands alone and grants what it
// needs. Its service a is the fixture's client; b is the server, and where traffic
// is split, b and c are versions 1 and 2.
var original = slices.Concat(originalAccess, originalSplits, originalRoutes)

// aToB is what service a asks of service b.
var aToB = conformance.Client.Get("server", 80, "/")

// numbered is an original case. The first letters of its number say what it is
// about: TA is access, TS splits, TSC routes.
func numbered(number, title, rule string, run func(*conformance.T)) *conformance.Case {
	c := &conformance.Case{
		ID: number, Original: number, Title: title, Rules: []string{rule}, Run: run,
		Features: []conformance.Feature{conformance.AccessHTTP}, APIs: []string{accessV1alpha3, specsV1alpha4},
	}
	if number[:3] == "TS-" {
		c.Features, c.APIs = splitsOfHTTP, splitAPIs
	}
	return c
}

// originalAccess are those of access control.
var originalAccess = []*conformance.Case{
	numbered("TA-1.1.1", "The mesh takes a TrafficTarget and acts by it", "AC-1", func(t *conformance.T) {
		t.Denied(aToB)
		t.Apply("original_ta.yaml")
		t.Allowed(aToB)
	}),
	numbered("TA-1.1.2", "The services run, each as its own ServiceAccount", "ID-1", func(t *conformance.T) {
		t.Apply("original_ta.yaml")
		t.AllowedAt(aToB, workloadServer)
		t.Denied(conformance.Guest.Get("server", 80, "/"))
		t.Denied(conformance.OtherClient.Get("server", 80, "/"))
	}),
	numbered("TA-1.2.3", "Without a TrafficTarget traffic is blocked", "AC-1", func(t *conformance.T) {
		t.Denied(aToB)
		t.Denied(aToB.Path("/metrics"))
		t.Denied(aToB.Method("POST"))
	}),
	numbered("TA-1.2.4", "A TrafficTarget that allows service a to call service b is applied, and allows nobody else", "AC-3", func(t *conformance.T) {
		t.Apply("original_ta.yaml")
		t.Allowed(aToB)
		t.Denied(conformance.Guest.Get("server", 80, "/"))
	}),
	numbered("TA-1.2.5", "What the TrafficTarget allows arrives, all of it", "AC-6", func(t *conformance.T) {
		t.Apply("original_ta.yaml")
		t.Always(aToB, some, workloadServer)
		t.Always(aToB.Path("/metrics"), some, workloadServer)
		t.Always(aToB.Method("POST"), some, workloadServer)
	}),
	numbered("TA-1.2.6", "The TrafficTarget is taken away, and allows nothing any more", "AC-17", func(t *conformance.T) {
		t.Apply("original_ta.yaml")
		t.Allowed(aToB)
		t.Remove("TrafficTarget", "a-to-b")
		t.Denied(aToB)
	}),
	numbered("TA-1.2.7", "Without its TrafficTarget traffic is blocked as it was before", "AC-1", func(t *conformance.T) {
		t.Apply("original_ta.yaml")
		t.Allowed(aToB)
		t.Remove("TrafficTarget", "a-to-b")
		t.Denied(aToB)
		t.Denied(aToB.Path("/metrics"))
		t.Denied(aToB.Method("POST"))
	}),
}

// originalSplits are those of splits.
var originalSplits = []*conformance.Case{
	numbered("TS-1.1.1", "The mesh takes a TrafficSplit and acts by it", "TS-1", func(t *conformance.T) {
		t.Apply("ts_grants.yaml")
		unsplit(t)
		t.Apply("ts_to_v1.yaml")
		t.Always(toRoot, some, workloadV1)
	}),
	numbered("TS-1.1.2", "The services run: the root, and each version by itself", "TS-1", func(t *conformance.T) {
		t.Apply("ts_grants.yaml")
		t.Allowed(toRoot)
		t.AllowedAt(conformance.Client.Get("v1", 80, "/"), workloadV1)
		t.AllowedAt(conformance.Client.Get("v2", 80, "/"), workloadV2)
	}),
	numbered("TS-1.2.3", "Without a TrafficSplit, traffic to the root reaches its own pods", "TS-1", func(t *conformance.T) {
		t.Apply("ts_grants.yaml")
		unsplit(t)
	}),
	numbered("TS-1.2.4", "A TrafficSplit that sends everything to version b is applied, and changes the root alone", "TS-1", func(t *conformance.T) {
		t.Apply("ts_grants.yaml", "ts_to_v1.yaml")
		t.AllowedAt(toRoot, workloadV1)
		t.AllowedAt(conformance.Client.Get("v2", 80, "/"), workloadV2)
	}),
	numbered("TS-1.2.5", "Then all traffic to the root reaches version b", "TS-3", func(t *conformance.T) {
		t.Apply("ts_grants.yaml", "ts_to_v1.yaml")
		t.Always(toRoot, 4*some, workloadV1)
	}),
	numbered("TS-1.2.6", "The TrafficSplit is changed to send everything to version c", "TS-11", func(t *conformance.T) {
		t.Apply("ts_grants.yaml", "ts_to_v1.yaml")
		t.AllowedAt(toRoot, workloadV1)
		t.Apply("ts_to_v2.yaml")
		t.AllowedAt(toRoot, workloadV2)
	}),
	numbered("TS-1.2.7", "Then all traffic to the root reaches version c", "TS-3", func(t *conformance.T) {
		t.Apply("ts_grants.yaml", "ts_to_v1.yaml")
		t.Apply("ts_to_v2.yaml")
		t.Always(toRoot, 4*some, workloadV2)
	}),
	numbered("TS-1.2.8", "A TrafficSplit of 75 to version b and 25 to version c is applied, and both are reached", "TS-2", func(t *conformance.T) {
		t.Apply("ts_grants.yaml", "original_ts_75_25.yaml")
		t.Mixed(toRoot, 4*some, "200 from "+workloadV1, "200 from "+workloadV2)
	}),
	numbered("TS-1.2.9", "Then 75 of 100 requests reach version b, and 25 version c", "TS-2", func(t *conformance.T) {
		t.Apply("ts_grants.yaml", "original_ts_75_25.yaml")
		t.Shares(toRoot, map[string]float64{workloadV1: 0.75, workloadV2: 0.25})
	}),
	numbered("TS-1.2.10", "The TrafficSplit is changed to 25 for version b and 75 for version c, and both are reached", "TS-11", func(t *conformance.T) {
		t.Apply("ts_grants.yaml", "original_ts_75_25.yaml")
		t.Mixed(toRoot, 4*some, "200 from "+workloadV1, "200 from "+workloadV2)
		t.Apply("original_ts_25_75.yaml")
		t.Mixed(toRoot, 4*some, "200 from "+workloadV1, "200 from "+workloadV2)
	}),
	numbered("TS-1.2.11", "Then 25 of 100 requests reach version b, and 75 version c", "TS-2", func(t *conformance.T) {
		t.Apply("ts_grants.yaml", "original_ts_75_25.yaml")
		t.Apply("original_ts_25_75.yaml")
		t.Shares(toRoot, map[string]float64{workloadV1: 0.25, workloadV2: 0.75})
	}),
}

// originalRoutes are those of HTTPRouteGroups.
var originalRoutes = []*conformance.Case{
	numbered("TSC-1.1.1", "The mesh takes an HTTPRouteGroup and acts by it", "AC-6", func(t *conformance.T) {
		t.Apply("original_tsc_target.yaml")
		t.Denied(aToB.Path("/metrics"))
		t.Apply("original_tsc_path.yaml")
		t.Allowed(aToB.Path("/metrics"))
	}),
	numbered("TSC-1.1.2", "The services run, and an HTTPRouteGroup opens one to the ServiceAccount that was named alone", "ID-1", func(t *conformance.T) {
		t.Apply("original_tsc_target.yaml", "original_tsc_path.yaml")
		t.AllowedAt(aToB.Path("/metrics"), workloadServer)
		t.Denied(conformance.Guest.Get("server", 80, "/metrics"))
	}),
	numbered("TSC-1.2.3", "An HTTPRouteGroup that allows one path, with every method, is applied", "SP-4", func(t *conformance.T) {
		t.Apply("original_tsc_target.yaml", "original_tsc_path.yaml")
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			t.Allowed(aToB.Path("/metrics").Method(method))
		}
	}),
	numbered("TSC-1.2.4", "Then this path is allowed, and no other", "SP-2", func(t *conformance.T) {
		t.Apply("original_tsc_target.yaml", "original_tsc_path.yaml")
		t.Allowed(aToB.Path("/metrics"))
		for _, path := range []string{"/", "/other", "/other/metrics", "/metric", "/?/metrics"} {
			t.Denied(aToB.Path(path))
		}
		t.Denied(aToB.Path("/other").Method("POST"))
	}),
	numbered("TSC-1.2.5", "The HTTPRouteGroup is changed to every path with one method, and that holds", "SP-4", func(t *conformance.T) {
		t.Apply("original_tsc_target.yaml", "original_tsc_path.yaml")
		t.Denied(aToB.Path("/other"))
		t.Apply("original_tsc_method.yaml")
		t.Allowed(aToB.Path("/other"))
		t.Denied(aToB.Path("/metrics").Method("POST"))
	}),
	numbered("TSC-1.2.6", "Then this method is allowed, and no other", "SP-4", func(t *conformance.T) {
		t.Apply("original_tsc_target.yaml", "original_tsc_method.yaml")
		for _, path := range []string{"/", "/other", "/metrics"} {
			t.Allowed(aToB.Path(path))
			for _, method := range []string{"POST", "PUT", "DELETE", "HEAD"} {
				t.Denied(aToB.Path(path).Method(method))
			}
		}
	}),
}
