package window

import (
	"math"
	"math/bits"

	"github.com/streamgauge/streamgauge/schemas"
)

// u192 is an unsigned 192-bit integer: sums of squares of amounts. 2⁶⁴ squares of amounts within 10¹⁸ fit. (A struct, because arrays do
// not live in registers.)
type u192 struct{ lo, mid, hi uint64 }

func (a u192) add(b u192) (r u192) {
	var c uint64
	r.lo, c = bits.Add64(a.lo, b.lo, 0)
	r.mid, c = bits.Add64(a.mid, b.mid, c)
	r.hi, _ = bits.Add64(a.hi, b.hi, c)
	return r
}

func (a u192) sub(b u192) (r u192) {
	var c uint64
	r.lo, c = bits.Sub64(a.lo, b.lo, 0)
	r.mid, c = bits.Sub64(a.mid, b.mid, c)
	r.hi, _ = bits.Sub64(a.hi, b.hi, c)
	return r
}

func (a u192) cmp(b u192) int {
	switch d := a.sub(b); {
	case a.hi != b.hi && a.hi < b.hi, a.hi == b.hi && (a.mid < b.mid || a.mid == b.mid && a.lo < b.lo):
		return -1
	case d == u192{}:
		return 0
	}
	return 1
}

// mul returns a·b; the caller knows that it fits.
func (a u192) mul(b uint64) (r u192) {
	h0, l0 := bits.Mul64(a.lo, b)
	h1, l1 := bits.Mul64(a.mid, b)
	var c uint64
	r.lo = l0
	r.mid, c = bits.Add64(l1, h0, 0)
	r.hi = a.hi*b + h1 + c
	return r
}

func (a u192) float() float64 {
	return float64(a.hi)*0x1p128 + float64(a.mid)*0x1p64 + float64(a.lo)
}

