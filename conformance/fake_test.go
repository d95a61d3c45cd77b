package conformance

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/report"
)

// fake is a target without a mesh: each workload has a real driver, and whatever
// that sends arrives at one handler that plays the mesh and the applications.
type fake struct {
	tb testing.TB
	// serve answers a workload's requests, whose Host is the Service. It is called
	// by several goroutines.
	serve func(from string, w http.ResponseWriter, r *http.Request)
	// dial, where set, makes connections to Services' ports, and leaves those to the
	// handler for which it returns neither a connection nor an error.
	dial func(from, address string) (net.Conn, error)
	// follow, where set, is what Apply answers.
	follow func(objects map[key]*unstructured.Unstructured) error
	// watch, where set, sees each Apply before that.
	watch func(ctx context.Context, objects []*unstructured.Unstructured)

	mu      sync.Mutex
	drivers map[string]string
	applied map[key]*unstructured.Unstructured
}

var _ Target = (*fake)(nil)

func newFake(tb testing.TB, serve func(from string, w http.ResponseWriter, r *http.Request)) *fake {
	return &fake{tb: tb, serve: serve, drivers: map[string]string{}}
}

func (f *fake) Describe(context.Context) (report.Mesh, string, error) {
	return report.Mesh{Name: "fake", Version: "1"}, "nowhere", nil
}

func (f *fake) Apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	all := map[key]*unstructured.Unstructured{}
	for _, o := range objects {
		all[keyOf(o)] = o
	}
	if f.watch != nil {
		f.watch(ctx, objects)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.follow != nil {
		if err := f.follow(all); err != nil {
			return err
		}
	}
	f.applied = all
	return nil
}

// has tells whether an object of Apps is applied.
func (f *fake) has(kind, name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied[key{kind, Apps, name}] != nil
}

// Dial connects to the workload's driver, which it starts for the first time.
func (f *fake) Dial(ctx context.Context, workload string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.drivers[workload] == "" {
		world := f.start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(workload, w, r) }))
		sender := &driver.Sender{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if f.dial != nil {
				if conn, err := f.dial(workload, address); conn != nil || err != nil {
					return conn, err
				}
			}
			return new(net.Dialer).DialContext(ctx, network, world)
		}}
		f.drivers[workload] = f.start(sender.Handler())
	}
	return new(net.Dialer).DialContext(ctx, "tcp", f.drivers[workload])
}

// start serves until the test ends, and returns the address.
func (f *fake) start(h http.Handler) string {
	server := httptest.NewServer(h)
	f.tb.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// Reach gives Services another name, by which connections from outside are told.
func (f *fake) Reach(_ context.Context, host string, port uint16) (string, uint16, error) {
	return "reach-" + host, port, nil
}

func (f *fake) Close(context.Context) error { return nil }

// run runs the cases with the manifests of tests, on a mesh that claims all.
func (f *fake) run(options Options, cases ...*Case) *report.Report {
	f.tb.Helper()
	return f.runAs(everything(), options, cases...)
}

func (f *fake) runAs(claim *Claim, options Options, cases ...*Case) *report.Report {
	f.tb.Helper()
	got, err := Run(f.tb.Context(), f, suiteOf(cases...), claim, options)
	if err != nil {
		f.tb.Fatal(err)
	}
	return got
}

// one runs one case that does what is given.
func (f *fake) one(run func(*T)) report.Result {
	f.tb.Helper()
	return f.run(Options{}, caseOf("AC-1-one", run)).Results[0]
}

func suiteOf(cases ...*Case) *Suite {
	manifest := func(name string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("apiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\nmetadata: {name: " + name + "}\n")}
	}
	return &Suite{Version: "0", Cases: cases, Manifests: fstest.MapFS{
		"one.yaml": manifest("one"), "two.yaml": manifest("two"), "refused.yaml": manifest("refused"),
	}}
}

func caseOf(id string, run func(*T)) *Case {
	return &Case{ID: id, Title: "A case", Rules: []string{"AC-1"}, Features: []Feature{AccessHTTP}, Run: run}
}

func everything() *Claim {
	claim := &Claim{Features: map[string]report.Capability{}}
	for _, f := range Features {
		claim.Features[f.Name] = report.Full
	}
	return claim
}

// application answers as the application of a workload.
func application(w http.ResponseWriter, workload string) {
	w.Header().Set("X-Pod", workload)
}

// refuse answers as a mesh does.
func refuse(w http.ResponseWriter, status int) { w.WriteHeader(status) }

// controlled lets control requests through to the server, and plays everything
// else as the handler does.
func controlled(rest func(from string, w http.ResponseWriter, r *http.Request)) func(string, http.ResponseWriter, *http.Request) {
	return func(from string, w http.ResponseWriter, r *http.Request) {
		if from == string(Control) && r.URL.Path == "/control" {
			application(w, "smi-apps/server")
			return
		}
		rest(from, w, r)
	}
}
