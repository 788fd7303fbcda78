package rule

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// model is a random expression of constants with its exact value: whole numbers stay whole, the rest are rationals.
type model struct {
	text string
	i    int64    // where d is nil
	d    *big.Rat // a decimal
	dead bool     // always fails: overflow or division by zero
}

func (m model) rat() *big.Rat {
	if m.d != nil {
		return m.d
	}
	return new(big.Rat).SetInt64(m.i)
}

func randomModel(r *rand.Rand, depth int) model {
	if depth == 0 {
		if r.IntN(2) == 0 {
			n := []int64{0, 1, -1, 7, 10000, 1 << 62, -(1 << 62)}[r.IntN(7)]
			return model{text: fmt.Sprint(n), i: n}
		}
		s := []string{"0.10", "1.0", "0.43", "-2.5", "1e3", "0.000001", "123456789.987654321"}[r.IntN(7)]
		d, _ := new(big.Rat).SetString(s)
		return model{text: s, d: d}
	}
	a, b := randomModel(r, depth-1), randomModel(r, depth-1-r.IntN(depth))
	op := "+-*/"[r.IntN(4)]
	m := model{text: fmt.Sprintf("(%s %c %s)", a.text, op, b.text), dead: a.dead || b.dead}
	if m.dead {
		return m
	}
	zero := b.rat().Sign() == 0
	if op == '/' && zero {
		m.dead = true
		return m
	}
	x := new(big.Rat)
	switch op {
	case '+':
		x.Add(a.rat(), b.rat())
	case '-':
		x.Sub(a.rat(), b.rat())
	case '*':
		x.Mul(a.rat(), b.rat())
	case '/':
		x.Quo(a.rat(), b.rat())
	}
	if a.d != nil || b.d != nil {
		m.d = x
		return m
	}
	whole := new(big.Int).Quo(x.Num(), x.Denom()) // toward zero, as CEL divides
	if !whole.IsInt64() {
		m.dead = true
		return m
	}
	m.i = whole.Int64()
	return m
}

func TestFold_IsExactInDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	deads := 0
	for range 3000 {
		m := randomModel(r, 1+r.IntN(4))
		var wrong mistakes
		x := newExpression(&file{mistakes: &wrong, lines: [][]rune{[]rune(m.text)}}, &yaml.Node{Kind: yaml.ScalarNode, Value: m.text, Line: 1, Column: 1}, nil, &scope{planner: newPlanner()})
		x.check("number", Int, Double)
		if m.dead {
			deads++
			if err := wrong.err(); err == nil || !strings.Contains(err.Error(), "this always fails") {
				t.Fatalf("%s: got %v, want a mistake", m.text, err)
			}
			continue
		}
		c, ok := x.constant(x.tree.Expr())
		switch {
		case !ok || x.bad:
			t.Fatalf("%s: not folded: %v", m.text, wrong.err())
		case (c.kind == Double) != (m.d != nil) || c.rational().Cmp(m.rat()) != 0:
			t.Fatalf("%s: got %s, want %s", m.text, c.text(), m.rat())
		}
	}
	if deads == 0 {
		t.Error("the model never fails")
	}
}

func TestFold_ParametersAndComparisons(t *testing.T) {
	for _, c := range []struct{ when, want string }{
		{"amount >= params.t * (1.0 - params.m)", "amount >= 9000"},
		{"amount >= 10000*(1.0-0.10)", "amount >= 9000"},
		{"amount >= 10000*(1.0-0.43)", "amount >= 5700"},
		{"amount >= 1.0/3", "amount >= (1/3)"},
		{"amount * params.m > 5", "amount * 0.1 > 5"},
		{"count(params.w) > params.n/4", "count('72h') > 2"},
		{"count(params.w + duration('1h')) > 1", "count('3d1h') > 1"},
		{"since(true) > params.w * 2", "since(true) > '6d'"},
		{"since(true) > -params.w", ""},
		{"amount > 1 && 1 < 2.5", "amount > 1 && true"},
		{"country == params.s", "country == 'it\\'s'"},
		{"params.b == (amount > 1)", "true == (amount > 1)"},
		{"country in params.l", "country in ['DE', 'FR']"},
		{"amount > 0.1 ? country in params.l : !(amount < 2)", "amount > 0.1 ? country in ['DE', 'FR'] : !(amount < 2)"},
		{"(amount > 1 || amount > 2) && amount > 3", "(amount > 1 || amount > 2) && amount > 3"},
		{"amount - (amount - 1) - amount > 3 * (amount + -1) / 2", "amount - (amount - 1) - amount > 3 * (amount + -1) / 2"},
		{"(amount > 1) == (amount > 2)", "(amount > 1) == (amount > 2)"},
		{"(amount>1?country:type).contains('x')", "(amount > 1 ? country : type).contains('x')"},
		{"-amount > -(amount + 1) && 1e2 < amount", "-amount > -(amount + 1) && 100 < amount"},
		{"country.matches(\"a\\\\.b\")", "country.matches('a\\\\.b')"},
		{"amount > 1.10-0.1", "amount > 1"}, // the literal ends at the minus
		{"amount > 123456789012345.678901", "amount > 123456789012345.678901"},
	} {
		var wrong mistakes
		policy := DefaultPolicy()
		m, _ := new(big.Rat).SetString("0.10")
		params := map[string]constant{"t": intConstant(10000), "m": decimalConstant(m), "w": durationConstant(72 * hour), "n": intConstant(11),
			"s": textConstant("it's"), "b": boolConstant(true), "l": {list: []constant{textConstant("DE"), textConstant("FR")}}}
		x := newExpression(&file{mistakes: &wrong}, &yaml.Node{Kind: yaml.ScalarNode, Value: c.when, Line: 1, Column: 1}, params, &scope{policy: &policy, planner: newPlanner()})
		x.check("condition", Bool)
		if c.want == "" {
			if !x.bad {
				t.Errorf("%s: compiled", c.when)
			}
		} else if got := x.text(x.tree.Expr()); x.bad || got != c.want {
			t.Errorf("%s: got %s (%v), want %s", c.when, got, wrong.err(), c.want)
		}
	}
}

