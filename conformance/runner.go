package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
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
	// CaseTime bounds one case, three minutes when zero. The time in which a case
	// waits for others to apply their policy does not count.
	CaseTime time.Duration
}

// run is a run under way.
type run struct {
	suite  *Suite
	target Target
	claim  *Claim
	base   map[key]*unstructured.Unstructured

	// turn is held by whoever applies; active is what each case has applied, and
	// belongs to the holder, as does stale: something is applied that no case has any
	// more.
	turn   chan struct{}
	active map[*T]map[key]*unstructured.Unstructured
	stale  bool

	// mu guards what follows.
	mu          sync.Mutex
	drivers     map[Workload]*driver.Client
	comparisons int
}

// Run runs the suite on the target and reports. The error says why there is no
// report: the target could not be brought up or described.
func Run(ctx context.Context, target Target, suite *Suite, claim *Claim, options Options) (*report.Report, error) {
	if err := claim.Validate(suite); err != nil {
		return nil, err
	}
	base, err := baseFor(claim)
	if err != nil {
		return nil, err
	}
	r := &run{
		suite: suite, target: target, claim: claim, base: base, turn: make(chan struct{}, 1),
		active: map[*T]map[key]*unstructured.Unstructured{}, drivers: map[Workload]*driver.Client{},
	}
	out, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.hand(ctx); err != nil {
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
	one := func(i int, followed bool) {
		result := r.one(ctx, i, options.CaseTime, followed)
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil && result.Outcome == report.Failed {
			// It was ended, and says nothing of the mesh.
			return
		}
		results[i] = result
		if options.Progress != nil {
			options.Progress(result)
		}
		if options.FailFast && result.Outcome == report.Failed {
			stop()
		}
	}
	chosen := func(c *Case) bool { return options.Select == nil || options.Select(c) }
	for i, c := range r.suite.Cases {
		if c.Slow && chosen(c) {
			slow.Go(func() { one(i, false) })
		}
	}
	last := lastIndex(r.suite.Cases, func(c *Case) bool { return !c.Slow && chosen(c) })
	for i, c := range r.suite.Cases {
		if !c.Slow && chosen(c) && ctx.Err() == nil {
			one(i, i < last)
		}
	}
	slow.Wait()
	return slices.DeleteFunc(results, func(r report.Result) bool { return r.ID == "" })
}

// lastIndex is the place of the last case that is wanted, -1 where there is none.
func lastIndex(cases []*Case, wanted func(*Case) bool) int {
	for i, c := range slices.Backward(cases) {
		if wanted(c) {
			return i
		}
	}
	return -1
}

// The bounds of one case, where the options give none, and of its end.
const (
	caseTime = 3 * time.Minute
	endTime  = time.Minute
)

// one runs the case of that place in the suite, which may be followed by another.
func (r *run) one(ctx context.Context, place int, bound time.Duration, followed bool) report.Result {
	c := r.suite.Cases[place]
	result := report.Result{ID: c.ID, Title: c.Title, Original: c.Original, Rules: c.Rules}
	for _, f := range c.Features {
		result.Features = append(result.Features, f.Name)
	}
	if reason, ok := r.claim.covers(c); !ok {
		result.Outcome, result.Reason = report.NotClaimed, reason
		return result
	}
	if reason, ok := lacks(r.target, c); ok {
		result.Outcome, result.Reason = report.NotClaimed, reason
		return result
	}
	if bound == 0 {
		bound = caseTime
	}
	started := time.Now()
	t := &T{run: r, id: c.ID, place: place, objects: map[key]*unstructured.Unstructured{}, sessions: map[session]bool{}}
	t.ctx, t.clock = startClock(ctx, bound)
	t.carryOut(c)
	var late *tooLong
	if errors.As(context.Cause(t.ctx), &late) {
		t.failures = append([]string{late.Error()}, t.failures...)
	}
	t.clock.end()
	r.end(ctx, t, followed)
	result.Duration, result.Evidence, result.Outcome = time.Since(started).Seconds(), t.evidence, report.Passed
	switch {
	case len(t.failures) > 0:
		result.Outcome, result.Reason = report.Failed, strings.Join(t.failures, "\n")
	case len(t.evidence) == 0:
		result.Outcome, result.Reason = report.Failed, "the case observed nothing"
	}
	return result
}

// carryOut runs the case to its end, which may come early. A case that panics has
// failed, and takes nobody else's run with it.
func (t *T) carryOut(c *Case) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("the case panics: %v\n%s", p, debug.Stack())
			}
		}()
		c.Run(t)
	}()
	<-ended
}

// end takes away what the case has left, also where the run is being ended. Of one
// that is followed by another, and has nothing to complain of, policy is taken away
// together with what the next one applies, or before it observes anything.
func (r *run) end(ctx context.Context, t *T, followed bool) {
	ctx = context.WithoutCancel(ctx)
	within, cancel := context.WithTimeout(ctx, endTime)
	t.endSessions(within)
	cancel()
	// Those whose turn it is have bounds of their own.
	err := r.inTurn(ctx, func() error {
		if followed && len(t.failures) == 0 && onlyPolicy(r.active[t]) {
			r.stale = r.stale || r.active[t] != nil
			r.set(t, nil)
			return nil
		}
		within, cancel := context.WithTimeout(ctx, endTime)
		defer cancel()
		return r.change(within, t, nil)
	})
	if err != nil {
		t.Errorf("the end of the case: %v", err)
	}
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

// compared counts comparisons of shares, whose number bounds the false alarms. The
// error is that they have become too many.
func (r *run) compared(n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.comparisons += n
	if r.comparisons > maxComparisons {
		return fmt.Errorf("a run compares more than %d shares: raise the bound, and the alarms stay as rare", maxComparisons)
	}
	return nil
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
