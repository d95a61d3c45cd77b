package cases

import (
	"strings"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
)

// accessModes are the cases of AC-16 to AC-18: modes, withdrawals, and ports for
// peers without identity.
var accessModes = []*conformance.Case{
	{
		ID: "AC-16-permissive", Title: "A permissive namespace serves everybody, and meshed peers by mutual TLS",
		Rules: []string{"AC-16"}, Features: modes,
		Run: func(t *conformance.T) { servesAll(t, "ac_16_permissive.yaml") },
	},
	{
		ID: "AC-16-audit", Title: "A namespace in audit mode serves everybody, and meshed peers by mutual TLS",
		Rules: []string{"AC-16"}, Features: modes,
		Run: func(t *conformance.T) { servesAll(t, "ac_16_audit.yaml") },
	},
	{
		ID: "AC-16-strict", Title: "A namespace that was permissive and becomes strict denies what nothing allows",
		Rules: []string{"AC-16"}, Features: modes, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_16_permissive.yaml")
			t.Allowed(conformance.Guest.Get("server.smi-other", 80, "/books"))
			t.Allowed(conformance.Stranger.Get("server.smi-other", 80, "/books"))
			t.Apply("ac_16_strict.yaml")
			servesGranted(t)
		},
	},
	{
		ID: "AC-16-unknown", Title: "A mode that is none of the three means strict",
		Rules: []string{"AC-16"}, Features: modes, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("ac_16_unknown.yaml")
			servesGranted(t)
		},
	},
	{
		ID: "AC-17-withdrawn", Title: "What is withdrawn stops at once on open connections, and closes within 30 s what it alone carried",
		Rules: []string{"AC-17"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.WebSocket},
		APIs: accessAPIs, Slow: true, Run: loseMost,
	},
	{
		ID: "AC-17-kept", Title: "A grant that is added, or that somebody else loses, closes no connection",
		Rules: []string{"AC-17"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.WebSocket},
		APIs: accessAPIs, Slow: true, Run: keepAll,
	},
	{
		ID: "AC-18-plaintext-ports", Title: "The annotation opens ports to peers without identity, and to these only",
		Rules: []string{"AC-18"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.PlaintextPorts},
		APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Unreached(conformance.Stranger.Get("v2", 80, "/books"))
			t.Apply("ac_18_plaintext.yaml")
			t.Allowed(conformance.Stranger.Get("v2", 80, "/books"))
			t.Allowed(conformance.Stranger.TCP("v2", 9000))
			t.Unreached(conformance.Stranger.Get("v2", 8082, "/books"))
			t.Unreached(conformance.Stranger.TCP("v2", 8082))
			// A meshed peer is judged there as anywhere else.
			t.Allowed(conformance.Client.Get("v2", 80, "/books"))
			t.Denied(conformance.Client.Get("v2", 80, "/rates"))
			t.Denied(conformance.Guest.Get("v2", 80, "/books"))
			t.Denied(conformance.Client.TCP("v2", 9000))
			t.Unreached(conformance.Stranger.Get("server", 80, "/books"))
		},
	},
}

var modes = []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.Modes}

// servesAll expects the other namespace, in a mode that enforces nothing, to serve
// clients without any grant: meshed ones under their identity and plain ones
// without one. Its clients get nothing more than before.
func servesAll(t *conformance.T, mode string) {
	t.Unreached(conformance.Stranger.Get("server.smi-other", 80, "/books"))
	t.Apply(mode)
	for _, w := range []conformance.Workload{conformance.Guest, conformance.Stranger} {
		for _, port := range []uint16{80, 8081} {
			t.Answered(w.Get("server.smi-other", port, "/books"), "an answer to whom the application knows", func(a *driver.Answer) string {
				if a.Seen == nil || a.Status != 200 {
					return "no application answered"
				}
				switch told := t.Principal(a.Seen); {
				case w == conformance.Stranger && told != "":
					return "a plain peer is told as " + told
				case w == conformance.Guest && !strings.HasSuffix(told, "/ns/smi-apps/sa/guest"):
					return "the peer is told as " + told
				}
				return ""
			})
		}
		t.Allowed(w.TCP("server.smi-other", 9000))
		t.Allowed(w.TCP("server.smi-other", 9001).Silent())
	}
	t.Denied(conformance.OtherClient.Get("server", 80, "/books"))
	t.Denied(conformance.OtherClient.TCP("server", 9000))
	t.Unreached(conformance.Stranger.Get("server", 80, "/books"))
}

// servesGranted expects the other namespace to serve the one request that is granted to
// Client there, and nothing else.
func servesGranted(t *conformance.T) {
	t.Allowed(conformance.Client.Get("server.smi-other", 80, "/books"))
	t.Denied(conformance.Client.Get("server.smi-other", 80, "/rates"))
	t.Denied(conformance.Client.TCP("server.smi-other", 9000))
	t.Denied(conformance.Guest.Get("server.smi-other", 80, "/books"))
	t.Unreached(conformance.Stranger.Get("server.smi-other", 80, "/books"))
	t.Unreached(conformance.Stranger.TCP("server.smi-other", 9000))
}
