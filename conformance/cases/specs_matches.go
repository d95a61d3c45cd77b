package cases

import (
	"strconv"
	"strings"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
)

// matching are the cases of the rules SP-4 to SP-9.
var matching = []*conformance.Case{
	{
		ID: "SP-4-methods", Title: "Methods are those listed, in their case; none or * is every method",
		Rules: []string{"SP-4"}, Features: []conformance.Feature{conformance.AccessHTTP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_04_methods.yaml")
			listed := conformance.Client.Get("server", 80, "/listed")
			t.Allowed(listed)
			t.Allowed(listed.Method("POST"))
			for _, method := range []string{"PUT", "HEAD", "OPTIONS", "DELETE"} {
				t.Denied(listed.Method(method))
			}
			for _, method := range []string{"GET", "DELETE", "PATCH", "HEAD", "OPTIONS"} {
				t.Allowed(conformance.Client.Get("server", 80, "/absent").Method(method))
				t.Allowed(conformance.Client.Get("server", 80, "/star").Method(method))
			}
			t.Denied(conformance.Client.Get("server", 80, "/lower"))
			t.Denied(conformance.Client.Get("server", 80, "/lower").HTTP2())
		},
	},
	{
		ID: "SP-5-and", Title: "All conditions of a match must hold, and matches are alternatives",
		Rules: []string{"SP-5"}, Features: headerAccess, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_05_conditions.yaml")
			all := conformance.Client.Get("server", 80, "/all").Method("POST")
			t.Allowed(all.Header("x-a", "1").Header("x-b", "2"))
			t.Denied(all.Header("x-a", "1"))
			t.Denied(all.Header("x-b", "2"))
			t.Denied(all.Header("x-a", "1").Header("x-b", "1"))
			t.Denied(all.Method("GET").Header("x-a", "1").Header("x-b", "2"))
			t.Denied(conformance.Client.Get("server", 80, "/other").Method("POST").Header("x-a", "1").Header("x-b", "2"))
			t.Allowed(conformance.Client.Get("server", 80, "/either"))
			t.Allowed(conformance.Client.Get("server", 80, "/or").Method("PUT"))
			t.Denied(conformance.Client.Get("server", 80, "/or"))
			t.Denied(conformance.Client.Get("server", 80, "/either").Method("PUT"))
		},
	},
	{
		ID: "SP-5-every", Title: "A match without conditions selects every request; a group without matches none",
		Rules: []string{"SP-5"}, Features: []conformance.Feature{conformance.AccessHTTP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_05_every.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/"))
			t.Allowed(conformance.Client.Get("server", 8081, "/x?y=z").Method("DELETE"))
			t.Remove("HTTPRouteGroup", "routes")
			t.TryApply("sp_05_none.yaml")
			t.Denied(conformance.Client.Get("server", 80, "/"))
			t.Denied(conformance.Client.Get("server", 8081, "/x?y=z").Method("DELETE"))
		},
	},
	{
		ID: "SP-6-forms", Title: "Headers are read as a map and as a list; a name that a list has twice must match twice",
		Rules: []string{"SP-6"}, Features: headerAccess, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_06_forms.yaml")
			for _, path := range []string{"/map", "/list"} {
				t.Allowed(conformance.Client.Get("server", 80, path).Header("x-a", "1").Header("x-b", "2"))
				t.Denied(conformance.Client.Get("server", 80, path).Header("x-a", "1"))
				t.Denied(conformance.Client.Get("server", 80, path).Header("x-b", "2"))
				t.Denied(conformance.Client.Get("server", 80, path))
			}
			twice := conformance.Client.Get("server", 80, "/twice")
			t.Allowed(twice.Header("x-a", "a to z"))
			t.Denied(twice.Header("x-a", "a to y"))
			t.Denied(twice.Header("x-a", "b to z"))
		},
	},
	{
		ID: "SP-6-refused", Title: "Headers in neither form, too many or with too long a name grant nothing",
		Rules: []string{"SP-6"}, Features: headerAccess, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_06_bounds.yaml")
			t.TryApply("sp_06_refused_form.yaml")
			t.TryApply("sp_06_refused_item.yaml")
			t.TryApply("sp_06_refused_keys.yaml")
			t.TryApply("sp_06_refused_many.yaml")
			t.TryApply("sp_06_refused_name.yaml")
			for _, path := range []string{"/text", "/item", "/keys"} {
				t.Denied(conformance.Client.Get("server", 80, path).Header("x-a", "1").Header("x-b", "2"))
			}
			many := func(path string) conformance.Call {
				c := conformance.Client.Get("server", 80, path)
				for i := range 65 {
					c = c.Header("h"+strconv.Itoa(i), "1")
				}
				return c
			}
			t.Allowed(many("/many"))
			t.Denied(many("/toomany"))
			t.Allowed(conformance.Client.Get("server", 80, "/name").Header(strings.Repeat("x", 256), "1"))
			t.Denied(conformance.Client.Get("server", 80, "/longname").Header(strings.Repeat("x", 257), "1"))
		},
	},
	{
		ID: "SP-7-target-ports", Title: "A TCPRoute names ports of pods and not of Services",
		Rules: []string{"SP-7"}, Features: []conformance.Feature{conformance.AccessTCP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_07_service_ports.yaml")
			t.Denied(conformance.Client.Get("server", 80, "/"))
			t.Denied(conformance.Client.TCP("server", 9000))
			t.Apply("sp_07_target_ports.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/"))
			t.Allowed(conformance.Client.TCP("server", 9000))
			t.Denied(conformance.Client.Get("server", 8081, "/"))
			t.Denied(conformance.Client.TCP("server", 9001).Silent())
		},
	},
	{
		ID: "SP-7-all", Title: "A TCPRoute without ports means all of them; one whose numbers are no ports means none",
		Rules: []string{"SP-7"}, Features: []conformance.Feature{conformance.AccessTCP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			if t.TryApply("sp_07_no_ports.yaml") {
				t.Denied(conformance.Client.Get("server", 80, "/"))
				t.Denied(conformance.Client.TCP("server", 9000))
			}
			t.Apply("sp_07_all.yaml")
			everyPort(conformance.Client, t.Allowed)
			t.Denied(conformance.Guest.TCP("server", 9000))
		},
	},
	{
		ID: "SP-7-sidecar", Title: "No rule and no Service opens the sidecar's own ports",
		Rules: []string{"SP-7"}, Features: []conformance.Feature{conformance.AccessTCP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_07_sidecar.yaml")
			t.Allowed(conformance.Client.Get("server", 80, "/"))
			connectionsFail(t, 8081, 8082, 9090, 9000, 9001)
			t.Apply("sp_07_sidecar_2.yaml")
			connectionsFail(t, 9090, 9000, 9001)
			unreached(t, conformance.Client.Get("server", 8081, "/"))
			unreached(t, conformance.Client.Get("server", 8082, "/"))
			t.Allowed(conformance.Client.Get("server", 80, "/"))
		},
	},
	{
		ID: "SP-8-method", Title: "A gRPC method is the path of its POST request",
		Rules: []string{"SP-8"}, Features: []conformance.Feature{conformance.GRPC, conformance.AccessHTTP}, APIs: accessAPIs,
		Run: func(t *conformance.T) {
			t.Apply("sp_08_method.yaml")
			t.Allowed(conformance.Client.GRPC("server", 8082, conformance.SayMethod))
			t.Denied(conformance.Client.GRPC("server", 8082, conformance.SayMethod+"More"))
			t.Denied(conformance.Client.GRPC("server", 8082, "/smi.sample.v1.Echo/Watch"))
			t.Denied(conformance.Guest.GRPC("server", 8082, conformance.SayMethod))
			t.Apply("sp_08_service.yaml")
			t.Allowed(conformance.Client.GRPC("server", 8082, conformance.SayMethod))
			t.Answered(conformance.Client.GRPC("server", 8082, conformance.SayMethod+"More"), "the application's Unimplemented", func(a *driver.Answer) string {
				if a.Code != "Unimplemented" {
					return "another answer"
				}
				return ""
			})
			t.Denied(conformance.Client.GRPC("server", 8082, "/grpc.health.v1.Health/Check"))
		},
	},
}

// connectionsFail expects nothing to answer at ports of the server, neither to
// silence nor to what an HTTP proxy would take.
func connectionsFail(t *conformance.T, ports ...uint16) {
	for _, port := range ports {
		unreached(t, conformance.Client.TCP("server", port).Silent())
		unreached(t, conformance.Client.TCP("server", port).Body("GET http://server.smi-apps/ HTTP/1.1\r\nHost: server.smi-apps\r\n\r\n"))
	}
}

// unreached expects no application to answer, where there may be nobody whom a
// control request could reach.
func unreached(t *conformance.T, c conformance.Call) {
	t.Answered(c, "no answer of an application", func(a *driver.Answer) string {
		if a.Pod != "" || a.Body != "" && a.Status == 0 && a.Code == "" {
			return "something answered"
		}
		return ""
	})
}