// square is v².
func square(v int64) u192 {
	u := magnitude(v)
	hi, lo := bits.Mul64(u, u)
	return u192{lo, hi, 0}
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// square128 is |s|² where that fits 192 bits: |s| below 2⁹⁶.
func square128(s schemas.Int128) u192 {
	if s.Hi < 0 {
		s = s.Neg()
	}
	hi, lo := bits.Mul64(s.Lo, s.Lo)
	r := u192{lo, hi, 0}
	if s.Hi == 0 {
		return r
	}
	h := uint64(s.Hi)
	ch, cl := bits.Mul64(h, s.Lo)
	var c uint64
	r.mid, c = bits.Add64(r.mid, cl<<1, 0)
	r.hi, _ = bits.Add64(r.hi, ch<<1|cl>>63, c)
	r.hi += h * h
	return r
}

// mean is sum/n rounded half-even, n from 1 to MaxEvents.
func mean(sum schemas.Int128, n int64) schemas.Int128 {
	v, ok := sum.Int64()
	if !ok {
		return sum.DivRound(uint64(n))
	}
	q := v / n
	if rest := magnitude(v-q*n) * 2; rest > uint64(n) || rest == uint64(n) && q&1 == 1 {
		if q += 1; v < 0 {
			q -= 2
		}
	}
	return schemas.I128(q)
}

// stddev is the population's standard deviation of n values with this sum and sum of squares, rounded half-even: √(n·sq − sum²)/n. n
// times the values' sum must be below 2⁹⁶: 5 million amounts (2⁸³), or the sums of ten years' days.
func stddev(n int64, sum schemas.Int128, sq u192) schemas.Int128 {
	if sq.hi == 0 && sq.mid < 1<<36 && n < 1<<24 { // n·sq is below 2¹²⁴, and sum² is not above it: 128 bits do
		if q, ok := narrowStddev(uint64(n), sum.Lo, sum.Hi, sq.lo, sq.mid); ok {
			return schemas.Int128{Lo: q}
		}
	}
	return rootOver(sq.mul(uint64(n)).sub(square128(sum)), uint64(n))
}

// narrowStddev is stddev in 128 bits; ok is false where the float's proposal is not exact.
func narrowStddev(n, sumLo uint64, sumHi int64, sqLo, sqHi uint64) (q uint64, ok bool) {
	s := sumLo
	if sumHi < 0 {
		s = -s
	}
	h, lo := bits.Mul64(sqLo, n)
	hi := sqHi*n + h
	sh, sl := bits.Mul64(s, s)
	lo, c := bits.Sub64(lo, sl, 0)
	hi, _ = bits.Sub64(hi, sh, c)
	f := math.Sqrt(float64(hi)*0x1p64+float64(lo)) / float64(n)
	q = uint64(f + 0.5)
	hi, lo = hi<<2|lo>>62, lo<<2
	// q is right where 4·d lies between the squares of (2q−1)·n and (2q+1)·n.
	uh, ul := bits.Mul64((2*q+1)*n, (2*q+1)*n)
	if _, c = bits.Sub64(lo, ul, 0); c == 0 && hi >= uh || hi > uh {
		return 0, false
	}
	if q == 0 {
		return 0, true
	}
	dh, dl := bits.Mul64((2*q-1)*n, (2*q-1)*n)
	if _, c = bits.Sub64(dl, lo, 0); c == 0 && dh >= hi || dh > hi {
		return 0, false
	}
	return q, true
}

// rootOver is √d/n rounded half-even, exact: the float only proposes.
func rootOver(d u192, n uint64) schemas.Int128 {
	if d == (u192{}) {
		return schemas.Int128{}
	}
	f := math.Sqrt(d.float()) / float64(n)
	if f >= 1<<61 {
		return wideRoot(d, n, f)
	}
	q, d4 := uint64(f), d.mul(4)
	for { // q is right where 4·d lies between the squares of (2q−1)·n and (2q+1)·n
		if c := d4.cmp(squareOf(2*q+1, n)); c > 0 || c == 0 && q&1 == 1 {
			q += step(d4, 2*q+1, n)
			continue
		}
		if q > 0 {
			if c := d4.cmp(squareOf(2*q-1, n)); c < 0 || c == 0 && q&1 == 1 {
				q -= step(d4, 2*q-1, n)
				continue
			}
		}
		return schemas.I128(int64(q))
	}
}

// step is about half of how far q is from √d4/2n, at least 1: a proposal that misses the last bits of a large root comes near at once
// and does not overshoot. The difference is taken of the integers: that of floats would be noise there.
func step(d4 u192, k, n uint64) uint64 {
	a, b := d4, squareOf(k, n)
	if a.cmp(b) < 0 {
		a, b = b, a
	}
	return max(1, uint64(a.sub(b).float()/(8*float64(k)*float64(n)*float64(n))))
}

// squareOf is (k·n)², where k·n is below 2⁹⁶.
func squareOf(k, n uint64) u192 {
	hi, lo := bits.Mul64(k, n)
	return square128(schemas.Int128{Hi: int64(hi), Lo: lo})
}

// wideRoot is rootOver for results beyond 64 bits: the largest q with (2q−1)·n ≤ √(4·d), by halving near the float's proposal.
func wideRoot(d u192, n uint64, f float64) schemas.Int128 {
	d4 := d.mul(4)
	lo, hi := fromFloat(f*(1-0x1p-40)), fromFloat(f*(1+0x1p-40))
	for {
		gap := hi.Sub(lo)
		if gap.Hi == 0 && gap.Lo == 1 {
			return lo
		}
		half := schemas.Int128{Hi: gap.Hi >> 1, Lo: gap.Lo>>1 | uint64(gap.Hi)<<63}
		mid := lo.Add(half)
		k := mid.Add(mid).Sub(schemas.I128(1))
		h, l := bits.Mul64(k.Lo, n)
		c := square128(schemas.Int128{Hi: int64(uint64(k.Hi)*n + h), Lo: l}).cmp(d4)
		if c < 0 || c == 0 && mid.Lo&1 == 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
}

// fromFloat is the integer part of f ≥ 0.
func fromFloat(f float64) schemas.Int128 {
	hi := math.Floor(f * 0x1p-64)
	return schemas.Int128{Hi: int64(hi), Lo: uint64(f - hi*0x1p64)}
}
