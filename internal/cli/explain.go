package cli

import (
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/explain"
	"github.com/smi-project/smi/mesh"
)

const explainLong = `Explain answers for one request, or one TCP connection: is it allowed, by which
TrafficTarget and rule, where does it go, and with which probability?

It follows the traffic splits of the Service and asks at every destination that
the request may reach. It is allowed where all of them allow it.

With -f it reads files. Without, it reads the cluster that kubectl would; names
without a namespace are then of the context's, or of -n.

Exit codes: 0 it is allowed; 1 it is denied, wholly or in part; 2 there is no
such Service or port, the arguments make no sense, or a file or the cluster
cannot be read.`

const explainExample = `  # May the bookbuyer buy books?
  smi explain --from bookbuyer/bookbuyer --to bookstore/bookstore:9080 --path /buy -f manifests/

  # A request with a method and headers
  smi explain --from shop/web --to shop/cart:80 --method POST --path /items --header x-user=alice -f shop.yaml

  # A connection whose bytes are not HTTP
  smi explain --from shop/cart --to shop/mysql:3306 --tcp -f shop.yaml

  # In the cluster that kubectl speaks with
  smi explain -n shop --from web --to cart:80 --path /items

  # For a program
  smi explain --from shop/web --to shop/cart:80 -o json -f shop.yaml`

// outside stands for a client without identity (ID-3).
const outside = "outside"

// explainFlags are the flags as they were written.
type explainFlags struct {
	input   inputFlags
	format  format
	from    string
	to      string
	method  string
	path    string
	headers []string
	tcp     bool
}

func explainCommand(app *App) *cobra.Command {
	f := explainFlags{format: formatTable}
	cmd := &cobra.Command{
		Use:     "explain --from NAMESPACE/SERVICEACCOUNT --to NAMESPACE/SERVICE:PORT [-f PATH... | -n NAMESPACE]",
		Short:   "Say whether a request is allowed, why, and where it goes",
		Long:    explainLong,
		Example: explainExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.input.paths = append(f.input.paths, args...)
			return runExplain(cmd, app, &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "account of the client, `NAMESPACE/SERVICEACCOUNT`, or \"outside\" for one that is not in the mesh")
	flags.StringVar(&f.to, "to", "", "where the request is sent, `NAMESPACE/SERVICE:PORT`")
	flags.StringVarP(&f.method, "method", "X", "GET", "method of the request")
	flags.StringVar(&f.path, "path", "/", "path of the request, with or without a query")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "`NAME=VALUE` of a header of the request; may be repeated")
	flags.BoolVar(&f.tcp, "tcp", false, "ask for a TCP connection whose bytes are not HTTP")
	f.input.register(cmd)
	addFormatFlag(cmd, &f.format)
	completions := map[string]cobra.CompletionFunc{
		"from": app.completeFrom(&f.input.paths, accountNames), "to": app.completeFrom(&f.input.paths, servicePorts),
		"method": cobra.NoFileCompletions, "header": cobra.NoFileCompletions, "path": cobra.NoFileCompletions,
	}
	for name, complete := range completions {
		if err := cmd.RegisterFlagCompletionFunc(name, complete); err != nil {
			panic(err) // the flag was added above
		}
	}
	return cmd
}

func runExplain(cmd *cobra.Command, app *App, f *explainFlags) error {
	q, err := f.question()
	if err != nil {
		return err
	}
	if f.tcp {
		for _, name := range []string{"method", "path", "header"} {
			if cmd.Flags().Changed(name) {
				return UsageErrorf("--%s belongs to a request, and --tcp asks for a connection that is not HTTP", name)
			}
		}
	}
	in, err := app.load(cmd, &f.input)
	if err != nil {
		return err
	}
	if err := app.requireWhole(in); err != nil {
		return err
	}
	answer, err := explain.New(in.mesh).Ask(q)
	var unknown *explain.NotFoundError
	switch {
	case errors.As(err, &unknown):
		return unknownDestination(in.mesh, q, unknown)
	case err != nil:
		return err
	}
	answer.Findings = relevant(q, answer)
	if f.format == formatTable {
		err = (&explanation{app: app, mesh: in.mesh, question: q, answer: answer}).print()
	} else {
		err = app.printObject(f.format, answer)
	}
	if err == nil && !answer.Allowed {
		err = ErrNo
	}
	return err
}

// question reads what the flags ask.
func (f *explainFlags) question() (explain.Question, error) {
	q := explain.Question{Connection: f.tcp, Method: f.method, Path: f.path}
	var ok bool
	switch {
	case f.from == "":
		return q, UsageErrorf("--from is missing: who sends the request, as NAMESPACE/SERVICEACCOUNT")
	case f.to == "":
		return q, UsageErrorf("--to is missing: where the request is sent, as NAMESPACE/SERVICE:PORT")
	}
	if q.From, ok = f.name(f.from); !ok && f.from != outside {
		return q, UsageErrorf("--from %q is not of the form NAMESPACE/SERVICEACCOUNT", f.from)
	}
	service, port, _ := strings.Cut(f.to, ":")
	number, err := strconv.ParseUint(port, 10, 16)
	if q.To, ok = f.name(service); !ok || err != nil || number == 0 {
		return q, UsageErrorf("--to %q is not of the form NAMESPACE/SERVICE:PORT, such as shop/cart:80", f.to)
	}
	q.Port = uint16(number)
	if !strings.HasPrefix(f.path, "/") {
		return q, UsageErrorf("--path %q does not begin with a slash", f.path)
	}
	if f.method == "" {
		return q, UsageErrorf("--method is empty")
	}
	for _, h := range f.headers {
		// No header's name has either of them, so 'name: value' can be read too.
		i := strings.IndexAny(h, "=:")
		if i < 1 {
			return q, UsageErrorf("--header %q is not of the form NAME=VALUE", h)
		}
		value := h[i+1:]
		if h[i] == ':' {
			value = strings.TrimSpace(value)
		}
		q.Headers = append(q.Headers, explain.Header{Name: h[:i], Value: value})
	}
	return q, nil
}

// name reads NAMESPACE/NAME, or in a cluster a name alone.
func (f *explainFlags) name(s string) (mesh.Name, bool) {
	if len(f.input.paths) == 0 && s != outside && !strings.Contains(s, "/") {
		s = f.input.defaultNamespace() + "/" + s
	}
	return parseName(s)
}

// parseName reads NAMESPACE/NAME.
func parseName(s string) (mesh.Name, bool) {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return mesh.Name{}, false
	}
	return mesh.Name{Namespace: namespace, Name: name}, true
}

// unknownDestination names the Services that may have been meant.
func unknownDestination(m *mesh.Mesh, q explain.Question, err *explain.NotFoundError) error {
	if m.Service(q.To) != nil || len(m.Services) == 0 {
		return err
	}
	var names []string
	for _, s := range m.Services {
		names = append(names, s.Name.String())
	}
	return &explain.NotFoundError{Message: err.Message + "; " + known("the Services are ", names)}
}

// known lists names, at most a handful.
func known(prefix string, names []string) string {
	const most = 8
	if len(names) > most {
		return prefix + strings.Join(names[:most], ", ") + " and " + count(len(names)-most, "other")
	}
	return prefix + strings.Join(names, ", ")
}
