package schemas_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

var (
	two128 = new(big.Int).Lsh(big.NewInt(1), 128)
	max128 = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 127), big.NewInt(1))
	min128 = new(big.Int).Not(max128)
)

func big128(x schemas.Int128) *big.Int {
	v := new(big.Int).Lsh(big.NewInt(x.Hi), 64)
	return v.Add(v, new(big.Int).SetUint64(x.Lo))
}

// wrap128 brings v into 128 bits, two's complement.
func wrap128(v *big.Int) *big.Int {
	v = new(big.Int).Mod(v, two128)
	if v.Cmp(max128) > 0 {
		v.Sub(v, two128)
	}
	return v
}

// random128 has every magnitude, and the edges often.
func random128(r *rand.Rand) schemas.Int128 {
	x := schemas.Int128{Hi: int64(r.Uint64()), Lo: r.Uint64()}
	for range r.IntN(128) {
		x = schemas.Int128{Hi: x.Hi >> 1, Lo: x.Lo>>1 | uint64(x.Hi)<<63}
	}
	switch r.IntN(16) {
	case 0:
		x = schemas.I128([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, schemas.MaxAmount, -schemas.MaxAmount, schemas.Micro}[r.IntN(8)])
	case 1:
		x = schemas.Int128{Hi: math.MinInt64}
	case 2:
		x = schemas.Int128{Hi: math.MaxInt64, Lo: math.MaxUint64}
	case 3:
		x.Lo = []uint64{0, 1, math.MaxUint64, 1 << 63}[r.IntN(4)]
	}
	return x
}

// TestInt128_AgreesWithBigIntegers: sums, differences, signs, comparisons, bytes and text.
func TestInt128_AgreesWithBigIntegers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 40_000 {
		a, b := random128(r), random128(r)
		x, y := big128(a), big128(b)
		for _, c := range []struct {
			op        string
			got, want *big.Int
		}{
			{"+", big128(a.Add(b)), wrap128(new(big.Int).Add(x, y))},
			{"-", big128(a.Sub(b)), wrap128(new(big.Int).Sub(x, y))},
			{"neg", big128(a.Neg()), wrap128(new(big.Int).Neg(x))},
			{"bytes", big128(schemas.Int128FromBytes(a.Bytes())), x},
		} {
			if c.got.Cmp(c.want) != 0 {
				t.Fatalf("%s %s %s = %s, want %s", x, c.op, y, c.got, c.want)
			}
		}
		if a.Cmp(b) != x.Cmp(y) || a.Cmp(a) != 0 || a.Sign() != x.Sign() {
			t.Fatalf("%s against %s: %d, sign %d", x, y, a.Cmp(b), a.Sign())
		}
		raw := a.Bytes()
		if want := new(big.Int).Mod(x, two128); new(big.Int).SetBytes(raw[:]).Cmp(want) != 0 {
			t.Fatalf("%s as bytes: %x", x, raw)
		}
		if v, ok := a.Int64(); ok != x.IsInt64() || ok && v != x.Int64() {
			t.Fatalf("%s as int64: %d, %t", x, v, ok)
		}
		if got, want := a.Float(), nearest(x); got != want {
			t.Fatalf("%s as float: %v, want %v", x, got, want)
		}
		if got, want := a.Decimal(), decimalText(x); got != want {
			t.Fatalf("%s·10⁻⁶ as text: %s, want %s", x, got, want)
		}
	}
}

func nearest(x *big.Int) float64 {
	f, _ := new(big.Float).SetPrec(200).SetInt(x).Float64()
	return f
}

