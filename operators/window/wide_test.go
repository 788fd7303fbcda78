package window

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

func (a u192) big() *big.Int {
	x := new(big.Int)
	for _, w := range []uint64{a.hi, a.mid, a.lo} {
		x.Lsh(x, 64).Or(x, new(big.Int).SetUint64(w))
	}
	return x
}

// TestStddev_IsTheExactRootRoundedHalfEven holds roots of all sizes, ties among them, against big integers.
func TestStddev_IsTheExactRootRoundedHalfEven(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 200_000 {
		n := 1 + r.Uint64N(1<<(1+r.UintN(22)))
		var d u192
		switch i % 3 {
		case 0: // exactly between two integers, and one beside: (k·n/2)²
			k := r.Uint64N(1 << (1 + r.UintN(60)))
			if k*n%2 == 1 {
				n++
			}
			d = squareOf(k, n/2)
			if k%2 == 0 {
				d = squareOf(k/2, n)
			}
			if r.IntN(2) == 0 {
				d = d.add(u192{lo: r.Uint64N(2)})
			}
		case 1:
			d = squareOf(r.Uint64()>>r.UintN(64), n).add(u192{lo: r.Uint64() >> r.UintN(64)})
		case 2: // days' sums: beyond 64 bits
			n = 1 + r.Uint64N(3000)
			d = square128(schemas.Int128{Hi: int64(r.Uint64() >> (32 + r.UintN(32))), Lo: r.Uint64()}).add(u192{lo: r.Uint64N(3)})
			if d.hi>>62 != 0 {
				continue
			}
		}
		got := rootOver(d, n)
		// q is right where (2q−1)·n < 2·√d < (2q+1)·n, or a tie with q even
		q := new(big.Int).SetUint64(uint64(got.Hi))
		q.Lsh(q, 64).Or(q, new(big.Int).SetUint64(got.Lo))
		four := new(big.Int).Mul(d.big(), big.NewInt(4))
		side := func(off int64) int {
			k := new(big.Int).Add(new(big.Int).Lsh(q, 1), big.NewInt(off))
			if k.Sign() < 0 {
				return 1
			}
			k.Mul(k, new(big.Int).SetUint64(n))
			return four.Cmp(k.Mul(k, k))
		}
		lo, hi := side(-1), side(1)
		if lo < 0 || hi > 0 || (lo == 0 || hi == 0) && q.Bit(0) == 1 {
			t.Fatalf("√%v/%d = %v is wrong: %d %d", d.big(), n, q, lo, hi)
		}
	}
}

// TestStddev_NarrowAndWideAgree holds the fast way and the mean against the slow ones.
func TestStddev_NarrowAndWideAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	narrow := 0
	for range 200_000 {
		n := 1 + r.Int64N(1<<r.UintN(7))
		var sum schemas.Int128
		var sq u192
		size := r.UintN(60)
		for range n {
			v := r.Int64N(1<<size) - r.Int64N(1<<size)
			if r.IntN(4) > 0 {
				v = v / 2 * 2
			}
			sum, sq = sum.Add(schemas.I128(v)), sq.add(square(v))
		}
		d := sq.mul(uint64(n)).sub(square128(sum))
		if got, want := stddev(n, sum, sq), rootOver(d, uint64(n)); got != want {
			t.Fatalf("n %d sum %v sq %v: %v, want %v", n, sum, sq, got, want)
		}
		if sq.hi == 0 && sq.mid < 1<<36 {
			if _, ok := narrowStddev(uint64(n), sum.Lo, sum.Hi, sq.lo, sq.mid); ok {
				narrow++
			}
		}
		if got, want := mean(sum, n), sum.DivRound(uint64(n)); got != want {
			t.Fatalf("%v / %d: %v, want %v", sum, n, got, want)
		}
	}
	if narrow < 100_000 {
		t.Errorf("only %d went the fast way", narrow)
	}
}
