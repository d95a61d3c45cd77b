package worldgen

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// dice are the only source of chance.
type dice struct {
	*rand.Rand
}

// newDice keeps worlds and requests of the same seed apart by a stream number.
func newDice(seed, stream uint64) dice {
	return dice{rand.New(rand.NewPCG(seed, stream))}
}

// percent is true in so many cases of a hundred.
func (d dice) percent(p int) bool {
	return d.IntN(100) < p
}

// between is a number from low to high, both included.
func (d dice) between(low, high int) int {
	return low + d.IntN(high-low+1)
}

// pick is one of the items, all of them equally likely. Items that stand several times are as much likelier.
func pick[T any](d dice, items []T) T {
	return items[d.IntN(len(items))]
}

// some are up to n different positions of the items, in random order.
func some[T any](d dice, items []T, n int) []T {
	var chosen []T
	for _, i := range d.Perm(len(items)) {
		if len(chosen) == n {
			break
		}
		chosen = append(chosen, items[i])
	}
	return chosen
}

// sortedKeys are a map's keys in an order that does not depend on chance.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
