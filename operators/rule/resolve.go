package rule

import (
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/streamgauge/streamgauge/schemas"
)

// site says where a node stands.
type site struct {
	filter  bool // inside the condition of a window: plain names are the past event's
	operand bool // its parent is an operator that takes exact decimals
}

// fieldNames are the plain names of expressions.
var fieldNames = append([]string{"amount", "kind"}, schemas.Fields[:]...)

// Names that the language has and this version does not.
var (
	laterNames     = []string{"profile", "money", "time", "now", "customer"}
	laterFunctions = []string{"entity", "list", "distanceKm", "inBand", "sequence", "timestamp", "lowerAscii"}
	macros         = []string{"all", "exists", "exists_one", "map", "filter"}
)

var operands = []string{operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate,
	operators.Less, operators.LessEquals, operators.Equals, operators.NotEquals, operators.Greater, operators.GreaterEquals}

// resolve walks e before the type check: it replaces parameters, features and attributes by leaves, folds constants, and says what is
// unknown or not available with a hint that the checker could not give.
func (x *expression) resolve(e ast.Expr, in site) {
	switch e.Kind() {
	case ast.LiteralKind:
		x.literal(e, in)
	case ast.IdentKind:
		x.ident(e)
	case ast.SelectKind:
		x.selection(e, in)
	case ast.CallKind:
		x.call(e, in)
	case ast.ListKind:
		x.list(e, in)
	default:
		x.mistake(e, "maps, objects and comprehensions are not available")
	}
}

// resolved resolves e and reports whether nothing in it is wrong.
func (x *expression) resolved(e ast.Expr, in site) bool {
	before := x.bad
	x.bad = false
	x.resolve(e, in)
	ok := !x.bad
	x.bad = before || !ok
	return ok
}

func (x *expression) literal(e ast.Expr, in site) {
	switch v := e.AsLiteral().(type) {
	case types.Int:
		x.setConstant(e, intConstant(int64(v)), in.operand)
	case types.Double:
		d := x.number(e, float64(v))
		if d == nil {
			x.mistake(e, "the number is out of range")
			return
		}
		x.setConstant(e, decimalConstant(d), in.operand)
	case types.String:
		x.setConstant(e, textConstant(string(v)), in.operand)
	case types.Bool:
		x.setConstant(e, boolConstant(bool(v)), in.operand)
	default:
		x.mistake(e, "a literal of type %s is not available: use numbers, text, true and false", v.Type().TypeName())
	}
}

func (x *expression) ident(e ast.Expr) {
	name := e.AsIdent()
	switch {
	case slices.Contains(fieldNames, name):
	case name == "params" || name == "feature" || name == "attr" || name == "this":
		x.mistake(e, "`%s` needs a name: %s.name", name, name)
	case name == "prior":
		x.mistake(e, "`prior` goes before a function: prior.count(…)")
	case slices.Contains(laterNames, name):
		x.mistake(e, "`%s` is not available in this version", name)
	case signatures[name] != "":
		x.mistake(e, "`%s` is a function: it takes %s", name, signatures[name])
	default:
		x.mistake(e, "`%s`: no such field%s", clip(name), didYouMean(name, fieldNames))
	}
}

// selection resolves params.x, feature.x, attr.x, this.x and daily(…).x.
func (x *expression) selection(e ast.Expr, in site) {
	s := e.AsSelect()
	root, name := "", s.FieldName()
	if s.Operand().Kind() == ast.IdentKind {
		root = s.Operand().AsIdent()
	}
	switch {
	case s.Operand().Kind() == ast.CallKind && s.Operand().AsCall().FunctionName() == "daily":
		x.daily(e, s.Operand().AsCall(), name, in)
	case root == "this":
		x.this(e, name, in)
	case isThisAttr(s.Operand()):
		x.attr(e, name, true, in)
	case root == "params":
		x.param(e, name, in)
	case root == "feature":
		x.feature(e, name, in)
	case root == "attr":
		x.attr(e, name, false, in)
	case slices.Contains(laterNames, root):
		x.mistake(s.Operand(), "`%s.` is not available in this version", root)
	case root != "" && slices.Contains(fieldNames, root):
		x.mistake(e, "`%s` has no parts: `%s.%s`", root, root, clip(name))
	case root != "":
		x.mistake(s.Operand(), "`%s.%s`: no such name%s", clip(root), clip(name), didYouMean(root, []string{"params", "feature", "attr", "prior", "this"}))
	default:
		x.mistake(e, "`.%s`: only params, feature, attr and this have names below them", clip(name))
	}
}