// decimalText is x·10⁻⁶ by the slow way.
func decimalText(x *big.Int) string {
	s := new(big.Rat).SetFrac(x, big.NewInt(schemas.Micro)).FloatString(6)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// TestInt128_DivRoundIsHalfEven: means are exact to the last micro, ties to the even one, negative as positive.
func TestInt128_DivRoundIsHalfEven(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 40_000 {
		a, n := random128(r), r.Uint64()>>r.IntN(64)
		switch i % 8 {
		case 0:
			n = []uint64{1, 2, 3, 4, 10, math.MaxUint64, 1 << 63}[r.IntN(7)]
		case 1: // a tie on purpose: (2k+1)·n/2
			n = 2 * (1 + r.Uint64N(1<<40))
			a = schemas.I128(int64(n/2) * (2*r.Int64N(1<<20) - 1<<20 + 1))
		}
		n = max(n, 1)
		if got, want := big128(a.DivRound(n)), halfEven(big128(a), new(big.Int).SetUint64(n)); got.Cmp(want) != 0 {
			t.Fatalf("%s / %d = %s, want %s", big128(a), n, got, want)
		}
	}
	for _, x := range []struct{ a, want int64 }{{5, 2}, {7, 4}, {-5, -2}, {-7, -4}, {1, 0}, {-1, 0}, {3, 2}, {-3, -2}} {
		if got, _ := schemas.I128(x.a).DivRound(2).Int64(); got != x.want {
			t.Errorf("%d/2 = %d, want %d", x.a, got, x.want)
		}
	}
	defer func() {
		if s := fmt.Sprint(recover()); !strings.HasPrefix(s, "BUG: ") {
			t.Errorf("division by zero: %s", s)
		}
	}()
	schemas.I128(1).DivRound(0)
}

// halfEven divides by comparing twice the remainder with the divisor.
func halfEven(a, n *big.Int) *big.Int {
	q, m := new(big.Int).DivMod(a, n, new(big.Int)) // floor for n > 0
	switch m.Lsh(m, 1).Cmp(n) {
	case 1:
		q.Add(q, big.NewInt(1))
	case 0:
		q.Add(q, new(big.Int).SetUint64(uint64(q.Bit(0))))
	}
	return q
}

// TestInt128_SumsOfAmountsCannotOverflow: the bound that MaxAmount's comment claims, at its edge.
func TestInt128_SumsOfAmountsCannotOverflow(t *testing.T) {
	sum := new(big.Int).Mul(big.NewInt(schemas.MaxAmount), new(big.Int).Lsh(big.NewInt(1), 64))
	if sum.Cmp(max128) > 0 || sum.Neg(sum).Cmp(min128) < 0 {
		t.Error("2⁶⁴ amounts of MaxAmount leave 128 bits")
	}
	if v, _ := schemas.I128(schemas.MaxAmount).Add(schemas.I128(schemas.MaxAmount)).Int64(); v != 2*schemas.MaxAmount {
		t.Errorf("sum %d", v)
	}
}

// TestDecimal_ExactTextWithoutTrailingZeros is how money leaves.
func TestDecimal_ExactTextWithoutTrailingZeros(t *testing.T) {
	for micros, want := range map[int64]string{
		57_160_000: "57.16", 5_000_000: "5", 0: "0", 1: "0.000001", -1: "-0.000001", -57_160_000: "-57.16", 100_000: "0.1",
		schemas.MaxAmount: "999999999999.999999", -schemas.MaxAmount: "-999999999999.999999", math.MinInt64: "-9223372036854.775808",
	} {
		if got := schemas.FormatAmount(micros); got != want {
			t.Errorf("%d: %s, want %s", micros, got, want)
		}
	}
	if got := (schemas.Int128{Hi: math.MinInt64}).Decimal(); got != "-170141183460469231731687303715884.105728" {
		t.Errorf("the smallest: %s", got)
	}
}

// scaled is ParseScaled by rationals: what number stands there, then rounding. ok is false for bad grammar.
func scaled(s string, exp int) (micros *big.Int, rounded, ok bool) {
	t := strings.TrimPrefix(s, "+")
	if t != s && strings.HasPrefix(t, "-") || !grammar(t) {
		return nil, false, false
	}
	x, ok := new(big.Rat).SetString(t)
	if !ok {
		return nil, false, false
	}
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exp+6, -exp-6))), nil)
	if exp+6 >= 0 {
		x.Mul(x, new(big.Rat).SetInt(ten))
	} else {
		x.Quo(x, new(big.Rat).SetInt(ten))
	}
	return halfEven(x.Num(), x.Denom()), !x.IsInt(), true
}

// grammar is JSON's number, leading zeros allowed, read by hand: -? digits (. digits)? ([eE] [+-]? digits)?
func grammar(s string) bool {
	s = strings.TrimPrefix(s, "-")
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(s), "e")
	whole, fraction, hasFraction := strings.Cut(mantissa, ".")
	if exponent != "" && (exponent[0] == '+' || exponent[0] == '-') {
		exponent = exponent[1:]
	}
	return allDigits(whole) && (!hasFraction || allDigits(fraction)) && (!hasExponent || allDigits(exponent))
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func holdScaled(t *testing.T, s string, exp int) {
	t.Helper()
	got, rounded, err := schemas.ParseScaled(s, exp)
	if i := strings.IndexAny(s, "eE"); i >= 0 && len(s)-i > 5 {
		return // the rationals would take for ever; TestParseAmount_Examples has such exponents
	}
	want, wantRounded, ok := scaled(s, exp)
	switch {
	case !ok:
		if err == nil || errors.Is(err, schemas.ErrAmountRange) {
			t.Fatalf("%q: %d, %v; it is no number", s, got, err)
		}
	case want.CmpAbs(big.NewInt(schemas.MaxAmount)) > 0:
		if !errors.Is(err, schemas.ErrAmountRange) {
			t.Fatalf("%q·10^%d: %d, %v; it is out of range", s, exp, got, err)
		}
	case err != nil || got != want.Int64() || rounded != wantRounded:
		t.Fatalf("%q·10^%d: %d, rounded %t, %v; want %s, rounded %t", s, exp, got, rounded, err, want, wantRounded)
	}
}

