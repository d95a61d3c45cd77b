package cases

import (
	"strings"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
)

// protocol are the cases of the rules PR-1 to PR-3.
var protocol = []*conformance.Case{
	{
		ID: "PR-1-names", Title: "A Service port's name declares what it speaks, alone or before a hyphen",
		Rules: []string{"PR-1", "AC-10"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_01_names.yaml")
			speaks(t, 8081, neverHTTP)  // tcp
			speaks(t, 8082, neverHTTP)  // https-web
			speaks(t, 9090, alwaysHTTP) // http2-x
			t.Apply("pr_01_names_2.yaml")
			speaks(t, 8081, undeclared) // httpx
			speaks(t, 8082, undeclared) // web-http
			speaks(t, 9090, alwaysHTTP) // grpc
			t.Apply("pr_01_names_3.yaml")
			speaks(t, 8081, neverHTTP)  // tls-http
			speaks(t, 8082, neverHTTP)  // udp-http
			speaks(t, 9090, alwaysHTTP) // http
		},
	},
	{
		ID: "PR-1-app-protocol", Title: "appProtocol outranks the port's name, unless its value is unknown",
		Rules: []string{"PR-1", "AC-10"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_01_app_protocol.yaml")
			speaks(t, 8081, neverHTTP)  // kubernetes.io/wss, named http-a
			speaks(t, 8082, alwaysHTTP) // kubernetes.io/ws, named tcp-b
			speaks(t, 9090, undeclared) // unknown, and its name declares nothing
			t.Apply("pr_01_app_protocol_2.yaml")
			speaks(t, 8081, neverHTTP)  // tcp, named http-a
			speaks(t, 8082, alwaysHTTP) // kubernetes.io/h2c, named tcp-b
			speaks(t, 9090, alwaysHTTP) // http, named tcp-c
			t.Apply("pr_01_app_protocol_3.yaml")
			speaks(t, 8081, neverHTTP)  // https, named http-a
			speaks(t, 8082, alwaysHTTP) // grpc, named tcp-b
			speaks(t, 9090, alwaysHTTP) // unknown, named http-c
			t.Apply("pr_01_app_protocol_4.yaml")
			speaks(t, 8081, neverHTTP)  // tls, named http-a
			speaks(t, 8082, alwaysHTTP) // http2, named tcp-b
			speaks(t, 9090, neverHTTP)  // udp, named http-c
		},
	},
	{
		ID: "PR-1-two-services", Title: "A pod's port that two Services declare differently is TCP; silence contradicts nobody",
		Rules: []string{"PR-1"}, Features: bothKinds, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Allowed(conformance.Control.Get("server", 8081, "/control"))
			t.Apply("pr_01_two_services.yaml")
			// 8081 is TCP by now, so that requests open nothing there.
			unreached(t, conformance.Client.Get("server", 8081, "/"))
			// gRPC and HTTP/1.1 are both HTTP.
			t.Allowed(conformance.Client.Get("server", 8082, "/"))
			t.Allowed(conformance.Client.GRPC("server", 8082, conformance.SayMethod))
			// What the other Service says of 9090 holds, so that bytes stay out
			// although a TCPRoute opens the port.
			t.Allowed(conformance.Client.Get("server", 9090, "/"))
			begins(t, conformance.Client.TCP("server", 9090), badRequest)
			t.Apply("pr_01_two_services_2.yaml")
			t.Allowed(conformance.Client.Get("server", 8081, "/"))
		},
	},
	{
		ID: "PR-2-bytes", Title: "On a port that declares nothing, the first bytes of each connection decide",
		Rules:    []string{"PR-2", "AC-10"},
		Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.Sniffing}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_02_requests.yaml")
			t.Allowed(conformance.Client.Get("server", 9090, "/red"))
			t.Allowed(conformance.Client.Get("server", 9090, "/red").HTTP2())
			t.Denied(conformance.Client.Get("server", 9090, "/blue"))
			t.Denied(conformance.Client.Get("server", 9090, "/blue").HTTP2())
			t.Denied(conformance.Client.TCP("server", 9090))
			t.Apply("pr_02_connections.yaml")
			t.Allowed(conformance.Client.TCP("server", 9090))
			t.Allowed(conformance.Client.Get("server", 9090, "/blue"))
			t.Denied(conformance.Guest.TCP("server", 9090))
		},
	},
	{
		ID: "PR-2-greeting", Title: "A server that speaks first is heard on an undeclared port, by nobody without a grant",
		Rules: []string{"PR-2", "AC-12"}, Features: []conformance.Feature{conformance.AccessTCP, conformance.Sniffing}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_02_greeting.yaml")
			t.Allowed(conformance.Client.TCP("server", 9001).Silent())
			t.Denied(conformance.Guest.TCP("server", 9001).Silent())
		},
	},
	{
		ID: "PR-2-usual-ports", Title: "An undeclared port on which servers usually speak first is TCP",
		Rules:    []string{"PR-2"},
		Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP, conformance.Sniffing}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_02_usual.yaml")
			t.Allowed(conformance.Client.Get("usual", 8307, "/"))
			unreached(t, conformance.Client.Get("usual", 8306, "/"))
			t.Apply("pr_02_usual_2.yaml")
			t.Allowed(conformance.Client.Get("usual", 8306, "/"))
		},
	},
	{
		ID: "PR-3-versions", Title: "HTTP/1.1, HTTP/2 and gRPC are judged alike",
		Rules: []string{"PR-3"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.GRPC}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_03_versions.yaml")
			for _, port := range []uint16{80, 8082} {
				t.Allowed(conformance.Client.Get("server", port, "/red"))
				t.Allowed(conformance.Client.Get("server", port, "/red").HTTP2())
				t.Allowed(conformance.Client.GRPC("server", port, conformance.SayMethod))
				t.Denied(conformance.Client.Get("server", port, "/blue"))
				t.Denied(conformance.Client.Get("server", port, "/blue").HTTP2())
				t.Denied(conformance.Guest.GRPC("server", port, conformance.SayMethod))
			}
		},
	},
	{
		ID: "PR-3-websocket", Title: "An upgrade to WebSocket passes as the GET request that it is",
		Rules: []string{"PR-3"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.WebSocket}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_03_upgrades.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/ws").WebSocket())
			t.Denied(conformance.Client.Get("server", 80, "/other").WebSocket())
			// Guest may send anything but GET.
			t.Allowed(conformance.Guest.Get("server", 80, "/other").Method("POST"))
			t.Denied(conformance.Guest.Get("server", 80, "/ws").WebSocket())
		},
	},
	{
		ID: "PR-3-refused", Title: "Other upgrades and CONNECT are refused, whatever is granted",
		Rules: []string{"PR-3"}, Features: []conformance.Feature{conformance.AccessHTTP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("pr_03_upgrades.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/ws").WebSocket())
			upgrade := conformance.Client.Get("server", 80, "/ws/plain").Header("connection", "upgrade")
			unreached(t, upgrade.Header("upgrade", "example/1"))
			unreached(t, upgrade.Header("upgrade", "TLS/1.2"))
			// To pass the request on as one that asks for nothing is as good.
			t.Answered(upgrade.Header("upgrade", "h2c"), "no upgrade", func(a *driver.Answer) string {
				if a.Status == 101 || a.Seen != nil && a.Seen.Headers["upgrade"] != nil {
					return "it reached the application"
				}
				return ""
			})
			unreached(t, conformance.Guest.Get("server", 80, "server.smi-apps:80").Method("CONNECT"))
			unreached(t, conformance.Guest.Get("server", 80, "server.smi-apps:80").Method("CONNECT").Direct())
		},
	},
}