func (x *expression) param(e ast.Expr, name string, in site) {
	c, ok := x.params[name]
	switch {
	case !ok && len(x.params) == 0:
		x.mistake(e, "`params.%s`: there are no parameters here", clip(name))
	case !ok:
		x.mistake(e, "`params.%s`: no such parameter%s", clip(name), didYouMean(name, sortedKeys(x.params)))
	case c.list != nil:
		x.mistake(e, "`params.%s` is a list: use it behind `in`", name)
	case c.kind == Absent:
		x.bad = true // its own mistake is said already
	default:
		x.setConstant(e, c, in.operand)
	}
}

func (x *expression) feature(e ast.Expr, name string, in site) {
	i, ok := x.scope.featureIndex[name]
	switch {
	case in.filter:
		x.mistake(e, "`feature.%s` is of the current event: it cannot stand in a window's condition", clip(name))
	case !ok:
		x.mistake(e, "`feature.%s`: no such feature%s", clip(name), didYouMean(name, sortedKeys(x.scope.featureIndex)))
	case x.scope.features[i].Kind == Absent:
		x.bad = true // its own mistake is said already
	default:
		x.setLeaf(e, leaf{is: featureLeaf, feature: i, name: name}, x.scope.features[i].Kind)
	}
}

// attr makes e an attribute: in a window's condition that of the past event, or of the current one behind `this`.
func (x *expression) attr(e ast.Expr, name string, this bool, in site) {
	switch {
	case this && !in.filter:
		x.outside(e, attrText(name))
	case in.filter && name == "":
		x.mistake(e, "an attribute that is asked for of past events has a name, not ''")
	default:
		x.setLeaf(e, leaf{is: attrLeaf, name: name, this: this}, Text)
	}
}

// this makes e a field of the current event in a window's condition.
func (x *expression) this(e ast.Expr, name string, in site) {
	switch {
	case name == "attr":
		x.mistake(e, "`this.attr` needs a name: this.attr.name")
	case !slices.Contains(fieldNames, name):
		x.mistake(e, "`this.%s`: no such field%s", clip(name), didYouMean(name, append(fieldNames[:len(fieldNames):len(fieldNames)], "attr")))
	case !in.filter:
		x.outside(e, name)
	case name == "amount":
		x.setLeaf(e, leaf{is: thisLeaf, name: name, this: true}, Money)
	default:
		x.setLeaf(e, leaf{is: thisLeaf, name: name, this: true}, Text)
	}
}

// outside says that `this.` stands where there is only one event.
func (x *expression) outside(e ast.Expr, name string) {
	x.mistake(e, "`this.%s` outside of a window's condition: only there are two events to tell apart; write `%s`", clip(name), clip(name))
}

// isThisAttr reports whether e is this.attr.
func isThisAttr(e ast.Expr) bool {
	if e.Kind() != ast.SelectKind || e.AsSelect().FieldName() != "attr" {
		return false
	}
	o := e.AsSelect().Operand()
	return o.Kind() == ast.IdentKind && o.AsIdent() == "this"
}

// call resolves operators and functions.
func (x *expression) call(e ast.Expr, in site) {
	c := e.AsCall()
	name, args := c.FunctionName(), c.Args()
	if c.IsMemberFunction() {
		x.method(e, in)
		return
	}
	switch {
	case name == operators.Index:
		x.index(e, in)
	case name == operators.In:
		x.membership(args, in)
	case slices.Contains(Funcs, name):
		x.aggregate(e, name, args, in)
	case name == "has":
		x.has(e, args, in)
	case name == "duration":
		x.duration(e, args, in)
	case name == "delay":
		x.mistake(e, "`delay(…)` is a window: it stands where a length does, count(delay('24h', '7d'))")
	case name == "daily":
		x.mistake(e, "`daily(…)` needs what you want of its days behind it: %s", oneOf(dailyNames))
	case slices.Contains(laterFunctions, name):
		x.mistake(e, "`%s(…)` is not available in this version", name)
	case strings.HasPrefix(name, "@") || name == "prior" || !declared(name):
		x.mistake(e, "`%s(…)`: no such function%s", clip(name), didYouMean(name, sortedKeys(signatures)))
	default:
		inner := site{filter: in.filter, operand: slices.Contains(operands, name)}
		for _, a := range args {
			x.resolve(a, inner)
		}
		x.foldCall(e, name, args, in)
	}
}

// declared reports whether name is an operator or a function of the environment.
func declared(name string) bool {
	_, isOperator := operators.FindReverse(name)
	_, isFunction := signatures[name]
	return name == operators.Conditional || isOperator || isFunction
}

func (x *expression) foldCall(e ast.Expr, name string, args []ast.Expr, in site) {
	values := make([]constant, len(args))
	for i, a := range args {
		c, ok := x.constant(a)
		if !ok {
			return
		}
		values[i] = c
	}
	c, ok, err := fold(name, values)
	if err != nil {
		x.mistake(e, "this always fails: %v", err)
	} else if ok {
		x.setConstant(e, c, in.operand)
	}
}

