package cases

import (
	"fmt"
	"strings"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
)

// accessAnswers are the cases of AC-12 and AC-13: how a denial looks, and who
// judges.
var accessAnswers = []*conformance.Case{
	{
		ID: "AC-12-http", Title: "A denied request gets 403 with a short body in plain text",
		Rules: []string{"AC-12"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.WebSocket}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_12_denied.yaml")
			call := conformance.Client.Get("server", 80, "/rates")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			deniedInText(t, call)
			deniedInText(t, call.Method("POST").Body("text"))
			deniedInText(t, call.Direct())
			deniedInText(t, call.HTTP2())
			deniedInText(t, conformance.Client.Get("server", 80, "/ws").WebSocket())
		},
	},
	{
		ID: "AC-12-grpc", Title: "A denied gRPC call gets PERMISSION_DENIED",
		Rules: []string{"AC-12"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.GRPC}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_12_denied.yaml")
			t.Denied(conformance.Client.GRPC("server", 8082, conformance.SayMethod))
			t.Denied(conformance.Guest.GRPC("server", 8082, conformance.SayMethod))
			t.Allowed(conformance.OtherClient.GRPC("server", 8082, conformance.SayMethod))
			deniedInGRPC(t, conformance.Client)
			deniedInGRPC(t, conformance.Guest)
		},
	},
	{
		ID: "AC-12-connection", Title: "A denied connection is closed, and the greeting of a server that speaks first does not leak",
		Rules: []string{"AC-12"}, Features: connections, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_12_denied.yaml")
			t.Allowed(conformance.Guest.TCP("server", 9001).Silent())
			t.Denied(conformance.Guest.TCP("server", 9000))
			t.Allowed(conformance.Client.TCP("server", 9000))
			t.Denied(conformance.Client.TCP("server", 9001).Silent())
			t.Denied(conformance.Client.TCP("server", 9001))
		},
	},
	{
		ID: "AC-12-without-grant", Title: "A client of the mesh without any grant gets the same answers as one with another grant",
		Rules: []string{"AC-12"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.GRPC}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_03_union.yaml")
			call := conformance.Guest.Get("server", 80, "/books")
			deniedInText(t, call)
			deniedInText(t, call.Direct())
			deniedInText(t, call.HTTP2())
			deniedInText(t, conformance.Guest.Get("server", 8081, "/books"))
			t.Denied(conformance.Guest.GRPC("server", 8082, conformance.SayMethod))
			t.Denied(conformance.Guest.TCP("server", 9000))
			t.Denied(conformance.Guest.TCP("server", 9001).Silent())
			// Nobody else is denied with it.
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
		},
	},
	{
		ID: "AC-12-counted", Title: "Denials are counted by source and destination, and neither successes nor failures are",
		Rules: []string{"AC-12"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.DenialMetrics},
		APIs: accessAPIs, Run: countedDenials,
	},
	{
		ID: "AC-13-shared", Title: "Services in front of pods of one account share what is granted there",
		Rules: []string{"AC-13"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_13_judged.yaml")
			for _, service := range []string{"v1", "stable"} {
				t.AllowedAt(conformance.Client.Get(service, 80, "/books"), "smi-apps/v1")
				t.AllowedAt(conformance.Client.TCP(service, 9000), "smi-apps/v1")
				t.Denied(conformance.Client.Get(service, 80, "/rates"))
				t.Denied(conformance.Guest.Get(service, 80, "/books"))
				t.Denied(conformance.Guest.TCP(service, 9000))
			}
		},
	},
	{
		ID: "AC-13-several", Title: "Pods of several accounts behind one Service are each judged by their own",
		Rules: []string{"AC-13"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_13_judged.yaml")
			t.Allowed(conformance.Client.Get("v1", 80, "/books"))
			t.Denied(conformance.Client.Get("v2", 80, "/books"))
			openedAtV1(t)
			t.Denied(conformance.Guest.Get("root", 80, "/books"))
		},
	},
}