// What a port is taken for.
type spoken string

const (
	alwaysHTTP spoken = "HTTP"
	neverHTTP  spoken = "TCP"
	undeclared spoken = "what the first bytes are"
)

// speaks expects a port of the server to be taken for what it declares. The
// client may send every request and open no connection (AC-10), so that only on
// ports that speak HTTP a request is answered, and only where nothing but HTTP is
// spoken other bytes get 400.
func speaks(t *conformance.T, port uint16, as spoken) {
	request, bytes := served, badRequest
	switch as {
	case neverHTTP:
		request, bytes = "", ""
	case undeclared:
		bytes = ""
	}
	begins(t, conformance.Client.TCP("server", port).Body("GET / HTTP/1.1\r\nHost: server.smi-apps\r\n\r\n"), request)
	begins(t, conformance.Client.TCP("server", port), bytes)
}

// How answers over HTTP/1.1 begin.
const (
	served     = "HTTP/1.1 200"
	badRequest = "HTTP/1.1 400"
)

// begins expects what comes over a connection to begin like that, and nothing to
// come where that is empty.
func begins(t *conformance.T, c conformance.Call, like string) {
	wanted := "an answer that begins with " + like
	if like == "" {
		wanted = "a connection closed without a byte"
	}
	t.Answered(c, wanted, func(a *driver.Answer) string {
		if like == "" && !a.Closed || !strings.HasPrefix(a.Body, like) {
			return "another answer"
		}
		return ""
	})
}
