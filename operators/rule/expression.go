package rule

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"go.yaml.in/yaml/v3"
)

// expression is one condition or feature on its way from text to closures: parsed and resolved by newExpression, typed by check, then
// compiled. What is wrong goes to the file's mistakes; bad then keeps later steps away.
type expression struct {
	*file
	node   *yaml.Node // where the text stands
	params map[string]constant
	scope  *scope

	parsed *cel.Ast
	tree   *ast.AST
	leaves map[int64]leaf // by node: what resolve found out
	bad    bool
	nodes  ast.ExprFactory
	ids    int64 // of nodes that resolve added

	measured []measure // what the expression reads, in order of evaluation
}

// slots are the aggregates that the compiled expression reads, through features too.
func (x *expression) slots() (all []int) {
	for _, m := range x.measured {
		read := []int{m.slot - 1}
		switch {
		case m.feature > 0:
			read = x.scope.features[m.feature-1].slots
		case m.slot == 0:
			continue
		}
		for _, s := range read {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// leaf is what stands behind a node without operands.
type leaf struct {
	is       leafKind
	constant constant // constantLeaf
	window   Window   // windowLeaf
	feature  int      // featureLeaf: index into the features
	name     string   // thisLeaf, attrLeaf, hasAttrLeaf, hasFieldLeaf: the field's or the attribute's name
	this     bool     // in a window's condition: of the current event, not the past one
}

type leafKind uint8

const (
	noLeaf leafKind = iota
	constantLeaf
	windowLeaf // the first argument of an aggregate that is no plain length
	featureLeaf
	thisLeaf     // a field of the current event in a window's condition
	attrLeaf     // an attribute
	hasAttrLeaf  // whether it is given
	hasFieldLeaf // whether a field is given
)

// newExpression parses n's text. The result is never nil; it is bad where something is wrong.
func newExpression(f *file, n *yaml.Node, params map[string]constant, sc *scope) *expression {
	x := &expression{file: f, node: n, params: params, scope: sc, leaves: map[int64]leaf{}, nodes: ast.NewExprFactory()}
	if c := len([]rune(n.Value)); c > maxExpression {
		x.bad = true
		f.at(n, "an expression of %d characters; %d are allowed: name parts of it as features", c, maxExpression)
		return x
	}
	parsed, issues := environment().Parse(n.Value)
	if issues.Err() != nil {
		x.issues(issues)
		return x
	}
	x.parsed, x.tree = parsed, parsed.NativeRep()
	return x
}

// references are the names of the features that the parsed expression reads.
func (x *expression) references() (names []string) {
	if x.bad {
		return nil
	}
	ast.PostOrderVisit(x.tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.SelectKind {
			s := e.AsSelect()
			if o := s.Operand(); o.Kind() == ast.IdentKind && o.AsIdent() == "feature" {
				names = append(names, s.FieldName())
			}
		}
	}))
	return names
}

// check resolves and types the expression and wants one of the kinds.
func (x *expression) check(what string, want ...ValueKind) {
	if !x.bad {
		x.resolve(x.tree.Expr(), site{})
	}
	if x.bad {
		return
	}
	checked, issues := environment().Check(x.parsed)
	if issues.Err() != nil {
		x.issues(issues)
		return
	}
	x.tree = checked.NativeRep()
	if got := x.kind(x.tree.Expr()); !slices.Contains(want, got) {
		x.mistake(x.tree.Expr(), "%s, not %s", what, article(got))
	}
}

func article(k ValueKind) string {
	switch k {
	case Absent:
		return "a list"
	case Int:
		return "an int"
	case Text, Money:
		return k.String()
	}
	return "a " + k.String()
}

// kind is the checked type of e; a decimal is a Double.
func (x *expression) kind(e ast.Expr) ValueKind {
	switch t := x.tree.GetType(e.ID()); t.Kind() {
	case types.IntKind:
		return Int
	case types.DoubleKind:
		return Double
	case types.DurationKind:
		return Duration
	case types.StringKind:
		return Text
	case types.BoolKind:
		return Bool
	case types.OpaqueKind:
		if t.IsExactType(moneyType) {
			return Money
		}
		return Double
	}
	return Absent
}

// constant returns e's value where it is one.
func (x *expression) constant(e ast.Expr) (constant, bool) {
	l := x.leaves[e.ID()]
	return l.constant, l.is == constantLeaf
}

// setConstant makes e the constant; operand says whether its parent is an operator that takes exact decimals.
func (x *expression) setConstant(e ast.Expr, c constant, operand bool) {
	x.leaves[e.ID()] = leaf{is: constantLeaf, constant: c}
	switch c.kind {
	case Int:
		e.SetKindCase(x.nodes.NewLiteral(e.ID(), types.Int(c.i)))
	case Text:
		e.SetKindCase(x.nodes.NewLiteral(e.ID(), types.String(c.s)))
	case Bool:
		e.SetKindCase(x.nodes.NewLiteral(e.ID(), types.Bool(c.i != 0)))
	case Double:
		if operand {
			e.SetKindCase(x.nodes.NewCall(e.ID(), decimalLeaf))
		} else {
			e.SetKindCase(x.nodes.NewLiteral(e.ID(), types.Double(c.float())))
		}
	default:
		e.SetKindCase(x.nodes.NewCall(e.ID(), leafNames[c.kind]))
	}
}

// setLeaf makes e a leaf of the kind.
func (x *expression) setLeaf(e ast.Expr, l leaf, kind ValueKind) {
	x.leaves[e.ID()] = l
	e.SetKindCase(x.nodes.NewCall(e.ID(), leafNames[kind]))
}

// mistake adds one at e's place.
func (x *expression) mistake(e ast.Expr, format string, args ...any) {
	offset := 0
	if r, ok := x.tree.SourceInfo().GetOffsetRange(e.ID()); ok {
		offset = int(r.Start)
	}
	x.mistakeAt(offset, format, args...)
}

func (x *expression) mistakeAt(offset int, format string, args ...any) {
	x.bad = true
	line, column := x.place(x.node, offset)
	x.add(x.name, line, column, format, args...)
}

// issues turns the parser's and the checker's errors into mistakes.
func (x *expression) issues(is *cel.Issues) {
	lines := strings.SplitAfter(x.node.Value, "\n")
	for _, e := range is.Errors() {
		offset := max(e.Location.Column(), 0)
		for i := 0; i < e.Location.Line()-1 && i < len(lines); i++ {
			offset += len([]rune(lines[i]))
		}
		x.mistakeAt(offset, "%s", explainIssue(e.Message))
	}
}

var (
	typeWords = strings.NewReplacer("events", "count", "google.protobuf.Duration", "duration", "string", "text", "decimal", "double")
	calendar  = []string{"day", "week", "month", "quarter", "year"}
)

// explainIssue says a checker's message in an analyst's words; what it does not know it passes on.
func explainIssue(msg string) string {
	var name, types string
	if rest, ok := strings.CutPrefix(msg, "found no matching overload for '"); ok {
		name, rest, _ = strings.Cut(rest, "'")
		_, types, _ = strings.Cut(rest, "applied to '")
		types = typeWords.Replace(strings.TrimSuffix(types, "'"))
	}
	symbol, isOperator := operators.FindReverse(name)
	switch {
	case name == "":
		return strings.TrimPrefix(msg, "Syntax error: ")
	case name == operators.Conditional:
		return fmt.Sprintf("`condition ? a : b` needs a bool and two values of one type, not %s", types)
	case isOperator || name == operators.In:
		hint := ""
		if strings.Contains(types, "duration") {
			hint = "; a duration is written duration('90d')"
		} else if name == operators.Divide && types == "(int, money)" || name == operators.Multiply && types == "(money, money)" {
			hint = "; that is no amount of money"
		}
		if symbol == "" {
			symbol = strings.Trim(name, "@_")
		}
		return fmt.Sprintf("`%s` does not take %s%s", symbol, types, hint)
	}
	function, _, _ := strings.Cut(strings.TrimPrefix(name, priorPrefix), ".")
	return fmt.Sprintf("`%s` takes %s, not %s", name, signatures[function], types)
}

// number is the exact value of a literal: read from the text where it can be, so that no digit is lost in a double.
func (x *expression) number(e ast.Expr, v float64) *big.Rat {
	if r, ok := x.tree.SourceInfo().GetOffsetRange(e.ID()); ok {
		text := []rune(x.node.Value)
		end := min(int(r.Start), len(text))
		for end < len(text) && strings.ContainsRune("0123456789.eE+-", text[end]) {
			end++
		}
		for ; end > int(r.Start); end-- { // 1.0-0.1: the literal is the longest beginning that is this very number
			if f, err := strconv.ParseFloat(string(text[r.Start:end]), 64); err == nil && f == v {
				if d, ok := parseDecimal(string(text[r.Start:end])); ok {
					return d
				}
			}
		}
	}
	d, _ := parseDecimal(strconv.FormatFloat(v, 'g', -1, 64))
	return d
}
