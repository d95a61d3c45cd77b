// Package share judges whether observed counts fit the shares that they were
// drawn by, with a stated probability of a false alarm.
//
// A proxy that throws dice for each request gives a backend of share p a number
// of the binomial distribution B(n, p) out of n requests; one that takes turns
// comes closer. Both pass, and a share that is off by five points does not, if n
// is what Enough says. The sums are exact: no normal approximation decides,
// which is wrong where it matters, in the tails.
package share

import "math"

// FalseAlarm bounds how probable it is that any of the comparisons of one run
// fails though the mesh does what it should.
const FalseAlarm = 1e-6

// Binomial is the probability that a number of the distribution B(n, p) is at
// least from and at most to.
func Binomial(n, from, to int, p float64) float64 {
	if p == 0 || p == 1 {
		certain := int(p) * n
		if from <= certain && certain <= to {
			return 1
		}
		return 0
	}
	factorial := func(k int) float64 {
		v, _ := math.Lgamma(float64(k) + 1)
		return v
	}
	sum := 0.0
	for k := from; k <= to; k++ {
		sum += math.Exp(factorial(n) - factorial(k) - factorial(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	return sum
}

// Fits tells whether k of n is what a share of p gives. It says no to a right
// share with a probability of at most alarm.
func Fits(n, k int, p, alarm float64) bool {
	return Binomial(n, 0, k, p) >= alarm/2 && Binomial(n, k, n, p) >= alarm/2
}

// seen is how surely a share that is off is to be seen.
const seen = 0.99

// Enough is how many draws it takes so that Fits, called with alarm, says no to
// a share that is off from p by delta with a probability of at least 0.99.
func Enough(p, delta, alarm float64) int {
	// The normal approximation is where the search begins; it is too small for
	// shares near 0 and 1.
	deviations := quantile(alarm/2)*math.Sqrt(p*(1-p)) + quantile(1-seen)*math.Sqrt(p*(1-p))
	n := int(deviations*deviations/(delta*delta)) + 10
	for {
		least, most := accepted(n, p, alarm)
		enough := true
		for _, q := range []float64{p - delta, p + delta} {
			if q >= 0 && q <= 1 && Binomial(n, least, most, q) > 1-seen {
				enough = false
			}
		}
		if enough {
			return n
		}
		n += n/50 + 1
	}
}

// accepted are the least and the greatest count that Fits says yes to.
func accepted(n int, p, alarm float64) (least, most int) {
	least, most = 0, n
	for below := Binomial(n, 0, 0, p); below < alarm/2; below += Binomial(n, least, least, p) {
		least++
	}
	for above := Binomial(n, n, n, p); above < alarm/2; above += Binomial(n, most, most, p) {
		most--
	}
	return least, most
}

// quantile is how many standard deviations a normal variable exceeds with the
// probability tail.
func quantile(tail float64) float64 { return math.Sqrt2 * math.Erfcinv(2*tail) }
