package cases

import (
	"time"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
)

// The bounds of AC-17: for the next request, and for what is open.
const (
	refusedWithin = time.Second
	closesWithin  = 30 * time.Second
)

// The connections that lasting opens, by the names of their sessions.
const (
	lastingStream    = "stream"
	lastingWebSocket = "websocket"
	lastingTCP       = "connection"
)

// lasting opens what stays open at the vault, and returns a request over a
// connection that is kept alive.
func lasting(t *conformance.T, w conformance.Workload) conformance.Call {
	t.Allowed(w.Get("vault", 80, "/stream?seconds=600").On(lastingStream).Stream())
	t.Allowed(w.Get("vault", 80, "/ws").WebSocket().On(lastingWebSocket))
	t.Allowed(w.TCP("vault", 9000).On(lastingTCP).Body("echo\n"))
	alive(t, w)
	again := w.Get("vault", 80, "/again").On("kept alive")
	t.Allowed(again)
	t.Allowed(again)
	return again
}

// alive expects what lasting opened to be open and of use.
func alive(t *conformance.T, w conformance.Workload) {
	t.Flowing(w, lastingStream)
	t.Open(w, lastingWebSocket)
	t.Answered(w.TCP("vault", 9000).On(lastingTCP).Body("echo\n"), "an echo", func(a *driver.Answer) string {
		if a.Body != "echo" {
			return "none came"
		}
		return ""
	})
}

// loseMost takes most from Client, who keeps a little.
func loseMost(t *conformance.T) {
	t.Apply("ac_17_withdrawn.yaml")
	again := lasting(t, conformance.Client)
	t.Apply("ac_17_withdrawn_2.yaml")
	t.DeniedWithin(refusedWithin, again)
	t.DeniedWithin(refusedWithin, conformance.Client.TCP("vault", 9000))
	t.Allowed(conformance.Client.Get("vault", 80, "/little"))
	t.ClosedWithin(closesWithin, conformance.Client, lastingStream, lastingWebSocket, lastingTCP)
	t.Allowed(conformance.Client.Get("vault", 80, "/little"))
}

// keepAll adds to what Guest has and takes all from OtherClient. When OtherClient's
// connections are closed, whatever closes by mistake has had its time as well.
func keepAll(t *conformance.T) {
	t.Apply("ac_17_kept.yaml")
	keeps, loses := lasting(t, conformance.Guest), lasting(t, conformance.OtherClient)
	t.Apply("ac_17_kept_2.yaml")
	alive(t, conformance.Guest)
	t.Allowed(keeps)
	t.Apply("ac_17_kept_3.yaml")
	t.DeniedWithin(refusedWithin, loses)
	t.Allowed(keeps)
	t.ClosedWithin(closesWithin, conformance.OtherClient, lastingStream, lastingWebSocket, lastingTCP)
	alive(t, conformance.Guest)
	t.Allowed(keeps)
}
