package rootkeeper

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/smi-project/smi/internal/identity"
)

var testConfig = identity.Config{TrustDomain: "cluster.local", TTL: time.Hour}

// Whatever happens in whatever order, what is signed in one epoch is trusted in
// that epoch, the one before and the one after: replicas and pods are never all
// equally far.
func TestNeighbouringEpochsTrustEachOther(t *testing.T) {
	var users []*given
	for range 3 {
		made, err := newPair(testConfig)
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, &given{pair: made, roots: nil})
	}
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		f := facts{config: testConfig, now: now}
		var r *record
		var held *pair
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "event") {
			case 0:
				f.request += "again"
			case 1:
				if f.given = users[rapid.IntRange(0, 2).Draw(t, "user")]; f.given.roots == nil {
					f.given = &given{pair: f.given.pair}
				}
				f.given.roots = union(nil, f.given.root())
			case 2:
				f.given = nil
			}
			f.settled = rapid.Bool().Draw(t, "settled")
			next, err := r.advance(&f)
			if err != nil {
				t.Fatal(err)
			}
			signer := next.signer(f.given, held)
			if signer == nil {
				t.Fatalf("nothing signs in phase %s", next.Phase)
			}
			if !contains(next.roots, signer.root()) {
				t.Fatalf("phase %s: %s signs and is not trusted", next.Phase, signer)
			}
			if r != nil && next.Epoch != r.Epoch {
				if next.Epoch != r.Epoch+1 {
					t.Fatalf("epoch %d follows %d", next.Epoch, r.Epoch)
				}
				if !contains(r.roots, signer.root()) {
					t.Fatalf("%s to %s: %s signs already, and was not trusted before", r.Phase, next.Phase, signer)
				}
				if !contains(next.roots, held.root()) {
					t.Fatalf("%s to %s: %s signed until now, and is not trusted any more", r.Phase, next.Phase, held)
				}
			}
			r, held = next, signer
		}
	})
}

func TestRootThatEndsIsReplaced(t *testing.T) {
	f := &facts{config: testConfig, now: time.Now()}
	r, err := (*record)(nil).advance(f)
	if err != nil {
		t.Fatal(err)
	}
	if next, err := r.advance(f); err != nil || next != r {
		t.Fatalf("a new root is replaced at once: %v, %v", next.Phase, err)
	}
	f.now = r.own.root().NotAfter.Add(-365 * 24 * time.Hour)
	next, err := r.advance(f)
	if err != nil || next.Phase != Trusting || len(next.roots) != 2 {
		t.Errorf("a root that ends in a year: phase %s, %d roots, %v", next.Phase, len(next.roots), err)
	}
}

func TestEveryRequestCountsOnce(t *testing.T) {
	f := &facts{config: testConfig, now: time.Now(), settled: true, request: "first"}
	r, err := (*record)(nil).advance(f)
	if err != nil {
		t.Fatal(err)
	}
	advance := func(request string) *record {
		t.Helper()
		f.request = request
		next, err := r.advance(f)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	if next := advance("first"); next != r {
		t.Errorf("a request that was carried out leads to %s", next.Phase)
	}
	// What holds it may be deleted, and made anew without it.
	if next := advance(""); next != r {
		t.Errorf("no request leads to %s", next.Phase)
	}
	if next := advance("second"); next.Phase != Trusting || next.Request != "second" {
		t.Errorf("a new request leads to %s, noted as %q", next.Phase, next.Request)
	}
}