// openedAtV1 expects version 1 to serve Client behind the root, and version 2,
// where nothing is granted, to deny it. Which of them a request meets is up to the
// mesh.
func openedAtV1(t *conformance.T) {
	t.AllowedAt(conformance.Client.Get("v1", 80, "/books"), workloadV1)
	t.Only(conformance.Client.Get("root", 80, "/books"), some, "200 from "+workloadV1, "403")
	t.AllowedAt(conformance.Client.TCP("v1", 9000), workloadV1)
	t.Only(conformance.Client.TCP("root", 9000), some, "bytes from "+workloadV1, "closed")
	t.AllowedAt(conformance.Client.TCP("v1", 9000), workloadV1)
}

// shortBody is what a denial's body may have, in bytes.
const shortBody = 1 << 10

// deniedInText expects a denial whose body is short and plain text.
func deniedInText(t *conformance.T, c conformance.Call) {
	t.DeniedWith(c, "a denial with a short body in plain text", func(a *driver.Answer) string {
		kind := strings.Join(a.Header["content-type"], ", ")
		if kind != "text/plain" && !strings.HasPrefix(kind, "text/plain;") {
			return fmt.Sprintf("the body of the denial is of the type %q and not text/plain", kind)
		}
		if n := len(a.Body); n == 0 || n > shortBody {
			return fmt.Sprintf("the body of the denial has %d bytes and not 1 to %d", n, shortBody)
		}
		return ""
	})
}

// deniedInGRPC expects a denial that states the code itself: gRPC's clients make
// PERMISSION_DENIED of a plain 403 as well, so that they do not show it.
func deniedInGRPC(t *conformance.T, w conformance.Workload) {
	call := w.Get("server", 8082, conformance.SayMethod).HTTP2().Method("POST").
		Header("content-type", "application/grpc").Header("te", "trailers")
	t.Answered(call, "200 with grpc-status 7", func(a *driver.Answer) string {
		if a.Status != 200 || a.Pod != "" || strings.Join(a.Header["grpc-status"], ",") != "7" {
			return "another answer, with grpc-status " + strings.Join(a.Header["grpc-status"], ",")
		}
		return ""
	})
}

// countedDenials asks in the name of the control client, and of a client at a
// destination that no other case denies it, so that nobody else's denials are
// counted late among them.
func countedDenials(t *conformance.T) {
	const server, elsewhere = "smi-apps/server", "smi-apps/v2"
	before := t.Denials(conformance.Control, server)
	beforeOther := t.Denials(conformance.OtherClient, elsewhere)
	t.Apply("ac_12_counted.yaml")
	// Far more than are denied, and before those: as counts arrive bit by bit, a few
	// that are counted wrongly could look like the right number for a moment.
	t.Mixed(conformance.Control.Get("server", 80, "/control"), 20, "200 from "+server)
	t.Mixed(conformance.Control.Get("server", 80, "/status/503"), 20, "503 from "+server)
	t.Denied(conformance.Control.Get("server", 80, "/books"))
	t.Denied(conformance.Control.Get("server", 8081, "/books"))
	t.Denied(conformance.Control.TCP("server", 9090))
	// Without any grant, the client's side may be the one that refuses and counts.
	t.Denied(conformance.OtherClient.Get("v2", 80, "/books"))
	t.Denied(conformance.OtherClient.TCP("v2", 9000))
	t.DenialsReach(conformance.Control, server, before+3)
	t.DenialsReach(conformance.OtherClient, elsewhere, beforeOther+2)
	// What was counted too much may come late. Behind it comes what is denied now by
	// those who have counted so far: the server, and the client's own side.
	alsoCounted(t, conformance.OtherClient, server, conformance.OtherClient.Get("server", 80, "/books"))
	alsoCounted(t, conformance.OtherClient, workloadV1, conformance.OtherClient.Get("v1", 80, "/books"))
	t.DenialsReach(conformance.Control, server, before+3)
	t.DenialsReach(conformance.OtherClient, elsewhere, beforeOther+2)
}

// alsoCounted expects one more denial to be counted.
func alsoCounted(t *conformance.T, source conformance.Workload, destination string, c conformance.Call) {
	before := t.Denials(source, destination)
	t.Denied(c)
	t.DenialsReach(source, destination, before+1)
}
