//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/smi-project/smi/conformance/driver"
)

// TestStreams keeps streams open while policies come and go that do not concern
// them.
func TestStreams(t *testing.T) {
	const ns = "e2e-streams"
	here.namespace(t, ns, meshed())
	here.apply(t, workload{namespace: ns, name: "client"}.yaml()+workload{namespace: ns, name: "guest"}.yaml()+
		workload{namespace: ns, name: "server", ports: []string{"http:8080"}}.yaml()+
		allow(ns, "server", ns+"/client"))
	here.running(t, ns)
	client, guest := here.sender(t, ns, "client"), here.sender(t, ns, "guest")
	served := "200 from " + ns + "/server"
	client.gets(t, served, get("server."+ns, 8080, "/"))
	stream := get("server."+ns, 8080, "/stream?seconds=600")
	stream.Session, stream.Stream = "stream", true
	client.gets(t, served, stream)
	upgraded := driver.Request{Protocol: driver.WebSocket, Host: "server." + ns, Port: 8080, Path: "/ws", Session: "socket"}
	client.gets(t, "101 from "+ns+"/server", upgraded)

	here.apply(t, allow(ns, "server", ns+"/client", ns+"/guest"))
	guest.gets(t, served, get("server."+ns, 8080, "/"))
	here.apply(t, allow(ns, "server", ns+"/client"))
	guest.gets(t, "403", get("server."+ns, 8080, "/"))

	for _, session := range []string{"stream", "socket"} {
		if state, err := client.client.Session(t.Context(), session); err != nil || !state.Open {
			t.Errorf("the %s is %+v (%v)", session, state, err)
		}
	}
	before, err := client.client.Session(t.Context(), "stream")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream goes on", func(ctx context.Context) string {
		now, err := client.client.Session(ctx, "stream")
		if err != nil {
			t.Fatal(err)
		}
		if now.Bytes <= before.Bytes {
			return fmt.Sprintf("%d bytes have come", now.Bytes)
		}
		return ""
	})
}

// TestUDP sends datagrams to a strict pod, which are dropped whoever sends them, and
// to one outside the mesh, which are answered.
func TestUDP(t *testing.T) {
	const ns = "e2e-udp"
	out := map[string]string{"smi-spec.io/inject": "disabled"}
	here.namespace(t, ns, meshed())
	here.apply(t, workload{namespace: ns, name: "client"}.yaml()+
		workload{namespace: ns, name: "stranger", podLabels: out}.yaml()+
		workload{namespace: ns, name: "server", args: []string{"-http=8080", "-udp=9053"}, ports: []string{"http:8080"}}.yaml()+
		workload{namespace: ns, name: "plain", podLabels: out, args: []string{"-http=8080", "-udp=9053"}, ports: []string{"http:8080"}}.yaml())
	here.running(t, ns)
	for _, from := range []string{"client", "stranger"} {
		for to, want := range map[string]string{"server": "timeout", "plain": "bytes from " + ns + "/plain"} {
			t.Run(from+" to "+to, func(t *testing.T) {
				at := here.pod(t, ns, "app="+to).Status.PodIP
				here.sender(t, ns, from).gets(t, want, driver.Request{Protocol: driver.UDP, Host: at, Port: 9053})
			})
		}
		// DNS is UDP too, and its answers are heard.
		t.Run("DNS for "+from, func(t *testing.T) {
			here.sender(t, ns, from).gets(t, "200 from "+ns+"/plain", get("plain."+ns, 8080, "/"))
		})
	}
}
