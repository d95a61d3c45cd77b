package explain_test

import (
	"flag"
	"testing"

	"github.com/smi-project/smi/internal/explain"
	"github.com/smi-project/smi/internal/oracle/agreement"
	"github.com/smi-project/smi/internal/oracle/worldgen"
)

var (
	worlds     = flag.Int("worlds", 2500, "how many random worlds explain is compared with the oracle in")
	perWorld   = flag.Int("requests", 40, "how many random requests are asked in each world")
	firstWorld = flag.Uint64("first-world", 1, "the seed of the first world")
)

// TestExplainAgreesWithOracle compares the whole pipeline from raw objects to
// answers with an evaluator that shares nothing with it but the rules.
func TestExplainAgreesWithOracle(t *testing.T) {
	asked := 0
	for seed := *firstWorld; seed < *firstWorld+uint64(*worlds); seed++ {
		w := worldgen.Pure(seed)
		evaluator := explain.New(agreement.Compile(w))
		for _, r := range worldgen.Requests(seed, w, *perWorld) {
			asked++
			if diff := agreement.Disagreement(evaluator, w, r); diff != "" {
				t.Fatalf("seed %d, request %+v %+v: %s\n%s", seed, r, r.HTTP, diff, worldgen.Describe(w))
			}
		}
	}
	t.Logf("%d requests in %d worlds", asked, *worlds)
}

// TestPastDisagreements asks again in the worlds in which explain and the
// oracle once disagreed.
func TestPastDisagreements(t *testing.T) {
	for _, seed := range []uint64{1, 4, 13, 26, 126, 2502, 2506, 2536, 2587, 5001, 5013, 5634, 7505, 7508, 7510, 7511} {
		w := worldgen.Pure(seed)
		evaluator := explain.New(agreement.Compile(w))
		for _, r := range worldgen.Requests(seed, w, 200) {
			if diff := agreement.Disagreement(evaluator, w, r); diff != "" {
				t.Errorf("seed %d, request %+v %+v: %s", seed, r, r.HTTP, diff)
			}
		}
	}
}
