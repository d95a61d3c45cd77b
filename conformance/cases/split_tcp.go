package cases

import (
	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
)

// rootConnection is a connection to the root of most splits.
var rootConnection = conformance.Client.TCP("root", 9000)

// splitsOfTCP are the features of splits of connections.
var splitsOfTCP = []conformance.Feature{conformance.SplitTCP}

// splitTCP say how connections are shared.
var splitTCP = []*conformance.Case{
	{
		ID: "TS-9-connections", Title: "On a TCP port a split shares connections",
		Rules: []string{"TS-9", "TS-2"}, Features: splitsOfTCP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants_tcp.yaml", "ts_09_connections.yaml")
			t.Shares(rootConnection, map[string]float64{workloadV1: 0.9, workloadV2: 0.1})
		},
	},
	{
		ID: "TS-9-matches", Title: "On a TCP port a split with matches is not applied",
		Rules: []string{"TS-9"}, Features: []conformance.Feature{conformance.SplitTCP, conformance.SplitHTTP, conformance.SplitMatches}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_grants_tcp.yaml", "ts_09_matches.yaml")
			t.Always(rootConnection, some, workloadV1)
			t.Always(toRoot, some, workloadServer)
			t.Remove("TrafficSplit", "b-rest")
			t.Only(rootConnection, some, "bytes from "+workloadV1, "bytes from "+workloadV2)
		},
	},
}

// splitJudged say who judges what a split has sent somewhere.
var splitJudged = []*conformance.Case{
	{
		ID: "TS-10-judge", Title: "A split opens no backend: the pod that a request reaches judges it",
		Rules: []string{"TS-10"}, Features: []conformance.Feature{conformance.SplitHTTP, conformance.AccessHTTP}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_10_grants.yaml", "ts_to_v1.yaml")
			t.AllowedAt(toRoot.Path("/books"), workloadV1)
			t.Denied(toRoot.Path("/rates"))
			t.Denied(conformance.Guest.Get("root", 80, "/books"))
			t.Apply("ts_to_v2.yaml")
			t.AllowedAt(toRoot.Path("/rates"), workloadV2)
			t.Denied(toRoot.Path("/books"))
			// What is granted where the split leads is enough, also without any grant at
			// the root's own pods.
			t.Apply("ts_11_to_server.yaml")
			t.AllowedAt(conformance.Guest.Get("root", 80, "/guest"), workloadServer)
			t.Denied(conformance.Guest.Get("root", 80, "/rates"))
		},
	},
	{
		ID: "TS-10-tcp", Title: "A split opens no backend's connections",
		Rules: []string{"TS-10", "TS-9"}, Features: []conformance.Feature{conformance.SplitTCP, conformance.AccessTCP}, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_10_grants.yaml", "ts_to_v1.yaml")
			t.AllowedAt(rootConnection, workloadV1)
			t.Apply("ts_to_v2.yaml")
			t.Denied(rootConnection)
			t.AllowedAt(conformance.Client.TCP("v1", 9000), workloadV1)
		},
	},
}

// The backends of TS-11-long.
const (
	workloadOld = "smi-apps/vault-old"
	workloadNew = "smi-apps/vault-new"
)

// splitChanges say what a change of weights does to what is under way.
var splitChanges = []*conformance.Case{
	{
		ID: "TS-11-requests", Title: "While weights change no request fails, no connection closes, and every request finds the old weights or the new ones",
		Rules: []string{"TS-11"}, Features: splitsOfHTTP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants.yaml", "ts_to_v1.yaml")
			t.Allowed(toRoot.Path("/stream?seconds=600").On("stream").Stream())
			// Version 2 belongs to neither: it would answer if the root served by itself.
			t.During(toRoot.Path("/delay?ms=20"), []string{workloadV1, workloadServer}, func() {
				for range 4 {
					t.Apply("ts_11_to_server.yaml")
					t.Always(toRoot, some, workloadServer)
					t.Apply("ts_to_v1.yaml")
					t.Always(toRoot, some, workloadV1)
				}
			})
			t.Flowing(conformance.Client, "stream")
		},
	},
	{
		ID: "TS-11-connections", Title: "New weights hold for new connections, and close none",
		Rules: []string{"TS-11", "TS-9"}, Features: splitsOfTCP, APIs: splitAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ts_grants_tcp.yaml", "ts_to_v1.yaml")
			held := rootConnection.On("held")
			t.AllowedAt(held, workloadV1)
			t.Apply("ts_to_v2.yaml")
			t.Always(rootConnection, some, workloadV2)
			echoed(t, held)
		},
	},
	{
		ID: "TS-11-long", Title: "Half a minute after a change of weights, what was open before is open still",
		Rules: []string{"TS-11"}, Features: []conformance.Feature{conformance.SplitHTTP, conformance.SplitTCP}, APIs: splitAPIs, Slow: true,
		Run: func(t *conformance.T) {
			t.Apply("ts_11_long.yaml")
			request := conformance.Control.Get("vault-root", 80, "/")
			connection, requests := conformance.Control.TCP("vault-root", 9000).On("held"), request.Path("/delay?ms=3000").On("requests")
			t.Shares(request, map[string]float64{workloadOld: 0.9, workloadNew: 0.1})
			t.Allowed(connection)
			t.Allowed(requests.Path("/"))
			t.Apply("ts_11_long_2.yaml")
			t.Shares(request, map[string]float64{workloadOld: 0.1, workloadNew: 0.9})
			// Requests that last are what passes the time, of which a mesh may take some
			// before it closes what it has replaced.
			for range 12 {
				t.Allowed(requests)
				echoed(t, connection)
			}
			t.Open(conformance.Control, "requests")
		},
	},
}

// echoed expects a connection that has had its first answer to echo what is sent.
func echoed(t *conformance.T, c conformance.Call) {
	// The first line may have been on its way before; the second one was not.
	for range 2 {
		t.Answered(c, "the echo of what is sent", func(a *driver.Answer) string {
			if a.Body != "hello" {
				return "no echo"
			}
			return ""
		})
	}
}