func TestDuration_ReadsWhatItWrites(t *testing.T) {
	for _, c := range []struct {
		text string
		ms   int64
		back string
	}{
		{"10m", 10 * minute, "10m"}, {"72h", 72 * hour, "72h"}, {"3d", 72 * hour, "72h"}, {"90d", 90 * day, "90d"}, {"2w", 14 * day, "14d"},
		{"1d12h", 36 * hour, "36h"}, {"183d4h", 183*day + 4*hour, "183d4h"}, {"500ms", 500, "500ms"}, {"1h0m5s", hour + 5*second, "1h5s"}, {"0s", 0, "0s"},
	} {
		ms, ok, err := parseDuration(c.text)
		if ms != c.ms || !ok || err != nil || formatDuration(ms) != c.back {
			t.Errorf("%s: %d %v %v %s", c.text, ms, ok, err, formatDuration(ms))
		}
	}
	for _, s := range []string{"", "10", "h", "1x", "-1h", "1.5h", "1 h", "1H", "1h-", "day", "٣h"} {
		if _, ok, err := parseDuration(s); ok || err != nil {
			t.Errorf("%q: %v %v", s, ok, err)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		ms := r.Int64N(maxDuration >> r.IntN(40))
		if back, ok, err := parseDuration(formatDuration(ms)); back != ms || !ok || err != nil {
			t.Fatalf("%d is %s is %d (%v)", ms, formatDuration(ms), back, err)
		}
	}
}

func TestScaleMoney_AgreesWithBigNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 20000 {
		a := product(int64(r.Uint64())>>r.IntN(63), int64(r.Uint64())>>r.IntN(63))
		num, den := int64(r.Uint64())>>r.IntN(63), r.Uint64()>>r.IntN(63)
		if r.IntN(3) == 0 {
			den = 2 // halves
		}
		if den == 0 {
			continue
		}
		b := a.Bytes()
		v := new(big.Int).SetBytes(b[:])
		if a.Hi < 0 {
			v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 128))
		}
		want := roundEven(new(big.Rat).SetFrac(v.Mul(v, big.NewInt(num)), new(big.Int).SetUint64(den)))
		w, fits := bigInt128(want)
		if got, ok := scaleMoney(a, num, den); ok != fits || ok && got != w {
			t.Fatalf("%s·%d/%d: got %s %v, want %s", a.Decimal(), num, den, got.Decimal(), ok, want)
		}
	}
}

func TestFloatMicros_IsTheExactValueRoundedHalfEven(t *testing.T) {
	for _, f := range []float64{0, 1, -1, 0.1, 0.5e-6, 1.5e-6, 2.5e-6, -2.5e-6, 1 / 3.0, 1e31, -1.7e32, 1.7014118e32, 1e-300, 123456789.123456789, math.Pi * 1e20,
		math.SmallestNonzeroFloat64, 1 << 53, 0x1p-20, 3 * 0x1p-21, 8.0625e-2} {
		got, ok := floatMicros(f)
		want := roundEven(inMicros(new(big.Rat).SetFloat64(f)))
		w, fits := bigInt128(want)
		fits = fits && w.Cmp(decimalMax) < 0 && w.Cmp(decimalMax.Neg()) > 0
		if fits && !ok || ok && got != w {
			t.Errorf("%v: got %v %v, want %v", f, got.Decimal(), ok, want)
		}
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1.8e32, math.MaxFloat64} {
		if v, ok := floatMicros(f); ok {
			t.Errorf("%v: got %v", f, v)
		}
	}
	if want, _ := bigInt128(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)); want != decimalMax {
		t.Error("decimalMax is not 10³⁸")
	}
}
