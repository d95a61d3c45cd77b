package conformance

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/smi-project/smi/conformance/driver"
)

// reporting is a target whose drivers all report the same.
type reporting struct {
	scripted
	report *driver.Report
}

func (r *reporting) Dial(ctx context.Context, _ string) (net.Conn, error) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(r.report); err != nil {
			r.tb.Error(err)
		}
	}))
	r.tb.Cleanup(server.Close)
	return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
}

// TestOnly holds answers against words, of which some may be missing.
func TestOnly(t *testing.T) {
	const v1, v2 = "200 from smi-apps/v1", "200 from smi-apps/v2"
	for name, c := range map[string]struct {
		report    driver.Report
		complaint string
	}{
		"both":          {driver.Report{Sent: 4, Words: map[string]int{v1: 3, v2: 1}}, ""},
		"one":           {driver.Report{Sent: 4, Words: map[string]int{v2: 4}}, ""},
		"somebody else": {driver.Report{Sent: 4, Words: map[string]int{v1: 3, "200 from smi-apps/server": 1}}, "1 were 200 from smi-apps/server"},
		"a failure":     {driver.Report{Sent: 4, Words: map[string]int{v1: 2, "503": 2}}, "2 were 503"},
	} {
		t.Run(name, func(t *testing.T) {
			target := &reporting{scripted: scripted{tb: t}, report: &c.report}
			r := &run{target: target, drivers: map[Workload]*driver.Client{}}
			defer r.closeDrivers()
			held := &T{ctx: t.Context(), run: r, settled: true}
			held.Only(Client.Get("root", 80, "/"), 4, v1, v2)
			got := held.failures
			if c.complaint == "" && len(got) > 0 || c.complaint != "" && (len(got) != 1 || !strings.Contains(got[0], c.complaint)) {
				t.Errorf("complaints %q, want %q", got, c.complaint)
			}
		})
	}
}

// renamed is a target whose mesh has a header of its own for identities.
type renamed struct{ scripted }

func (*renamed) Principal(seen *driver.Seen) string { return strings.Join(seen.Headers["x-peer"], ",") }

func TestPrincipal(t *testing.T) {
	seen := &driver.Seen{Principal: "spiffe://a/ns/b/sa/c", Headers: map[string][]string{"x-peer": {"spiffe://d/ns/e/sa/f"}}}
	for want, target := range map[string]Target{"spiffe://a/ns/b/sa/c": new(scripted), "spiffe://d/ns/e/sa/f": new(renamed)} {
		if got := (&T{run: &run{target: target}}).Principal(seen); got != want {
			t.Errorf("%T: Principal = %q, want %q", target, got, want)
		}
	}
}
