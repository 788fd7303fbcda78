package rule

import (
	"math"
	"math/big"
	"math/bits"

	"github.com/streamgauge/streamgauge/schemas"
)

// addMoney is a+b and whether it fits.
func addMoney(a, b schemas.Int128) (schemas.Int128, bool) {
	r := a.Add(b)
	return r, (a.Hi < 0) != (b.Hi < 0) || (r.Hi < 0) == (a.Hi < 0)
}

// subMoney is a−b and whether it fits.
func subMoney(a, b schemas.Int128) (schemas.Int128, bool) {
	r := a.Sub(b)
	return r, (a.Hi < 0) == (b.Hi < 0) || (r.Hi < 0) == (a.Hi < 0)
}

// scaleMoney is a·num/den, rounded half-even, den > 0, and whether it fits.
func scaleMoney(a schemas.Int128, num int64, den uint64) (schemas.Int128, bool) {
	neg := (a.Hi < 0) != (num < 0)
	if a.Hi < 0 {
		a = a.Neg() // the lowest value stays itself: 2¹²⁷ when read unsigned
	}
	n := uint64(num)
	if num < 0 {
		n = -n
	}
	h1, l1 := bits.Mul64(uint64(a.Hi), n)
	h0, l0 := bits.Mul64(a.Lo, n)
	mid, carry := bits.Add64(l1, h0, 0)
	top := h1 + carry // cannot overflow: the product of 128 and 64 bits fits 192
	q2, rem := top/den, top%den
	q1, rem := bits.Div64(rem, mid, den)
	q0, rem := bits.Div64(rem, l0, den)
	if half := den - rem; rem > half || rem == half && q0&1 == 1 {
		q0, carry = bits.Add64(q0, 1, 0)
		q1, carry = bits.Add64(q1, 0, carry)
		q2 += carry
	}
	r := schemas.Int128{Hi: int64(q1), Lo: q0}
	if q2 != 0 || r.Hi < 0 {
		return schemas.Int128{}, false
	}
	if neg {
		r = r.Neg()
	}
	return r, true
}

// moneyFloat is the amount in currency units as a double.
func moneyFloat(a schemas.Int128) float64 { return a.Float() / schemas.Micro }

// intMoney is n currency units.
func intMoney(n int64) schemas.Int128 { return product(n, schemas.Micro) }

// product is a·b; 64 and 63 bits always fit.
func product(a, b int64) schemas.Int128 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	hi -= uint64(a>>63)&uint64(b) + uint64(b>>63)&uint64(a) // from the unsigned to the signed product
	return schemas.Int128{Hi: int64(hi), Lo: lo}
}

// floatMicros is f·10⁶ rounded half-even, computed exactly; ok is false above about 10³⁸, where it may not fit.
func floatMicros(f float64) (schemas.Int128, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return schemas.Int128{}, false
	}
	frac, exp := math.Frexp(math.Abs(f))
	mantissa := uint64(frac * (1 << 53)) // exact
	exp -= 53
	hi, lo := bits.Mul64(mantissa, schemas.Micro) // 73 bits
	switch {
	case exp > 54: // 73 + 54 = 127 bits
		return schemas.Int128{}, false
	case exp >= 0:
		for range exp {
			hi, lo = hi<<1|lo>>63, lo<<1
		}
	case exp > -128:
		var sticky, half uint64
		for range -exp {
			sticky |= half
			half = lo & 1
			hi, lo = hi>>1, lo>>1|hi<<63
		}
		if half == 1 && (sticky == 1 || lo&1 == 1) {
			var carry uint64
			lo, carry = bits.Add64(lo, 1, 0)
			hi += carry
		}
	default:
		hi, lo = 0, 0
	}
	r := schemas.Int128{Hi: int64(hi), Lo: lo}
	if f < 0 {
		r = r.Neg()
	}
	return r, true
}

// bigInt128 narrows v; ok is false where it does not fit.
func bigInt128(v *big.Int) (r schemas.Int128, ok bool) {
	if v.BitLen() > 127 {
		return r, false
	}
	abs := new(big.Int).Abs(v)
	r.Lo = new(big.Int).And(abs, new(big.Int).SetUint64(math.MaxUint64)).Uint64()
	r.Hi = int64(new(big.Int).Rsh(abs, 64).Uint64())
	if v.Sign() < 0 {
		r = r.Neg()
	}
	return r, true
}

// floor is the largest integer at or below d, and whether it is d.
func floor(d *big.Rat) (*big.Int, bool) {
	q, r := new(big.Int).DivMod(d.Num(), d.Denom(), new(big.Int))
	return q, r.Sign() == 0
}

// roundEven is d rounded half-even.
func roundEven(d *big.Rat) *big.Int {
	q, exact := floor(d)
	if exact {
		return q
	}
	rest := new(big.Rat).Sub(d, new(big.Rat).SetInt(q))
	if c := rest.Cmp(big.NewRat(1, 2)); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// inMicros is d·10⁶.
func inMicros(d *big.Rat) *big.Rat { return new(big.Rat).Mul(d, big.NewRat(schemas.Micro, 1)) }
