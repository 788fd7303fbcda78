package rule

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/streamgauge/streamgauge/schemas"
)

// A checked expression becomes a tree of Go closures, typed by what they return; nothing is interpreted or boxed at run time.
// C is what they read: Frame for conditions and features, schemas.Past for filters.
//
// Every closure returns a status beside its value. Logic is three-valued as CEL defines it: && and || absorb what is unknown or failed
// where the other side decides; everywhere else the first such operand is the result.
type (
	boolFn[C any]   func(*C) (bool, status)
	intFn[C any]    func(*C) (int64, status) // Int, and Duration in ms
	moneyFn[C any]  func(*C) (schemas.Int128, status)
	doubleFn[C any] func(*C) (float64, status)
	textFn[C any]   func(*C) (string, status)
)

// status is 0 for a known value, n+1 for an unknown and −(n+1) for a failed one; n is the index of the note that says what is missing
// or went wrong.
type status int32

// access compiles the leaves that depend on C. Conditions of windows have but the first four, and scans those of the current event
// too: resolve lets no other through.
type access[C any] struct {
	amount func(absent status) moneyFn[C]
	field  func(f schemas.Field, absent status) textFn[C]
	attr   func(name string, absent status) textFn[C]
	kind   textFn[C]
	this   *access[C] // leaves behind `this.`

	intSlot       func(slot int, absent status) intFn[C]
	moneySlot     func(slot int, absent status) moneyFn[C]
	textSlot      func(slot int, absent status) textFn[C]
	intFeature    func(i int) intFn[C]
	moneyFeature  func(i int) moneyFn[C]
	doubleFeature func(i int) doubleFn[C]
}

// compiler compiles one expression. Filters are compiled by an inner one for schemas.Past.
type compiler[C any] struct {
	*expression
	access *access[C]
}

func (c *compiler[C]) boolean(e ast.Expr) boolFn[C] {
	switch l := c.leaves[e.ID()]; l.is {
	case constantLeaf:
		v := l.constant.i != 0
		return func(*C) (bool, status) { return v, 0 }
	case hasAttrLeaf:
		return given(c.of(l).attr(l.name, 1))
	case hasFieldLeaf:
		if l.name == "amount" {
			return given(c.of(l).amount(1))
		}
		return given(c.of(l).field(fieldOf(l.name), 1))
	}
	call := e.AsCall()
	args := call.Args()
	name := call.FunctionName()
	if o, ok := orders[name]; ok {
		return c.compare(o, args[0], args[1])
	}
	switch name {
	case operators.LogicalAnd:
		return and(c.boolean(args[0]), c.boolean(args[1]))
	case operators.LogicalOr:
		return or(c.boolean(args[0]), c.boolean(args[1]))
	case operators.LogicalNot:
		a := c.boolean(args[0])
		return func(x *C) (bool, status) {
			v, s := a(x)
			return !v, s
		}
	case operators.Conditional:
		return choose(c.boolean(args[0]), c.boolean(args[1]), c.boolean(args[2]))
	case operators.In:
		return c.in(args[0], args[1])
	case "contains":
		return both(c.textOf(call.Target()), c.textOf(args[0]), strings.Contains)
	case "startsWith":
		return both(c.textOf(call.Target()), c.textOf(args[0]), strings.HasPrefix)
	case "endsWith":
		return both(c.textOf(call.Target()), c.textOf(args[0]), strings.HasSuffix)
	case "matches":
		return c.matches(call.Target(), args[0])
	}
	panic("BUG: no closure for bool " + name)
}

// given reports whether a leaf has a value.
func given[C, T any](leaf func(*C) (T, status)) boolFn[C] {
	return func(x *C) (bool, status) {
		_, s := leaf(x)
		return s == 0, 0
	}
}

func and[C any](a, b boolFn[C]) boolFn[C] {
	return func(x *C) (bool, status) {
		v, s := a(x)
		if s == 0 {
			if !v {
				return false, 0
			}
			return b(x)
		}
		w, t := b(x)
		if t == 0 && !w {
			return false, 0
		}
		return false, prevailing(s, t)
	}
}