// randomNumber writes numbers as people and machines do: many digits, exponents, ties, edges, and now and then something broken.
func randomNumber(r *rand.Rand) string {
	digits := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte('0' + byte(r.IntN(10)*r.IntN(2)+5*r.IntN(2))%10)
		}
		return b.String()
	}
	var s string
	switch r.IntN(8) {
	case 0: // a tie, or one digit beside it
		s = digits(1+r.IntN(12)) + "." + digits(6) + "5" + strings.Repeat("0", r.IntN(30)) + []string{"", "1", "0"}[r.IntN(3)]
	case 1: // the range's edge
		s = []string{"999999999999.999999", "999999999999.9999994", "999999999999.9999995", "999999999999.9999996", "1000000000000",
			"9223372036854.775807", "9223372036854.775808", "18446744073709.551615", "18446744073709.551616", "1844674407370955.2"}[r.IntN(10)]
	case 2:
		s = strings.Repeat("0", r.IntN(40)) + digits(1+r.IntN(4)) + "." + strings.Repeat("0", r.IntN(40)) + digits(1+r.IntN(40))
	default:
		s = digits(1 + r.IntN(20))
		if r.IntN(2) == 0 {
			s += "." + digits(1+r.IntN(12))
		}
	}
	if r.IntN(3) == 0 {
		s += []string{"e", "E"}[r.IntN(2)] + []string{"", "+", "-"}[r.IntN(3)] + []string{"0", "1", "6", "07", "12", "25", "400"}[r.IntN(7)]
	}
	s = []string{"", "", "-", "+"}[r.IntN(4)] + s
	if r.IntN(6) == 0 { // break it
		i := r.IntN(len(s) + 1)
		s = s[:i] + []string{" ", "x", "-", "+", ".", "e", ",", "_", "0x", "", "\x00", "٣", "1/2", "Inf"}[r.IntN(14)] + s[i+r.IntN(min(2, len(s)-i+1)):]
	}
	return s
}

// TestParseScaled_AgreesWithRationals holds it against math/big, which knows nothing of micros.
func TestParseScaled_AgreesWithRationals(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 40_000 {
		holdScaled(t, randomNumber(r), r.IntN(37)-18)
	}
}

// TestParseAmount_Examples are the cases that people ask about.
func TestParseAmount_Examples(t *testing.T) {
	for s, want := range map[string]int64{
		"57.16": 57_160_000, "-0": 0, "0.0000005": 0, "0.0000015": 2, "0.0000025": 2, "-0.0000015": -2, "0.00000050000000000000001": 1,
		"1e-6": 1, "1E2": 100_000_000, "+5": 5_000_000, "007": 7_000_000, "999999999999.999999": schemas.MaxAmount,
		"0e999999999999999999999": 0, "1e-999999999999999999999": 0,
	} {
		if got, _, err := schemas.ParseAmount(s); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-", "+", ".5", "5.", "1e", "1e+", "0x10", "NaN", "Infinity", "1,5", " 1", "1 ", "--1", "+-1", "1.2.3", "1_000", "1e5.0", "٣"} {
		if got, _, err := schemas.ParseAmount(s); err == nil || errors.Is(err, schemas.ErrAmountRange) {
			t.Errorf("%q: %d, %v; it is no number", s, got, err)
		}
	}
	for _, s := range []string{"1000000000000", "-1e12", "999999999999.9999995", "1e999999999999999999999", strings.Repeat("9", 500)} {
		if _, _, err := schemas.ParseAmount(s); !errors.Is(err, schemas.ErrAmountRange) || len(err.Error()) > 250 {
			t.Errorf("%.30s…: %v", s, err)
		}
	}
}

// TestParseAmount_ExponentAsLongAsTheText: a million digits and the exponent that takes them back are one.
func TestParseAmount_ExponentAsLongAsTheText(t *testing.T) {
	const n = 1_200_000
	for _, s := range []string{"0." + strings.Repeat("0", n-1) + "1e1200000", "1" + strings.Repeat("0", n) + "e-1200000"} {
		if got, _, err := schemas.ParseAmount(s); err != nil || got != schemas.Micro {
			t.Errorf("%.10s… of %d bytes: %d, %v", s, len(s), got, err)
		}
	}
}

// FuzzParseScaled holds any text against the rationals.
func FuzzParseScaled(f *testing.F) {
	for _, s := range []string{"57.16", "-0.0000005", "1e-6", "999999999999.9999995", "1e400", "", "1.", "+07e+1"} {
		f.Add(s, 0)
	}
	f.Fuzz(func(t *testing.T, s string, exp int) {
		holdScaled(t, s, exp%19)
	})
}
