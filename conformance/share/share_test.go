package share

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestBinomial(t *testing.T) {
	for _, tt := range []struct {
		n, from, to int
		p, want     float64
	}{
		{4, 2, 2, 0.5, 0.375},
		{10, 0, 10, 0.3, 1},
		{3, 2, 3, 1.0 / 3, 7.0 / 27},
		{2700, 0, 2700, 0.01, 1},
		{1350, 675 + 100, 1350, 0.5, 3.2e-8}, // the tail of about 5.4 standard deviations
		{50, 0, 0, 0, 1},
		{50, 1, 50, 0, 0},
		{50, 50, 50, 1, 1},
	} {
		if got := Binomial(tt.n, tt.from, tt.to, tt.p); math.Abs(got-tt.want) > tt.want/10 {
			t.Errorf("P(%d <= X <= %d) of B(%d, %g) is %g, want %g", tt.from, tt.to, tt.n, tt.p, got, tt.want)
		}
	}
}

// TestAWrongShareIsSeen draws Enough times by a share that is off by five points,
// and by the right one, with dice that fall the same way in every run.
func TestAWrongShareIsSeen(t *testing.T) {
	const alarm = 2e-8
	dice := rand.New(rand.NewPCG(1, 2))
	draw := func(n int, p float64) (k int) {
		for range n {
			if dice.Float64() < p {
				k++
			}
		}
		return k
	}
	for _, p := range []float64{0.5, 0.75, 0.9, 0.99, 1.0 / 3} {
		n, missed := Enough(p, 0.05, alarm), 0
		for range 200 {
			if !Fits(n, draw(n, p), p, alarm) {
				t.Errorf("the right share %g of %d draws is refused", p, n)
			}
			off := p - 0.05
			if Fits(n, draw(n, off), p, alarm) {
				missed++
			}
		}
		if missed > 8 { // 2 are expected of 200
			t.Errorf("%d draws do not tell %g from %g in %d of 200 trials", n, p, p-0.05, missed)
		}
		t.Logf("share %.2f: %d draws", p, n)
	}
}

func TestWithoutAShareThereIsNothing(t *testing.T) {
	if Fits(100, 1, 0, 1e-8) || !Fits(100, 0, 0, 1e-8) || Fits(100, 99, 1, 1e-8) {
		t.Error("a share of 0 or 1 is exact")
	}
}
