package generator

import (
	"math/bits"
	"math/rand/v2"
)

// Streams of randomness: one per purpose, so that a knob of one purpose leaves the others' choices alone.
const (
	streamAccounts = 1 + iota
	streamBehaviour
	streamDisorder
	streamPoison
	streamPlan // plus the epoch's number in the upper bits
	streamLog
)

// random is a PCG stream read by integer arithmetic of our own, so that no change of a library's sampling changes the bytes.
type random struct{ pcg *rand.PCG }

func newRandom(seed, stream uint64) random { return random{rand.NewPCG(seed, stream)} }

// below is uniform in [0, n), n > 0; its bias is below n/2⁶⁴.
func (r random) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.pcg.Uint64(), n)
	return hi
}

// between is uniform in [lo, hi), hi > lo.
func (r random) between(lo, hi int64) int64 { return lo + int64(r.below(uint64(hi-lo))) }

// oneIn is true for rate of 10,000 draws.
func (r random) oneIn(rate int) bool { return rate > 0 && int(r.below(tenThousand)) < rate }

// pick is one of the choices.
func (r random) pick(choices []string) string { return choices[r.below(uint64(len(choices)))] }

// quantile draws from a distribution given by its quantiles in equal steps, uniform within a step.
func (r random) quantile(table []int64) int64 {
	i := r.below(uint64(len(table) - 1))
	return r.between(table[i], table[i+1])
}

// mix is a hash of two numbers: splitmix64's finalizer. It stands for a stored random choice.
func mix(a, b uint64) uint64 {
	x := a + b*0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

const tenThousand = 10_000