// method resolves prior.f(…) and the methods of text.
func (x *expression) method(e ast.Expr, in site) {
	c := e.AsCall()
	name, target := c.FunctionName(), c.Target()
	switch {
	case target.Kind() == ast.IdentKind && target.AsIdent() == "prior":
		switch {
		case name == "since" || name == "daily":
			x.mistake(e, "`%s` never includes the current event: write %s(…)", name, name)
		case slices.Contains(Funcs, name):
			x.aggregate(e, priorPrefix+name, c.Args(), in)
		case slices.Contains(laterFunctions, name):
			x.mistake(e, "`prior.%s(…)` is not available in this version", name)
		default:
			x.mistake(e, "`prior.%s(…)`: no such function%s", clip(name), didYouMean(name, Funcs))
		}
	case slices.Contains(macros, name):
		x.mistake(e, "`%s(…)` is a comprehension; they are not available", name)
	case slices.Contains(laterFunctions, name):
		x.mistake(e, "`.%s(…)` is not available in this version", name)
	case name == "size" || strings.HasPrefix(signatures[name], "text."):
		x.resolve(target, site{filter: in.filter})
		for _, a := range c.Args() {
			if x.resolved(a, site{filter: in.filter}) && name == "matches" {
				x.pattern(a)
			}
		}
	case target.Kind() == ast.CallKind && slices.Contains(laterFunctions, target.AsCall().FunctionName()):
		x.resolve(target, in)
	case target.Kind() == ast.CallKind && target.AsCall().FunctionName() == "daily" && slices.Contains(dailyNames, "."+name):
		x.mistake(e, "`daily(…).%s` stands without ()", name)
	default:
		methods := []string{"contains", "startsWith", "endsWith", "matches", "size"}
		x.mistake(e, "`.%s(…)`: no such function of text%s", clip(name), didYouMean(name, methods))
	}
}

func (x *expression) pattern(e ast.Expr) {
	c, ok := x.constant(e)
	switch {
	case !ok || c.kind != Text:
		x.mistake(e, "the pattern of `matches` is literal text or a parameter")
	case len([]rune(c.s)) > maxPattern:
		x.mistake(e, "a pattern of %d characters; %d are allowed", len([]rune(c.s)), maxPattern)
	default:
		if _, err := regexp.Compile(c.s); err != nil {
			x.mistake(e, "%v", err)
		}
	}
}

// index resolves attr['x'].
func (x *expression) index(e ast.Expr, in site) {
	args := e.AsCall().Args()
	root, this := "", isThisAttr(args[0])
	if args[0].Kind() == ast.IdentKind {
		root = args[0].AsIdent()
	}
	name, ok := literalText(args[1])
	switch {
	case root != "attr" && !this:
		x.mistake(e, "`[…]`: only attr['name'] is available")
	case !ok:
		x.mistake(args[1], "attr['name'] takes literal text")
	default:
		x.attr(e, name, this, in)
	}
}

// has resolves has(attr.x), has(attr['x']) and has(field), all with `this.` before them too.
func (x *expression) has(e ast.Expr, args []ast.Expr, in site) {
	if len(args) != 1 {
		x.mistake(e, "`has` takes %s", signatures["has"])
		return
	}
	a := args[0]
	if a.Kind() == ast.IdentKind && a.AsIdent() != "kind" {
		if x.resolved(a, in) {
			x.setLeaf(e, leaf{is: hasFieldLeaf, name: a.AsIdent()}, Bool)
		}
		return
	}
	ok := x.resolved(a, site{filter: in.filter})
	switch l := x.leaves[a.ID()]; {
	case !ok:
	case l.is == attrLeaf:
		x.setLeaf(e, leaf{is: hasAttrLeaf, name: l.name, this: l.this}, Bool)
	case l.is == thisLeaf && l.name != "kind":
		x.setLeaf(e, leaf{is: hasFieldLeaf, name: l.name, this: true}, Bool)
	default:
		x.mistake(e, "`has` takes %s", signatures["has"])
	}
}

func (x *expression) duration(e ast.Expr, args []ast.Expr, in site) {
	text, ok := "", false
	if len(args) == 1 {
		text, ok = literalText(args[0])
	}
	if !ok {
		x.mistake(e, "`duration` takes literal text: duration('90d'); a duration parameter needs no duration(…)")
		return
	}
	ms, ok, err := parseDuration(text)
	switch {
	case err != nil:
		x.mistake(args[0], "%v", err)
	case !ok:
		x.mistake(args[0], "`%s` is no duration: write '10m', '72h', '90d' (ms s m h d w)", clip(text))
	default:
		x.setConstant(e, durationConstant(ms), in.operand)
	}
}

func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}
