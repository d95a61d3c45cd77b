package cli

import (
	"bytes"
	"fmt"
	"text/tabwriter"

	"github.com/smi-project/smi/internal/local"
)

// maxDenials is how many denials the table shows.
const maxDenials = 5

// wide is the width of a terminal, in characters, from which on the table has its
// less important columns, too.
const wide = 100

// statusTable is the live table: pods, splits, denials. What may be long is last
// in its line, as lines are cut.
func statusTable(status *local.Status, width int) string {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(format string, values ...any) { fmt.Fprintf(w, format+"\n", values...) }
	podRows(status, width, row)
	_ = w.Flush()
	if len(status.Splits) > 0 {
		splitRows(status, row)
		_ = w.Flush()
	}
	if len(status.Denials) > 0 {
		row("\nDENIED\tTO\tTIMES")
		for _, d := range status.Denials[:min(len(status.Denials), maxDenials)] {
			row("%s\t%s\t%d", printable(d.Source), printable(d.Destination), d.Count)
		}
		if more := len(status.Denials) - maxDenials; more > 0 {
			row("... and %d more pairs", more)
		}
		_ = w.Flush()
	}
	return out.String()
}

func podRows(status *local.Status, width int, row func(string, ...any)) {
	account := func(string) string { return "" }
	if width >= wide {
		account = func(name string) string { return name + "\t" }
	}
	row("\nPOD\tREADY\tPROXY\tRESTARTS\t%sSTATE", account("ACCOUNT"))
	for _, p := range status.Pods {
		ready := "no"
		if p.Ready {
			ready = "yes"
		}
		proxy, state := p.Proxy, string(p.State)
		if p.Reason != "" {
			state += ": " + p.Reason
		}
		// An error takes more room than its column has.
		if len(proxy) > len("not connected") {
			proxy, state = "refuses", state+"; the proxy: "+proxy
		}
		row("%s/%s\t%s\t%s\t%d\t%s%s", p.Namespace, p.Name, ready, proxy, p.Restarts, account(p.ServiceAccount), printable(state))
	}
}

func splitRows(status *local.Status, row func(string, ...any)) {
	row("\nSPLIT\tBACKEND\tWEIGHT\tWANTED\tOBSERVED\tREQUESTS\tROOT")
	for _, s := range status.Splits {
		root := fmt.Sprintf("%s:%d", s.Service, s.Port)
		if s.Matches {
			root += " (what matches)"
		}
		var requests uint64
		for _, b := range s.Backends {
			requests += b.Requests
		}
		for _, b := range s.Backends {
			observed := "-" // Nothing is no share of nothing.
			if requests > 0 {
				observed = fmt.Sprintf("%.1f%%", 100*b.Observed)
			}
			row("%s/%s\t%s\t%d\t%.1f%%\t%s\t%d\t%s", s.Namespace, s.Name, b.Service, b.Weight, 100*b.Wanted, observed, b.Requests, root)
		}
	}
}