func or[C any](a, b boolFn[C]) boolFn[C] {
	return func(x *C) (bool, status) {
		v, s := a(x)
		if s == 0 {
			if v {
				return true, 0
			}
			return b(x)
		}
		w, t := b(x)
		if t == 0 && w {
			return true, 0
		}
		return false, prevailing(s, t)
	}
}

// prevailing is what is left of two operands of which the first is not known: unknown wins over failed, then the first.
func prevailing(s, t status) status {
	if s < 0 && t > 0 {
		return t
	}
	return s
}

func choose[C, T any](cond boolFn[C], a, b func(*C) (T, status)) func(*C) (T, status) {
	return func(x *C) (T, status) {
		v, s := cond(x)
		if s != 0 {
			var none T
			return none, s
		}
		if v {
			return a(x)
		}
		return b(x)
	}
}

// both applies f to two known values.
func both[C, A, B, R any](a func(*C) (A, status), b func(*C) (B, status), f func(A, B) R) func(*C) (R, status) {
	return func(x *C) (R, status) {
		v, s := a(x)
		if s == 0 {
			var w B
			if w, s = b(x); s == 0 {
				return f(v, w), 0
			}
		}
		var none R
		return none, s
	}
}

func (c *compiler[C]) in(e, list ast.Expr) boolFn[C] {
	l, _ := c.constant(list)
	if c.kind(e) == Int {
		var all []int64
		for _, v := range l.list {
			all = append(all, v.i)
		}
		return member(c.integer(e), all)
	}
	var all []string
	for _, v := range l.list {
		all = append(all, v.s)
		c.checkText(e, list, v.s)
	}
	return member(c.textOf(e), all)
}

func member[C any, T comparable](a func(*C) (T, status), all []T) boolFn[C] {
	if len(all) <= maxMapLinear {
		return func(x *C) (bool, status) {
			v, s := a(x)
			return s == 0 && slices.Contains(all, v), s
		}
	}
	set := map[T]bool{}
	for _, v := range all {
		set[v] = true
	}
	return func(x *C) (bool, status) {
		v, s := a(x)
		return s == 0 && set[v], s
	}
}

func (c *compiler[C]) matches(e, pattern ast.Expr) boolFn[C] {
	p, _ := c.constant(pattern)
	re := regexp.MustCompile(p.s)
	a := c.textOf(e)
	return func(x *C) (bool, status) {
		v, s := a(x)
		return s == 0 && re.MatchString(v), s
	}
}

func (c *compiler[C]) textOf(e ast.Expr) textFn[C] {
	switch l := c.leaves[e.ID()]; l.is {
	case constantLeaf:
		v := l.constant.s
		return func(*C) (string, status) { return v, 0 }
	case attrLeaf:
		name := attrText(l.name)
		c.reads(measure{text: name, kind: Text, attr: l.name})
		return c.of(l).attr(l.name, c.unknown(l.of()+name))
	case thisLeaf:
		return c.field(c.access.this, l.name, "this."+l.name)
	}
	if e.Kind() == ast.IdentKind {
		name := e.AsIdent()
		c.reads(measure{text: name, kind: Text, field: name})
		return c.field(c.access, name, name)
	}
	if slot, absent, ok := c.aggregateSlot(e); ok {
		return c.access.textSlot(slot, absent)
	}
	args := e.AsCall().Args() // the only other call that returns text
	return choose(c.boolean(args[0]), c.textOf(args[1]), c.textOf(args[2]))
}

// of is the access to the event that the leaf is of.
func (c *compiler[C]) of(l leaf) *access[C] {
	if l.this {
		return c.access.this
	}
	return c.access
}

// field compiles a text field or the kind, by a.
func (c *compiler[C]) field(a *access[C], name, text string) textFn[C] {
	if name == "kind" {
		return a.kind
	}
	return a.field(fieldOf(name), c.unknown(text))
}

// size is the number of characters of a text.
func (c *compiler[C]) size(call ast.CallExpr) intFn[C] {
	e := call.Target()
	if !call.IsMemberFunction() {
		e = call.Args()[0]
	}
	a := c.textOf(e)
	return func(x *C) (int64, status) {
		v, s := a(x)
		return int64(utf8.RuneCountInString(v)), s
	}
}

func fieldOf(name string) schemas.Field {
	return schemas.Field(slices.Index(schemas.Fields[:], name))
}
