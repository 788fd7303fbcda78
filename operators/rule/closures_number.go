package rule

import (
	"math"
	"math/big"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/streamgauge/streamgauge/schemas"
)

// integer compiles an Int, or a Duration in ms.
func (c *compiler[C]) integer(e ast.Expr) intFn[C] {
	switch l := c.leaves[e.ID()]; l.is {
	case constantLeaf:
		v := l.constant.i
		return func(*C) (int64, status) { return v, 0 }
	case featureLeaf:
		c.reads(measure{text: "feature." + l.name, kind: c.kind(e), feature: l.feature + 1})
		return c.access.intFeature(l.feature)
	}
	call := e.AsCall()
	args := call.Args()
	name := call.FunctionName()
	if slot, absent, ok := c.aggregateSlot(e); ok {
		return c.access.intSlot(slot, absent)
	}
	switch name {
	case operators.Conditional:
		return choose(c.boolean(args[0]), c.integer(args[1]), c.integer(args[2]))
	case operators.Negate:
		return c.checkedInts(e, func(*C) (int64, status) { return 0, 0 }, c.integer(args[0]), subInt)
	case "size":
		return c.size(call)
	case "int":
		return c.truncated(e, args[0])
	}
	return c.checkedInts(e, c.integer(args[0]), c.integer(args[1]), intOperators[name])
}

var intOperators = map[string]func(a, b int64) (int64, string){
	operators.Add: addInt, operators.Subtract: subInt, operators.Multiply: mulInt, operators.Divide: divInt, operators.Modulo: modInt,
}

func (c *compiler[C]) checkedInts(e ast.Expr, a, b intFn[C], f func(a, b int64) (int64, string)) intFn[C] {
	overflow, division := c.fault(faultOverflow, e), c.fault(faultDivision, e)
	return func(x *C) (int64, status) {
		v, s := a(x)
		if s != 0 {
			return 0, s
		}
		w, s := b(x)
		if s != 0 {
			return 0, s
		}
		r, fault := f(v, w)
		switch fault {
		case "":
			return r, 0
		case faultDivision:
			return 0, division
		}
		return 0, overflow
	}
}

// truncated is int(x).
func (c *compiler[C]) truncated(e, arg ast.Expr) intFn[C] {
	if c.kind(arg) == Int {
		return c.integer(arg)
	}
	a, overflow := c.double(arg), c.fault(faultOverflow, e)
	return func(x *C) (int64, status) {
		v, s := a(x)
		if s == 0 && !(v > math.MinInt64 && v < math.MaxInt64) { // as CEL has it; NaN too
			return 0, overflow
		}
		return int64(v), s
	}
}

// money compiles Money; an Int becomes money, a decimal constant too, rounded half-even.
func (c *compiler[C]) money(e ast.Expr) moneyFn[C] {
	if k, ok := c.constant(e); ok {
		v, ok := bigInt128(roundEven(inMicros(k.rational())))
		if !ok {
			c.mistake(e, "`%s` is beyond all money", clip(k.text()))
		}
		return func(*C) (schemas.Int128, status) { return v, 0 }
	}
	if c.kind(e) == Int {
		a := c.integer(e)
		return func(x *C) (schemas.Int128, status) {
			v, s := a(x)
			return intMoney(v), s
		}
	}
	if l := c.leaves[e.ID()]; l.is == featureLeaf {
		c.reads(measure{text: "feature." + l.name, kind: Money, feature: l.feature + 1})
		return c.access.moneyFeature(l.feature)
	}
	if c.leaves[e.ID()].is == thisLeaf {
		return c.access.this.amount(c.unknown("this.amount"))
	}
	if e.Kind() == ast.IdentKind {
		c.reads(measure{text: "amount", kind: Money, field: "amount"})
		return c.access.amount(c.unknown("amount"))
	}
	if slot, absent, ok := c.aggregateSlot(e); ok {
		return c.access.moneySlot(slot, absent)
	}
	args := e.AsCall().Args()
	switch name := e.AsCall().FunctionName(); name {
	case operators.Conditional:
		return choose(c.boolean(args[0]), c.money(args[1]), c.money(args[2]))
	case operators.Negate:
		return c.checkedMoney(e, func(*C) (schemas.Int128, status) { return schemas.Int128{}, 0 }, c.money(args[0]), subMoney)
	case operators.Add:
		return c.checkedMoney(e, c.money(args[0]), c.money(args[1]), addMoney)
	case operators.Subtract:
		return c.checkedMoney(e, c.money(args[0]), c.money(args[1]), subMoney)
	case operators.Multiply:
		if c.kind(args[0]) == Money {
			return c.scaled(e, args[0], args[1], false)
		}
		return c.scaled(e, args[1], args[0], false)
	default: // only / is left
		return c.scaled(e, args[0], args[1], true)
	}
}

