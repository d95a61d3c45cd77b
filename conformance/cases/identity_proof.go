package cases

import (
	"strings"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/forge"
)

// proofs are the cases of the rules ID-2 and ID-6, on what proves who somebody is:
// a client outside the mesh shows certificates that it must not be believed for,
// and a server inside shows one that is not its own.
var proofs = []*conformance.Case{
	{
		ID: "ID-2-untrusted", Title: "Who speaks TLS and shows no certificate, or one of an unknown root, reaches nothing",
		Rules: []string{"ID-2"}, Features: []conformance.Feature{conformance.Identity, conformance.AccessHTTP, conformance.AccessTCP},
		APIs: []string{accessV1alpha3, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_02_plaintext.yaml")
			id := idOf(t, conformance.Client)
			for _, port := range shownAt {
				t.Allowed(port(conformance.Client))
				untrusted := t.ForgeUntrusted(forge.Valid(id))
				t.Unreached(port(conformance.Stranger).Showing("a certificate of an unknown root", untrusted))
				none := &driver.Credentials{ServerName: untrusted.ServerName}
				t.Unreached(port(conformance.Stranger).Showing("no certificate", none))
			}
		},
	},
	{
		ID: "ID-2-certificate", Title: "A certificate of the mesh proves one account, and within its time",
		Rules: []string{"ID-1", "ID-2"}, Features: []conformance.Feature{conformance.Identity, conformance.AccessHTTP, conformance.AccessTCP},
		APIs: []string{accessV1alpha3, specsV1alpha4}, Needs: []conformance.Ability{conformance.Forging},
		Run: func(t *conformance.T) {
			t.Apply("id_02_plaintext.yaml")
			id := idOf(t, conformance.Client)
			guest := strings.TrimSuffix(id, "/client") + "/guest"
			_, path, _ := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
			valid, another := t.Forge(forge.Valid(id)), t.Forge(forge.Valid(guest))
			stolen := *another
			stolen.ServerName = valid.ServerName
			for _, port := range shownAt {
				shows := func(what string, credentials *driver.Credentials) conformance.Call {
					return port(conformance.Stranger).Showing(what, credentials)
				}
				// What follows is refused for what it says, and not for how it comes.
				t.Allowed(shows("a valid certificate", valid))
				t.Unreached(shows("an expired certificate", t.Forge(forge.Expired(id))))
				t.Unreached(shows("a certificate before its time", t.Forge(forge.Early(id))))
				t.Unreached(shows("another account's certificate", another))
				t.Unreached(shows("another account's certificate to the name of the right one", &stolen))
				t.Unreached(shows("a certificate of another trust domain", t.Forge(forge.Valid("spiffe://another.example/"+path))))
				t.Unreached(shows("a certificate of two accounts", t.Forge(forge.Valid(id, guest))))
				t.Unreached(shows("a certificate of nobody", t.Forge(forge.Valid())))
			}
		},
	},
	{
		ID: "ID-6-impostor", Title: "A server that proves another account of the mesh than its pod has gets nothing",
		Rules: []string{"ID-6"}, Features: []conformance.Feature{conformance.Identity, conformance.AccessHTTP, conformance.AccessTCP},
		APIs: []string{accessV1alpha3, specsV1alpha4}, Needs: []conformance.Ability{conformance.Impersonation},
		Run: func(t *conformance.T) {
			const server = "smi-apps/impostor"
			t.Apply("id_06_impostor.yaml")
			request := func(w conformance.Workload) conformance.Call { return w.Get("empty", 80, "/") }
			connection := func(w conformance.Workload) conformance.Call { return w.TCP("empty", 9000) }
			// Each client but the first meets the server when it is somebody else, as the
			// connections that a proxy has already were made with whom it expected.
			t.AllowedAt(request(conformance.Guest), server)
			t.AllowedAt(connection(conformance.Guest), server)
			t.Impersonate(server, workloadV1)
			for _, call := range []conformance.Call{request(conformance.Client), connection(conformance.Client)} {
				t.Answered(call, "no answer of an application", func(a *driver.Answer) string {
					if a.Pod != "" {
						return "the impostor got it"
					}
					return ""
				})
			}
			t.Impersonate(server, server)
			t.AllowedAt(request(conformance.Client), server)
			t.AllowedAt(connection(conformance.Client), server)
		},
	},
}

// shownAt are the ports at which certificates are tried: one that speaks HTTP, one
// for connections, and one that declares nothing.
var shownAt = []func(conformance.Workload) conformance.Call{
	func(w conformance.Workload) conformance.Call { return w.Get("server", 80, "/") },
	func(w conformance.Workload) conformance.Call { return w.TCP("server", 9000) },
	func(w conformance.Workload) conformance.Call { return w.Get("server", 9090, "/") },
}

// idOf is the SPIFFE id of a workload, as a server is told it.
func idOf(t *conformance.T, w conformance.Workload) string {
	id := ""
	t.Answered(w.Get("server", 80, "/"), "an answer to the caller's SPIFFE id", func(a *driver.Answer) string {
		if a.Seen != nil {
			id = t.Principal(a.Seen)
		}
		if !strings.HasPrefix(id, "spiffe://") {
			return "it was told of nobody"
		}
		return ""
	})
	return id
}
