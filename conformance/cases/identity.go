package cases

import (
	"regexp"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
)

// identity are the cases of the ID rules.
var identity = []*conformance.Case{
	{
		ID: "ID-1-principal", Title: "A server learns which ServiceAccount of which namespace calls",
		Rules: []string{"ID-1"}, Features: []conformance.Feature{conformance.Identity, conformance.AccessHTTP},
		APIs: []string{accessV1alpha3, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_01_principal.yaml")
			calledBy(t, conformance.Client.Get("server", 80, "/"), "smi-apps", "client")
			calledBy(t, conformance.OtherClient.Get("server", 80, "/"), "smi-other", "client")
			calledBy(t, conformance.OtherClient.Get("server", 8081, "/").HTTP2(), "smi-other", "client")
		},
	},
	{
		ID: "ID-1-same-name", Title: "Accounts of one name in two namespaces are two identities",
		Rules: []string{"ID-1"}, Features: []conformance.Feature{conformance.Identity, conformance.AccessHTTP},
		APIs: []string{accessV1alpha3, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_01_same_name.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/own"))
			t.Allowed(conformance.OtherClient.Get("server", 80, "/other"))
			t.Denied(conformance.OtherClient.Get("server", 80, "/own"))
			t.Denied(conformance.Client.Get("server", 80, "/other"))
			t.Denied(conformance.Guest.Get("server", 80, "/own"))
		},
	},
	{
		ID: "ID-1-default", Title: "A pod that names no account runs as the account default",
		Rules: []string{"ID-1"}, Features: []conformance.Feature{conformance.Identity, conformance.AccessHTTP},
		APIs: []string{accessV1alpha3, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_01_default.yaml")
			calledBy(t, conformance.Workload("smi-apps/nameless").Get("server", 80, "/"), "smi-apps", "default")
			t.Denied(conformance.Client.Get("server", 80, "/"))
		},
	},
	{
		ID: "ID-1-subjects", Title: "A subject of another kind, of a group without this kind, or without a name means nobody",
		Rules: []string{"ID-1"}, Features: []conformance.Feature{conformance.Identity, conformance.AccessHTTP},
		APIs: []string{accessV1alpha4, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_01_subjects.yaml")
			t.TryApply("id_01_subjects_kind.yaml")
			t.TryApply("id_01_subjects_group.yaml")
			t.TryApply("id_01_subjects_nameless.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/core"))
			t.Denied(conformance.Client.Get("server", 80, "/kind"))
			t.Denied(conformance.Client.Get("server", 80, "/group"))
			t.Denied(conformance.Client.Get("server", 80, "/nameless"))
		},
	},
	{
		ID: "ID-2-plaintext", Title: "Who proves no identity reaches nothing, whatever is granted to others",
		Rules: []string{"ID-2"}, Features: []conformance.Feature{conformance.Identity, conformance.AccessHTTP, conformance.AccessTCP},
		APIs: []string{accessV1alpha3, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_02_plaintext.yaml")
			everyPort(conformance.Client, t.Allowed)
			everyPort(conformance.Stranger, t.Unreached)
			forged := "By=spiffe://cluster.local/ns/smi-apps/sa/server;URI=spiffe://cluster.local/ns/smi-apps/sa/client"
			t.Unreached(conformance.Stranger.Get("server", 80, "/").Header("x-forwarded-client-cert", forged))
		},
	},
	{
		ID: "ID-3-nobody", Title: "A peer without identity is no source, although a TrafficTarget names its account",
		Rules: []string{"ID-3"}, Features: []conformance.Feature{conformance.Identity, conformance.AccessHTTP, conformance.AccessTCP},
		APIs: []string{accessV1alpha3, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_03_nobody.yaml")
			everyPort(conformance.Client, t.Allowed)
			everyPort(conformance.Stranger, t.Unreached)
		},
	},
	{
		ID: "ID-6-outside", Title: "Endpoints outside the mesh get plain text",
		Rules: []string{"ID-6"}, Features: []conformance.Feature{conformance.Identity},
		Run: func(t *conformance.T) {
			t.Apply("id_06_outside.yaml")
			t.AllowedAt(conformance.Client.Get("plain.smi-outside", 80, "/"), "smi-outside/plain")
		},
	},
	{
		ID: "ID-6-no-way-back", Title: "Calls within the mesh prove who calls, also where plain text would be served",
		Rules: []string{"ID-2", "ID-6"}, Features: []conformance.Feature{conformance.Identity, conformance.Modes},
		Run: func(t *conformance.T) {
			t.Apply("id_06_no_way_back.yaml")
			calledBy(t, conformance.Client.Get("server.smi-other", 80, "/"), "smi-apps", "client")
			calledBy(t, conformance.Stranger.Get("server.smi-other", 80, "/"), "", "")
		},
	},
}

// everyPort asks at each port of the server, as its protocol wants it.
func everyPort(w conformance.Workload, expect func(conformance.Call) *driver.Answer) {
	expect(w.Get("server", 80, "/"))
	expect(w.Get("server", 8081, "/").HTTP2())
	expect(w.GRPC("server", 8082, conformance.SayMethod))
	expect(w.TCP("server", 9000))
	expect(w.TCP("server", 9001))
}

// calledBy expects the application to have been told that this account calls, or
// nobody where the account has no name. The trust domain is the mesh's own.
func calledBy(t *conformance.T, c conformance.Call, namespace, account string) {
	wanted, id := "an answer to nobody", regexp.MustCompile(`^$`)
	if account != "" {
		wanted = "an answer to " + namespace + "/" + account
		id = regexp.MustCompile(`^spiffe://[^/]+/ns/` + namespace + `/sa/` + account + `$`)
	}
	t.Answered(c, wanted, func(a *driver.Answer) string {
		switch {
		case a.Seen == nil:
			return "no application answered"
		case !id.MatchString(t.Principal(a.Seen)):
			return "it was told " + t.Principal(a.Seen)
		}
		return ""
	})
}
