package rule

import (
	"cmp"
	"math"
	"math/big"

	"cel.dev/cel-go/common/ast"

	"github.com/streamgauge/streamgauge/schemas"
)

// compare compiles a comparison. A constant operand is brought to the other's integers once, exactly: amount >= 1000.5 compares
// integers of 10⁻⁶, count(…) > 2.5 compares counts with 2.
func (c *compiler[C]) compare(o order, a, b ast.Expr) boolFn[C] {
	if _, ok := c.constant(a); ok {
		a, b, o = b, a, o.mirrored()
	}
	if k, ok := c.constant(b); ok {
		return c.compareConstant(o, a, b, &k)
	}
	ka, kb := c.kind(a), c.kind(b)
	strict := o != equal && o != unequal
	switch {
	case ka == Text:
		return compared(o, c.textOf(a), c.textOf(b), cmp.Compare[string])
	case ka == Bool:
		return compared(o, c.boolean(a), c.boolean(b), func(v, w bool) int {
			if v == w {
				return 0
			}
			return 1
		})
	case ka == Duration, ka == Int && kb == Int:
		return compared(o, c.integer(a), c.integer(b), cmp.Compare[int64])
	case ka != Double && kb != Double:
		return compared(o, c.money(a), c.money(b), schemas.Int128.Cmp)
	case strict:
		return compareDoubles(o, c.double(a), c.double(b))
	}
	return compared(o, c.double(a), c.double(b), sameDouble)
}

// compared compiles a comparison of two measured values. For == and != a failed operand wins over an unknown one, as in CEL; for the
// others the first counts.
func compared[C, T any](o order, a, b func(*C) (T, status), f func(T, T) int) boolFn[C] {
	if o == equal || o == unequal {
		return func(x *C) (bool, status) {
			v, s := a(x)
			if s < 0 {
				return false, s
			}
			w, t := b(x)
			if t < 0 || s == 0 && t != 0 {
				return false, t
			}
			return s == 0 && o.holds(f(v, w)), s
		}
	}
	return func(x *C) (bool, status) {
		v, s := a(x)
		if s == 0 {
			var w T
			if w, s = b(x); s == 0 {
				return o.holds(f(v, w)), 0
			}
		}
		return false, s
	}
}

// compareDoubles orders two doubles; what is not a number is neither below, equal nor above.
func compareDoubles[C any](o order, a, b doubleFn[C]) boolFn[C] {
	return func(x *C) (bool, status) {
		v, s := a(x)
		if s == 0 {
			var w float64
			if w, s = b(x); s == 0 {
				return !math.IsNaN(v) && !math.IsNaN(w) && o.holds(cmp.Compare(v, w)), 0
			}
		}
		return false, s
	}
}

// sameDouble is 0 for equal doubles, else 1: for == and !=.
func sameDouble(v, w float64) int {
	if v == w {
		return 0
	}
	return 1
}

func (c *compiler[C]) compareConstant(o order, a, b ast.Expr, k *constant) boolFn[C] {
	switch c.kind(a) {
	case Text:
		if o == equal || o == unequal {
			c.checkText(a, b, k.s)
		}
		v, f := k.s, c.textOf(a)
		if o == equal {
			return func(x *C) (bool, status) {
				t, s := f(x)
				return s == 0 && t == v, s
			}
		}
		return withConstant(o, f, v, cmp.Compare[string])
	case Bool:
		f, want := c.boolean(a), (k.i != 0) == (o == equal)
		return func(x *C) (bool, status) {
			t, s := f(x)
			return s == 0 && t == want, s
		}
	case Duration:
		return compareInts(o, c.integer(a), k.i)
	case Int:
		n, o := threshold(o, k.rational())
		if n.IsInt64() {
			return compareInts(o, c.integer(a), n.Int64())
		}
		return compareInts(beyond(o, n), c.integer(a), 0)
	case Money:
		n, o := threshold(o, inMicros(k.rational()))
		if v, ok := bigInt128(n); ok {
			return compareMoney(o, c.money(a), v)
		}
		return compareMoney(beyond(o, n), c.money(a), schemas.Int128{})
	}
	v := k.float()
	constant := func(*C) (float64, status) { return v, 0 }
	if o == equal || o == unequal {
		return withConstant(o, c.double(a), v, sameDouble)
	}
	return compareDoubles(o, c.double(a), constant)
}

// threshold turns a comparison of an integer with d into one with an integer.
func threshold(o order, d *big.Rat) (*big.Int, order) {
	n, exact := floor(d)
	if exact {
		return n, o
	}
	// No integer equals d: those at or below n are below d, the others above.
	r := order(0)
	if o.holds(-1) {
		r |= below | equal
	}
	if o.holds(1) {
		r |= above
	}
	return n, r
}

// beyond is the order that holds for every value or none: all integers of the type lie on one side of n.
func beyond(o order, n *big.Int) order {
	if o.holds(-n.Sign()) {
		return below | equal | above
	}
	return 0
}

func compareInts[C any](o order, a intFn[C], v int64) boolFn[C] {
	return func(x *C) (bool, status) {
		t, s := a(x)
		return s == 0 && o.holds(cmp.Compare(t, v)), s
	}
}

func compareMoney[C any](o order, a moneyFn[C], v schemas.Int128) boolFn[C] {
	return func(x *C) (bool, status) {
		t, s := a(x)
		return s == 0 && o.holds(t.Cmp(v)), s
	}
}

func withConstant[C, T any](o order, a func(*C) (T, status), v T, f func(T, T) int) boolFn[C] {
	return func(x *C) (bool, status) {
		t, s := a(x)
		return s == 0 && o.holds(f(t, v)), s
	}
}

// checkText says where a field is compared with a text that it never has.
func (c *compiler[C]) checkText(e, at ast.Expr, v string) {
	name := ""
	if l := c.leaves[e.ID()]; l.is == thisLeaf {
		name = l.name
	} else if e.Kind() == ast.IdentKind {
		name = e.AsIdent()
	}
	var known []string
	switch name {
	case "direction":
		known = schemas.Sides[schemas.SideOut:]
	case "kind":
		known = []string{schemas.KindPayment.String(), schemas.KindTransaction.String()}
	case "state":
		known = c.scope.policy.states()
	default:
		return
	}
	for _, k := range known {
		if k == v {
			return
		}
	}
	c.mistake(at, "`%s` is never '%s': it is %s%s", name, clip(v), oneOf(known), didYouMean(v, known))
}
