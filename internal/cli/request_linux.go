package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/local"
)

// requestFlags are the flags of smi request.
type requestFlags struct {
	from    string
	method  string
	headers []string
	count   int
	admin   string
	format  format
}

func requestCommand(app *App) *cobra.Command {
	f := requestFlags{format: formatTable}
	cmd := &cobra.Command{
		Use:   "request --from NAMESPACE/WORKLOAD URL",
		Short: "Send requests through a running workload's own sidecar",
		Long: `Send requests through the sidecar of a workload that smi run runs, as if the
workload had sent them, and tell how many came back with which status and from
which pod. Of a single request the answer is shown as well.

What a sidecar refuses has a status and no pod. The exit code is 0 when every
request was answered, whatever its status, and 1 when one was not.`,
		Example: `  # May the bookbuyer see the books?
  smi request --from bookbuyer/bookbuyer http://bookstore.bookstore:9080/books

  # How is the traffic shared?
  smi request --from bookbuyer/bookbuyer -n 200 http://bookstore.bookstore:9080/books

  # For a script
  smi request --from bookbuyer/bookbuyer -X POST -H 'x-beta: true' -o json http://bookstore.bookstore:9080/buy`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return UsageErrorf("one URL is needed, such as http://bookstore.bookstore:9080/books")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return app.request(cmd.Context(), f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "NAMESPACE/WORKLOAD that sends: a Deployment's or a pod's name")
	flags.StringVarP(&f.method, "request", "X", http.MethodGet, "method")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "'name: value' of a header; may be repeated")
	flags.IntVarP(&f.count, "count", "n", 1, "how many requests to send, one after the other")
	flags.StringVar(&f.admin, "admin", "", "admin socket of the mesh (default $SMI_ADMIN or "+local.DefaultAdminSocket()+")")
	addFormatFlag(cmd, &f.format)
	_ = cmd.MarkFlagRequired("from")
	return cmd
}

func (a *App) request(ctx context.Context, f requestFlags, url string) error {
	header, err := parseHeaders(f.headers)
	if err != nil {
		return err
	}
	if f.count < 1 {
		return UsageErrorf("--count %d sends nothing", f.count)
	}
	if f.admin == "" {
		f.admin = local.DefaultAdminSocket()
	}
	status, err := local.FetchStatus(ctx, f.admin)
	if err != nil {
		return err
	}
	from, err := status.FindPod(f.from)
	if err != nil {
		return err
	}
	report, err := status.Send(ctx, from, local.Request{Method: f.method, URL: url, Header: header, Count: f.count})
	if err != nil {
		return UsageErrorf("%w", err)
	}
	if err := a.printReport(f.format, report); err != nil {
		return err
	}
	if report.Statuses["error"] > 0 {
		return ErrNo
	}
	return nil
}

func parseHeaders(written []string) (http.Header, error) {
	header := http.Header{}
	for _, h := range written {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, UsageErrorf("--header %q is not of the form 'name: value'", h)
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return header, nil
}

func (a *App) printReport(f format, report *local.Report) error {
	if f != formatTable {
		return a.printObject(f, report)
	}
	fmt.Fprintln(a.Out, count(report.Total, "request"))
	for _, status := range slices.Sorted(maps.Keys(report.Statuses)) {
		fmt.Fprintf(a.Out, "  %6d  %s %s\n", report.Statuses[status], status, statusText(status))
	}
	if len(report.Backends) > 0 {
		fmt.Fprintln(a.Out, "answered by")
	}
	for _, pod := range slices.Sorted(maps.Keys(report.Backends)) {
		n := report.Backends[pod]
		fmt.Fprintf(a.Out, "  %6d  %s (%.1f%%)\n", n, pod, 100*float64(n)/float64(report.Total))
	}
	if report.Error != "" {
		fmt.Fprintf(a.Out, "last error: %s\n", printable(report.Error))
	}
	if report.Total == 1 {
		a.printBody(report.Body)
	}
	return nil
}

// printBody shows what was answered to the only request.
func (a *App) printBody(body string) {
	if strings.TrimSpace(body) == "" {
		return
	}
	fmt.Fprintln(a.Out)
	for line := range strings.Lines(body) {
		fmt.Fprintln(a.Out, printable(strings.TrimRight(line, "\r\n")))
	}
}

func statusText(status string) string {
	var code int
	if _, err := fmt.Sscan(status, &code); err != nil {
		return ""
	}
	return http.StatusText(code)
}
