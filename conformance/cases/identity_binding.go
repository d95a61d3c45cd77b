package cases

import "github.com/smi-project/smi/conformance"

// bindings are the cases of the rules about IdentityBindings.
var bindings = []*conformance.Case{
	{
		ID: "ID-4-account", Title: "A binding of an account as source means this account alone",
		Rules: []string{"ID-4"}, Features: []conformance.Feature{conformance.IdentityBinding, conformance.AccessHTTP},
		APIs: []string{accessV1alpha4, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_04_account.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/"))
			t.Denied(conformance.Guest.Get("server", 80, "/"))
			t.Denied(conformance.OtherClient.Get("server", 80, "/"))
		},
	},
	{
		ID: "ID-4-union", Title: "A binding means the union of its schemes",
		Rules: []string{"ID-4"}, Features: []conformance.Feature{conformance.IdentityBinding, conformance.AccessHTTP},
		APIs: []string{accessV1alpha4, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_04_union.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/"))
			t.Allowed(conformance.Guest.Get("server", 80, "/"))
			t.Denied(conformance.OtherClient.Get("server", 80, "/"))
		},
	},
	{
		ID: "ID-4-ids", Title: "SPIFFE ids need no scheme; those of other namespaces and untrusted domains contribute nothing",
		Rules: []string{"ID-4"}, Features: []conformance.Feature{conformance.IdentityBinding, conformance.AccessHTTP},
		APIs: []string{accessV1alpha4, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_04_ids.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/bare"))
			t.Denied(conformance.Guest.Get("server", 80, "/bare"))
			t.Allowed(conformance.Guest.Get("server", 80, "/foreign"))
			t.Denied(conformance.OtherClient.Get("server", 80, "/foreign"))
			t.Denied(conformance.Client.Get("server", 80, "/foreign"))
			t.Allowed(conformance.Guest.Get("server", 80, "/untrusted"))
			t.Denied(conformance.Client.Get("server", 80, "/untrusted"))
		},
	},
	{
		ID: "ID-4-destination", Title: "A binding as destination opens the account that it means, and no other",
		Rules: []string{"ID-4"}, Features: []conformance.Feature{conformance.IdentityBinding, conformance.AccessHTTP},
		APIs: []string{accessV1alpha4, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_04_destination.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/"))
			t.Denied(conformance.Guest.Get("server", 80, "/"))
			t.Denied(conformance.Client.Get("v1", 80, "/"))
			t.Denied(conformance.Client.Get("server.smi-other", 80, "/"))
		},
	},
	{
		ID: "ID-4-void", Title: "An empty selector, or one beside an account, voids the whole binding",
		Rules: []string{"ID-4"}, Features: []conformance.Feature{conformance.IdentityBinding, conformance.AccessHTTP},
		APIs: []string{accessV1alpha4, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_04_void.yaml")
			t.TryApply("id_04_void_empty.yaml")
			t.TryApply("id_04_void_both.yaml")
			for _, w := range []conformance.Workload{conformance.Client, conformance.Guest} {
				t.Allowed(w.Get("server", 80, "/valid"))
				t.Denied(w.Get("server", 80, "/empty"))
				t.Denied(w.Get("server", 80, "/both"))
			}
		},
	},
	{
		ID: "ID-5-selector", Title: "A selector means the accounts all of whose pods it covers",
		Rules: []string{"ID-5"}, Features: []conformance.Feature{conformance.IdentityBinding, conformance.AccessHTTP},
		APIs: []string{accessV1alpha4, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_05_selector.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/clients"))
			t.Denied(conformance.Guest.Get("server", 80, "/clients"))
			t.Denied(conformance.OtherClient.Get("server", 80, "/clients"))
			t.Denied(conformance.Client.Get("server", 80, "/none"))
			t.Denied(conformance.Guest.Get("server", 80, "/none"))
		},
	},
	{
		ID: "ID-5-partial", Title: "A selector that covers some pods of an account only grants it nothing",
		Rules: []string{"ID-5"}, Features: []conformance.Feature{conformance.IdentityBinding, conformance.AccessHTTP},
		APIs: []string{accessV1alpha4, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("id_05_selector.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/clients"))
			t.Apply("id_05_selector_2.yaml")
			t.Denied(conformance.Client.Get("server", 80, "/clients"))
			t.Remove("Deployment", "odd")
			t.Allowed(conformance.Client.Get("server", 80, "/clients"))
		},
	},
}
