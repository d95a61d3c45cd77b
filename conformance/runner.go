package conformance

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/report"
)

// Options say how a run goes.
type Options struct {
	// Select, where set, chooses the cases to run; others do not appear in the
	// report.
	Select func(*Case) bool
	// FailFast ends the run with the first case that fails.
	FailFast bool
	// Progress, where set, is told of each case when it has ended. Calls do not
	// overlap.
	Progress func(report.Result)
}

// run is a run under way.
type run struct {
	suite  *Suite
	target Target
	claim  *Claim
	base   map[key]*unstructured.Unstructured

	// mu guards what follows; applying holds what was applied together.
	mu          sync.Mutex
	applying    sync.Mutex
	active      map[*T]map[key]*unstructured.Unstructured
	drivers     map[Workload]*driver.Client
	comparisons int
}

// Run runs the suite on the target and reports. The error says why there is no
// report: the target could not be brought up or described.
func Run(ctx context.Context, target Target, suite *Suite, claim *Claim, options Options) (*report.Report, error) {
	if err := claim.Validate(); err != nil {
		return nil, err
	}
	r := &run{
		suite: suite, target: target, claim: claim, base: map[key]*unstructured.Unstructured{},
		active: map[*T]map[key]*unstructured.Unstructured{}, drivers: map[Workload]*driver.Client{},
	}
	objects, err := decode(fixture)
	if err != nil {
		return nil, fmt.Errorf("the fixture: %w", err)
	}
	for _, o := range objects {
		r.base[keyOf(o)] = o
	}
	out, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.apply(ctx, nil, nil); err != nil {
		return nil, fmt.Errorf("the workloads do not come up: %w", err)
	}
	out.Results = r.all(ctx, options)
	r.closeDrivers()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	out.Duration = time.Since(out.Started).Seconds()
	summarise(out, claim)
	return out, nil
}

// begin is a report without results.
func (r *run) begin(ctx context.Context) (*report.Report, error) {
	mesh, platform, err := r.target.Describe(ctx)
	if err != nil {
		return nil, err
	}
	digest, err := r.suite.digest()
	if err != nil {
		return nil, err
	}
	mesh.APIs = r.claim.APIs
	return &report.Report{
		APIVersion: report.APIVersion, Kind: report.Kind, Mesh: mesh, Platform: platform, Started: time.Now().UTC(),
		Suite: report.Suite{Version: r.suite.Version, Digest: digest, Cases: len(r.suite.Cases)},
	}, nil
}

// all runs the cases one after the other, and the slow ones beside them.
func (r *run) all(ctx context.Context, options Options) []report.Result {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	results := make([]report.Result, len(r.suite.Cases))
	var (
		mu   sync.Mutex
		slow sync.WaitGroup
	)
	one := func(i int, c *Case) {
		result := r.one(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		results[i] = result
		if options.Progress != nil && ctx.Err() == nil {
			options.Progress(result)
		}
		if options.FailFast && result.Outcome == report.Failed {
			stop()
		}
	}
	chosen := func(c *Case) bool { return options.Select == nil || options.Select(c) }
	for i, c := range r.suite.Cases {
		if c.Slow && chosen(c) {
			slow.Go(func() { one(i, c) })
		}
	}
	for i, c := range r.suite.Cases {
		if !c.Slow && chosen(c) && ctx.Err() == nil {
			one(i, c)
		}
	}
	slow.Wait()
	return slices.DeleteFunc(results, func(r report.Result) bool { return r.ID == "" })
}

// caseTime bounds one case.
const caseTime = 3 * time.Minute

// one runs a case.
func (r *run) one(ctx context.Context, c *Case) report.Result {
	result := report.Result{ID: c.ID, Title: c.Title, Original: c.Original, Rules: c.Rules}
	for _, f := range c.Features {
		result.Features = append(result.Features, f.Name)
	}
	if reason, ok := r.claim.covers(c); !ok {
		result.Outcome, result.Reason = report.NotClaimed, reason
		return result
	}
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	t := &T{ctx: ctx, run: r, objects: map[key]*unstructured.Unstructured{}, sessions: map[session]bool{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run(t)
	}()
	<-ended
	t.endSessions()
	if err := r.apply(context.WithoutCancel(ctx), t, nil); err != nil {
		t.failures = append(t.failures, fmt.Sprintf("the mesh does not follow the end of the case: %v", err))
	}
	result.Duration, result.Evidence, result.Outcome = time.Since(started).Seconds(), t.evidence, report.Passed
	switch {
	case len(t.failures) > 0:
		result.Outcome, result.Reason = report.Failed, strings.Join(t.failures, "\n")
	case len(t.evidence) == 0:
		result.Outcome, result.Reason = report.Failed, "the case observed nothing"
	}
	return result
}

// apply makes the objects those of the case, nil where it has none any more, and
// waits until every proxy follows.
func (r *run) apply(ctx context.Context, t *T, objects map[key]*unstructured.Unstructured) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	before := r.active[t]
	if objects == nil {
		delete(r.active, t)
	} else {
		r.active[t] = objects
	}
	all := maps.Clone(r.base)
	for other, theirs := range r.active {
		if other.uncontrolled {
			maps.DeleteFunc(all, isControl)
		}
		maps.Copy(all, theirs)
	}
	sorted := slices.SortedFunc(maps.Keys(all), func(a, b key) int { return strings.Compare(a.String(), b.String()) })
	list := make([]*unstructured.Unstructured, len(sorted))
	for i, k := range sorted {
		list[i] = all[k]
	}
	err := r.target.Apply(ctx, list)
	if err == nil && t != nil && objects != nil {
		t.objects = objects
	}
	switch {
	case err == nil || objects == nil:
	case before == nil:
		delete(r.active, t)
	default:
		r.active[t] = before
	}
	return err
}

// withoutControl makes what is applied next lack what allows control requests, but
// for those of slow cases, which run beside this one.
func (r *run) withoutControl(t *T) {
	r.applying.Lock()
	defer r.applying.Unlock()
	t.uncontrolled = true
}

// slowServer is the workload that slow cases have to themselves.
const slowServer = "vault"

func isControl(k key, _ *unstructured.Unstructured) bool {
	return strings.HasPrefix(k.name, "control-") && k.name != "control-"+slowServer
}

// driver returns the driver of a workload.
func (r *run) driver(w Workload) *driver.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	client := r.drivers[w]
	if client == nil {
		client = driver.NewClient(func(ctx context.Context) (net.Conn, error) { return r.target.Dial(ctx, string(w)) })
		r.drivers[w] = client
	}
	return client
}

func (r *run) closeDrivers() {
	for _, client := range r.drivers {
		client.Close()
	}
}

// compared counts comparisons of shares, whose number bounds the false alarms.
func (r *run) compared(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.comparisons += n
	if r.comparisons > maxComparisons {
		panic(fmt.Sprintf("a run compares more than %d shares: raise the bound, and the alarms stay as rare", maxComparisons))
	}
}

// summarise counts the results of the run and of each feature.
func summarise(out *report.Report, claim *Claim) {
	for _, f := range Features {
		feature := report.Feature{Name: f.Name, Title: f.Title, Capability: claim.of(f)}
		for _, result := range out.Results {
			if slices.Contains(result.Features, f.Name) {
				feature.Add(result.Outcome)
			}
		}
		out.Features = append(out.Features, feature)
	}
	for _, result := range out.Results {
		out.Summary.Add(result.Outcome)
	}
}