func (c *compiler[C]) checkedMoney(e ast.Expr, a, b moneyFn[C], f func(a, b schemas.Int128) (schemas.Int128, bool)) moneyFn[C] {
	overflow := c.fault(faultOverflow, e)
	return func(x *C) (schemas.Int128, status) {
		v, s := a(x)
		if s != 0 {
			return v, s
		}
		w, s := b(x)
		if s != 0 {
			return w, s
		}
		r, ok := f(v, w)
		if !ok {
			return r, overflow
		}
		return r, 0
	}
}

// scaled compiles money · factor or money / factor. The factor is an int or a decimal constant; what has more than six decimals is
// rounded half-even.
func (c *compiler[C]) scaled(e, money, factor ast.Expr, divide bool) moneyFn[C] {
	a, overflow, division := c.money(money), c.fault(faultOverflow, e), c.fault(faultDivision, e)
	if k, ok := c.constant(factor); ok {
		num, den, ok := c.ratio(factor, k.rational(), divide)
		if !ok {
			return a
		}
		return func(x *C) (schemas.Int128, status) {
			v, s := a(x)
			if s != 0 {
				return v, s
			}
			r, ok := scaleMoney(v, num, den)
			if !ok {
				return r, overflow
			}
			return r, 0
		}
	}
	b := c.integer(factor)
	return func(x *C) (schemas.Int128, status) {
		v, s := a(x)
		if s != 0 {
			return v, s
		}
		n, s := b(x)
		num, den := n, uint64(1)
		switch {
		case s != 0:
			return v, s
		case divide && n == 0:
			return v, division
		case divide && n < 0:
			num, den = -1, -uint64(n)
		case divide:
			num, den = 1, uint64(n)
		}
		r, ok := scaleMoney(v, num, den)
		if !ok {
			return r, overflow
		}
		return r, 0
	}
}

// ratio is a constant factor as num/den.
func (c *compiler[C]) ratio(e ast.Expr, d *big.Rat, divide bool) (num int64, den uint64, ok bool) {
	if divide {
		if d.Sign() == 0 {
			c.mistake(e, "this always fails: %s", faultDivision)
			return 0, 1, false
		}
		d = new(big.Rat).Inv(d)
	}
	if !d.Num().IsInt64() || !d.Denom().IsUint64() {
		c.mistake(e, "a factor of money has at most %d digits, not `%s`", maxDigits, clip(decimalText(d)))
		return 0, 1, false
	}
	return d.Num().Int64(), d.Denom().Uint64(), true
}

// double compiles a Double; an Int and Money become doubles.
func (c *compiler[C]) double(e ast.Expr) doubleFn[C] {
	if k, ok := c.constant(e); ok {
		v := k.float()
		return func(*C) (float64, status) { return v, 0 }
	}
	switch c.kind(e) {
	case Int, Duration:
		a := c.integer(e)
		return func(x *C) (float64, status) {
			v, s := a(x)
			return float64(v), s
		}
	case Money:
		a := c.money(e)
		return func(x *C) (float64, status) {
			v, s := a(x)
			return moneyFloat(v), s
		}
	}
	if l := c.leaves[e.ID()]; l.is == featureLeaf {
		c.reads(measure{text: "feature." + l.name, kind: Double, feature: l.feature + 1})
		return c.access.doubleFeature(l.feature)
	}
	args := e.AsCall().Args()
	switch name := e.AsCall().FunctionName(); name {
	case operators.Conditional:
		return choose(c.boolean(args[0]), c.double(args[1]), c.double(args[2]))
	case "double":
		return c.double(args[0])
	case operators.Negate:
		a := c.double(args[0])
		return func(x *C) (float64, status) {
			v, s := a(x)
			return -v, s
		}
	case operators.Divide:
		return c.divided(e, args[0], args[1])
	default:
		return both(c.double(args[0]), c.double(args[1]), doubleOperators[name])
	}
}

// The conversions keep architectures from fusing a product into a sum.
var doubleOperators = map[string]func(a, b float64) float64{
	operators.Add:      func(a, b float64) float64 { return float64(a + b) },
	operators.Subtract: func(a, b float64) float64 { return float64(a - b) },
	operators.Multiply: func(a, b float64) float64 { return float64(a * b) },
}

// divided is a / b in doubles. Unlike CEL's, division by zero fails. The ratio of two amounts is that of their 10⁻⁶ units, both exact up to 2⁵³.
func (c *compiler[C]) divided(e, l, r ast.Expr) doubleFn[C] {
	division := c.fault(faultDivision, e)
	if c.kind(l) == Money && c.kind(r) == Money {
		a, b := c.money(l), c.money(r)
		return func(x *C) (float64, status) {
			v, s := a(x)
			if s != 0 {
				return 0, s
			}
			w, s := b(x)
			switch {
			case s != 0:
				return 0, s
			case w.Sign() == 0:
				return 0, division
			}
			return v.Float() / w.Float(), 0
		}
	}
	a, b := c.double(l), c.double(r)
	return func(x *C) (float64, status) {
		v, s := a(x)
		if s != 0 {
			return 0, s
		}
		w, s := b(x)
		switch {
		case s != 0:
			return 0, s
		case w == 0:
			return 0, division
		}
		return v / w, 0
	}
}
