package conformance

import (
	"context"
	"fmt"
	"time"

	"github.com/smi-project/smi/conformance/report"
)

// Denials is how many calls of source's account were denied by destination's so
// far, as the mesh counts them; both are workloads such as "smi-apps/server".
func (t *T) Denials(source Workload, destination string) int {
	counter, ok := t.run.target.(DenialCounter)
	if !ok {
		t.Fatalf("the mesh claims %s, and its target cannot read them", DenialMetrics.Name)
	}
	t.settle()
	n, err := counter.Denials(t.ctx, string(source), destination)
	if err != nil {
		t.Fatalf("the counts of denials: %v", err)
	}
	return n
}

// countTime bounds how long a mesh may take to count what it has denied: meshes
// collect what their proxies report.
const countTime = 30 * time.Second

// DenialsReach expects the count of denials to become the one given, and not to
// pass it. Counts arrive some time after what is counted.
func (t *T) DenialsReach(source Workload, destination string, count int) {
	ctx, cancel := context.WithTimeout(t.ctx, countTime)
	defer cancel()
	got, started := 0, time.Now()
	eventually(ctx, func() bool {
		got = t.Denials(source, destination)
		return got >= count
	})
	e := report.Evidence{
		From: string(source), What: "denials by " + destination, Held: got == count,
		Wanted: fmt.Sprintf("a count of %d", count), Elapsed: time.Since(started).Seconds(),
	}
	if !e.Held {
		e.Detail = fmt.Sprintf("it is %d", got)
		t.Errorf("denials of %s by %s: %d were to be counted, and %d are", source, destination, count, got)
	}
	t.evidence = append(t.evidence, e)
}
