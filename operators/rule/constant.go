package rule

import (
	"cmp"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/operators"
)

// constant is a literal, a parameter, or what folding made of them. Numbers are exact: a Double constant is a rational, so that
// 10000*(1.0-0.43) is 5700.
type constant struct {
	kind ValueKind // Int, Double, Duration, Text or Bool; Absent for a list
	i    int64     // Int; Duration in ms; Bool 0 or 1
	d    *big.Rat  // Double
	s    string    // Text
	list []constant
}

func intConstant(i int64) constant        { return constant{kind: Int, i: i} }
func textConstant(s string) constant      { return constant{kind: Text, s: s} }
func decimalConstant(d *big.Rat) constant { return constant{kind: Double, d: d} }
func durationConstant(ms int64) constant  { return constant{kind: Duration, i: ms} }
func boolConstant(b bool) constant {
	if b {
		return constant{kind: Bool, i: 1}
	}
	return constant{kind: Bool}
}

// text is the constant as canonical text: equal texts are equal values of equal kind.
func (c *constant) text() string {
	switch c.kind {
	case Int:
		return strconv.FormatInt(c.i, 10)
	case Double:
		s := decimalText(c.d)
		if !strings.ContainsAny(s, "./") {
			s += ".0"
		}
		return s
	case Duration:
		return "'" + formatDuration(c.i) + "'"
	case Text:
		return quoteText(c.s)
	case Bool:
		return strconv.FormatBool(c.i != 0)
	}
	all := make([]string, len(c.list))
	for i := range c.list {
		all[i] = c.list[i].text()
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// words is the constant as a reason shows it.
func (c *constant) words() string {
	switch c.kind {
	case Double:
		return decimalText(c.d)
	case Duration:
		return formatDuration(c.i)
	case Text:
		return c.s
	case Absent:
		all := make([]string, len(c.list))
		for i := range c.list {
			all[i] = c.list[i].words()
		}
		return strings.Join(all, ", ")
	}
	return c.text()
}

// decimalText is d as a decimal, or as a fraction where it has no end or more than 40 digits.
func decimalText(d *big.Rat) string {
	if n, exact := d.FloatPrec(); exact && n <= 40 {
		return d.FloatString(n)
	}
	return d.RatString()
}

// quoteText is s as a CEL literal in single quotes.
func quoteText(s string) string {
	q := strconv.Quote(s)
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	return "'" + strings.ReplaceAll(q, "'", `\'`) + "'"
}

// float is the nearest double to a number, or a duration's ms.
func (c *constant) float() float64 {
	if c.kind != Double {
		return float64(c.i)
	}
	f, _ := c.d.Float64()
	return f
}

// rational is a number's exact value.
func (c *constant) rational() *big.Rat {
	if c.kind == Int {
		return new(big.Rat).SetInt64(c.i)
	}
	return c.d
}

func (c *constant) number() bool { return c.kind == Int || c.kind == Double }

// parseDecimal reads a decimal number exactly; ok is false for other texts and for those beyond the doubles' range.
func parseDecimal(s string) (*big.Rat, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) || len(s) > maxNumberChars || strings.ContainsAny(s, "xXpP_") {
		return nil, false
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 { // a tiny exponent is no double but a large rational
		if e, err := strconv.Atoi(s[i+1:]); err != nil || e < -400 || e > 400 {
			return nil, false
		}
	}
	return new(big.Rat).SetString(s)
}

// fold computes an operator over constants. ok is false where the operator is not defined on them: the type check will say so.
// err says that the result can never be computed.
func fold(op string, args []constant) (c constant, ok bool, err error) {
	switch {
	case len(args) == 1 && op == operators.Negate && args[0].kind == Int:
		return foldInts(operators.Subtract, 0, args[0].i)
	case len(args) == 1 && op == operators.Negate && args[0].kind == Double:
		return decimalConstant(new(big.Rat).Neg(args[0].d)), true, nil
	case len(args) == 1 && op == operators.LogicalNot && args[0].kind == Bool:
		return boolConstant(args[0].i == 0), true, nil
	case len(args) != 2:
		return c, false, nil
	}
	a, b := &args[0], &args[1]
	if o, is := orders[op]; is {
		if n, ok := compareConstants(a, b, o); ok {
			return boolConstant(o.holds(n)), true, nil
		}
		return c, false, nil
	}
	switch {
	case a.kind == Int && b.kind == Int:
		return foldInts(op, a.i, b.i)
	case a.number() && b.number():
		return foldDecimals(op, a.rational(), b.rational())
	case a.kind == Duration && b.kind == Duration && (op == operators.Add || op == operators.Subtract):
		c, ok, err = foldInts(op, a.i, b.i)
		c.kind = Duration
		return c, ok, err
	case a.kind == Duration && b.kind == Int && op == operators.Multiply:
		c, ok, err = foldInts(op, a.i, b.i)
		c.kind = Duration
		return c, ok, err
	}
	return c, false, nil
}

func compareConstants(a, b *constant, o order) (int, bool) {
	switch {
	case a.number() && b.number():
		return a.rational().Cmp(b.rational()), true
	case a.kind != b.kind || a.kind == Absent || a.kind == Bool && o != equal && o != unequal:
		return 0, false
	case a.kind == Text:
		return strings.Compare(a.s, b.s), true
	}
	return cmp.Compare(a.i, b.i), true
}

func foldInts(op string, a, b int64) (c constant, ok bool, err error) {
	v, fault := int64(0), ""
	switch op {
	case operators.Add:
		v, fault = addInt(a, b)
	case operators.Subtract:
		v, fault = subInt(a, b)
	case operators.Multiply:
		v, fault = mulInt(a, b)
	case operators.Divide:
		v, fault = divInt(a, b)
	case operators.Modulo:
		v, fault = modInt(a, b)
	default:
		return c, false, nil
	}
	if fault != "" {
		return c, false, errors.New(fault)
	}
	return intConstant(v), true, nil
}

func foldDecimals(op string, a, b *big.Rat) (c constant, ok bool, err error) {
	r := new(big.Rat)
	switch op {
	case operators.Add:
		r.Add(a, b)
	case operators.Subtract:
		r.Sub(a, b)
	case operators.Multiply:
		r.Mul(a, b)
	case operators.Divide:
		if b.Sign() == 0 {
			return c, false, errors.New(faultDivision)
		}
		r.Quo(a, b)
	default:
		return c, false, nil
	}
	if r.Num().BitLen() > maxBits || r.Denom().BitLen() > maxBits {
		return c, false, errors.New(faultOverflow)
	}
	return decimalConstant(r), true, nil
}

// Faults of arithmetic, as they stand in facts.
const (
	faultDivision = "division by zero"
	faultOverflow = "overflow"
)

func addInt(a, b int64) (int64, string) {
	if s := a + b; (s > a) == (b > 0) {
		return s, ""
	}
	return 0, faultOverflow
}

func subInt(a, b int64) (int64, string) {
	if s := a - b; (s < a) == (b > 0) {
		return s, ""
	}
	return 0, faultOverflow
}

func mulInt(a, b int64) (int64, string) {
	if v, ok := product(a, b).Int64(); ok {
		return v, ""
	}
	return 0, faultOverflow
}

func divInt(a, b int64) (int64, string) {
	switch {
	case b == 0:
		return 0, faultDivision
	case a == math.MinInt64 && b == -1:
		return 0, faultOverflow
	}
	return a / b, ""
}

func modInt(a, b int64) (int64, string) {
	switch {
	case b == 0:
		return 0, faultDivision
	case a == math.MinInt64 && b == -1:
		return 0, faultOverflow // as CEL has it
	}
	return a % b, ""
}
