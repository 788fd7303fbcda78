package rule

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// Precedences of CEL, the loosest first.
const (
	precConditional = iota
	precOr
	precAnd
	precRelation
	precSum
	precProduct
	precUnary
	precPrimary
)

var precedences = map[string]int{
	operators.LogicalOr: precOr, operators.LogicalAnd: precAnd,
	operators.Add: precSum, operators.Subtract: precSum,
	operators.Multiply: precProduct, operators.Divide: precProduct, operators.Modulo: precProduct,
	operators.In: precRelation,
}

// text is e in canonical form, parameters filled in and constants folded: equal texts mean the same, so that equal filters and
// aggregates share a slot, and people read what is measured.
func (x *expression) text(e ast.Expr) string {
	var b strings.Builder
	x.write(&b, e, precConditional)
	return b.String()
}

func (x *expression) write(b *strings.Builder, e ast.Expr, outer int) {
	if s, ok := x.leafText(e); ok {
		if l := x.leaves[e.ID()]; l.is == constantLeaf && (outer > precUnary && s[0] == '-' || strings.Contains(s, "/") && !strings.HasPrefix(s, "'")) {
			s = "(" + s + ")"
		}
		b.WriteString(s)
		return
	}
	switch e.Kind() {
	case ast.IdentKind:
		b.WriteString(e.AsIdent())
	case ast.CallKind:
		c := e.AsCall()
		x.writeCall(b, c.FunctionName(), c, outer)
	}
}

func (x *expression) leafText(e ast.Expr) (string, bool) {
	switch l := x.leaves[e.ID()]; l.is {
	case constantLeaf:
		return l.constant.text(), true
	case windowLeaf:
		return l.window.String(), true
	case featureLeaf:
		return "feature." + l.name, true
	case thisLeaf:
		return "this." + l.name, true
	case attrLeaf:
		return l.of() + attrText(l.name), true
	case hasAttrLeaf:
		return "has(" + l.of() + attrText(l.name) + ")", true
	case hasFieldLeaf:
		return "has(" + l.of() + l.name + ")", true
	}
	return "", false
}

// of is the prefix that says of which event a leaf is.
func (l *leaf) of() string {
	if l.this {
		return "this."
	}
	return ""
}

// conjunction is the text of the conjuncts as one condition: the same as if they had been written so.
func (x *expression) conjunction(all []ast.Expr) string {
	switch len(all) {
	case 0:
		return "true"
	case 1:
		return x.text(all[0])
	}
	var b strings.Builder
	for i, e := range all {
		if i > 0 {
			b.WriteString(" && ")
		}
		x.write(&b, e, precAnd)
	}
	return b.String()
}

func attrText(name string) string {
	if identifier.MatchString(name) {
		return "attr." + name
	}
	return "attr[" + quoteText(name) + "]"
}

func (x *expression) writeCall(b *strings.Builder, name string, c ast.CallExpr, outer int) {
	args := c.Args()
	symbol, isOperator := operators.FindReverse(name)
	_, isOrder := orders[name]
	prec, known := precedences[name]
	switch {
	case isOrder:
		prec = precRelation
	case name == operators.Negate || name == operators.LogicalNot:
		prec = precUnary
	case name == operators.Conditional:
		prec = precConditional
	case !known:
		prec = precPrimary
	}
	if prec < outer {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	switch {
	case name == operators.Conditional:
		x.write(b, args[0], precOr)
		b.WriteString(" ? ")
		x.write(b, args[1], precOr)
		b.WriteString(" : ")
		x.write(b, args[2], precConditional)
	case prec == precUnary:
		b.WriteString(symbol)
		x.write(b, args[0], precPrimary)
	case isOperator && len(args) == 2:
		left, right := prec, prec+1
		switch prec {
		case precOr, precAnd: // the parser balances chains; the meaning is the same
			right = prec
		case precRelation: // a > 1 == b reads badly
			left = prec + 1
		}
		x.writeOperand(b, args[0], left, isOrder)
		b.WriteString(" " + symbol + " ")
		x.writeOperand(b, args[1], right, isOrder)
	default:
		x.writeFunction(b, name, c)
	}
}

// writeOperand writes an operand. Comparisons are exact whatever the type of a constant, so there 9000.0 and 9000 are one text.
func (x *expression) writeOperand(b *strings.Builder, e ast.Expr, outer int, compared bool) {
	if k, ok := x.constant(e); ok && compared && k.kind == Double && k.d.IsInt() {
		b.WriteString(decimalText(k.d))
		return
	}
	x.write(b, e, outer)
}

func (x *expression) writeFunction(b *strings.Builder, name string, c ast.CallExpr) {
	if c.IsMemberFunction() && !slices.Contains(Funcs, name) {
		x.write(b, c.Target(), precPrimary)
		b.WriteByte('.')
	}
	name, part, ofDaily := strings.Cut(name, "daily.")
	if ofDaily {
		name = "daily"
	}
	b.WriteString(name)
	b.WriteByte('(')
	for i, a := range c.Args() {
		if i > 0 {
			b.WriteString(", ")
		}
		x.write(b, a, precConditional)
	}
	b.WriteByte(')')
	if ofDaily {
		b.WriteString("." + part)
	}
}
