package cases

import "github.com/smi-project/smi/conformance"

// versions are the cases about API versions. What traffic can show of them today
// is that two versions of one group mean the same, and add up; that every version
// is served (VE-1) it cannot show while some are not read.
var versions = []*conformance.Case{
	{
		ID: "AC-3-versions", Title: "A TrafficTarget means the same in v1alpha3 and in v1alpha4",
		Rules: []string{"AC-3", "AC-6", "AC-8", "AC-9"}, Features: []conformance.Feature{conformance.AccessHTTP, conformance.AccessTCP},
		APIs: []string{accessV1alpha3, accessV1alpha4, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("ve_routes.yaml", "ve_v1alpha3.yaml")
			grantedByVersion(t)
			t.Remove("TrafficTarget", "requests")
			t.Remove("TrafficTarget", "connections")
			t.Denied(conformance.Client.Get("server", 80, "/books"))
			t.Apply("ve_v1alpha4.yaml")
			grantedByVersion(t)
		},
	},
	{
		ID: "AC-3-mixed-versions", Title: "TrafficTargets of several versions add up",
		Rules: []string{"AC-3"}, Features: []conformance.Feature{conformance.AccessHTTP},
		APIs: []string{accessV1alpha3, accessV1alpha4, specsV1alpha4},
		Run: func(t *conformance.T) {
			t.Apply("ve_routes.yaml", "ve_mixed.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/books"))
			t.Allowed(conformance.Client.Get("server", 80, "/rates"))
			t.Denied(conformance.Client.Get("server", 80, "/other"))
		},
	},
}

// grantedByVersion expects what ve_v1alpha3.yaml and ve_v1alpha4.yaml both say.
func grantedByVersion(t *conformance.T) {
	books := conformance.Client.Get("server", 80, "/books")
	t.Allowed(books)
	t.Allowed(conformance.OtherClient.Get("server", 80, "/books"))
	t.Allowed(conformance.Client.TCP("server", 9000))
	t.Denied(books.Path("/rates"))
	t.Denied(books.Method("POST"))
	// The TCPRoute beside the group keeps it to another port than this one.
	t.Denied(conformance.Client.Get("server", 8081, "/books"))
	t.Denied(conformance.Guest.Get("server", 80, "/books"))
	t.Denied(conformance.OtherClient.TCP("server", 9000))
}
