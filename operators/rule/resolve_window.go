package rule

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/streamgauge/streamgauge/schemas"
)

// aggregate resolves f(W, field, condition); name may carry the prefix prior.
func (x *expression) aggregate(e ast.Expr, name string, args []ast.Expr, in site) {
	f := Func(slices.Index(Funcs, strings.TrimPrefix(name, priorPrefix)))
	takes := signatures[f.word()]
	if in.filter {
		x.mistake(e, "`%s(…)` inside a window's condition: windows cannot be nested", name)
		return
	}
	rest := args
	if f != Since {
		if len(args) == 0 {
			x.mistake(e, "`%s` takes %s", name, takes)
			return
		}
		x.window(args[0], f)
		rest = args[1:]
	}
	if names := f.fields(); names != nil {
		if rest = x.field(e, name, f, rest, names); rest == nil {
			return
		}
	}
	switch {
	case len(rest) > 1 || f == Since && len(rest) == 0:
		x.mistake(e, "`%s` takes %s", name, takes)
	case len(rest) == 1:
		x.resolve(rest[0], site{filter: true})
		if c, ok := x.constant(rest[0]); ok && c.kind == Bool && c.i == 0 {
			x.mistake(rest[0], "the condition is never true")
		}
	}
}

// word is the function's name without what is wanted of daily.
func (f Func) word() string {
	w, _, _ := strings.Cut(f.String(), ".")
	return w
}

// fields are the names that can stand as the function's second argument; anyAttr stands for all attributes.
func (f Func) fields() []string {
	texts := append(schemas.Fields[:len(schemas.Fields):len(schemas.Fields)], anyAttr)
	switch {
	case f >= DailyMean:
		return []string{"amount", "count"}
	case f == Distinct:
		return texts
	case f == First || f == Last:
		return append([]string{"amount"}, texts...)
	case f == Count || f == Since:
		return nil
	}
	return []string{"amount"}
}

const anyAttr = "attr.name"

// daily makes e, daily(…).name, a call of one function, and resolves it.
func (x *expression) daily(e ast.Expr, call ast.CallExpr, name string, in site) {
	switch {
	case call.IsMemberFunction():
		x.method(e.AsSelect().Operand(), in) // prior.daily, or of nothing
	case !slices.Contains(dailyNames, "."+name):
		x.mistake(e, "`daily(…).%s`: only %s is possible%s", clip(name), oneOf(dailyNames), didYouMean("."+name, dailyNames))
	default:
		name = "daily." + name
		e.SetKindCase(x.nodes.NewCall(e.ID(), name, call.Args()...))
		x.aggregate(e, name, call.Args(), in)
	}
}

// field checks that the first of args is one of the names, as it stands, and returns the others; nil after a mistake.
func (x *expression) field(e ast.Expr, name string, f Func, args []ast.Expr, names []string) []ast.Expr {
	if len(args) == 0 {
		x.mistake(e, "`%s` takes %s", name, signatures[f.word()])
		return nil
	}
	got := ""
	switch a := args[0]; {
	case a.Kind() == ast.IdentKind:
		got = a.AsIdent()
	case names[len(names)-1] == anyAttr && isAttr(a):
		if x.resolved(a, site{filter: true}) {
			return args[1:]
		}
		return nil
	}
	switch {
	case got != anyAttr && slices.Contains(names, got):
		return args[1:]
	case got == "":
		x.mistake(args[0], "`%s` takes the name of a field here: %s", name, oneOf(names))
	default:
		x.mistake(args[0], "`%s(…, %s)`: only %s is possible here%s", name, clip(got), oneOf(names), didYouMean(got, names))
	}
	return nil
}

// isAttr reports whether e is attr.x or attr['x'].
func isAttr(e ast.Expr) bool {
	var of ast.Expr
	switch {
	case e.Kind() == ast.SelectKind:
		of = e.AsSelect().Operand()
	case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index:
		of = e.AsCall().Args()[0]
	default:
		return false
	}
	return of.Kind() == ast.IdentKind && of.AsIdent() == "attr"
}

const wantWindow = "a window is a length like '10m', '24h', '90d', a calendar unit ('day', 'week', 'month', 'quarter', 'year') or a parameter that holds one"

// window makes e the window of f.
func (x *expression) window(e ast.Expr, f Func) {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "delay" {
		x.delay(e, f)
		return
	}
	c, ok := x.length(e, wantWindow)
	switch unit := Unit(slices.Index(Units[:Daily], c.s)); {
	case !ok:
	case c.kind == Text && f >= DailyMean:
		x.mistake(e, "`daily('%s', …)`: daily looks at a number of whole days before today: '30d'", c.s)
	case c.kind == Text:
		x.setLeaf(e, leaf{is: windowLeaf, window: Window{Unit: unit}}, Duration)
	case c.i <= 0 || c.i > maxWindow:
		x.mistake(e, "a window of %s; more than 0 and at most %s is possible", formatDuration(c.i), formatDuration(maxWindow))
	case f >= DailyMean && c.i%day != 0:
		x.mistake(e, "`daily('%s', …)`: daily looks at a number of whole days before today: '30d'", formatDuration(c.i))
	}
}

// length reads e as a constant duration or, as Text, a calendar unit; want says what is wanted.
func (x *expression) length(e ast.Expr, want string) (c constant, ok bool) {
	if text, isText := literalText(e); isText {
		ms, isLength, err := parseDuration(text)
		switch {
		case err != nil:
			x.mistake(e, "%v", err)
			return c, false
		case slices.Contains(calendar, text):
			return textConstant(text), true
		case !isLength:
			x.mistake(e, "'%s': %s%s", clip(text), want, didYouMean(text, calendar))
			return c, false
		}
		x.setConstant(e, durationConstant(ms), false)
	} else if !x.resolved(e, site{}) {
		return c, false
	}
	c, ok = x.constant(e)
	if !ok || c.kind != Duration && (c.kind != Text || !slices.Contains(calendar, c.s)) {
		x.mistake(e, "%s", want)
		return c, false
	}
	return c, true
}

// delay makes e, delay(W, D), the window of f.
func (x *expression) delay(e ast.Expr, f Func) {
	args := e.AsCall().Args()
	switch {
	case f >= DailyMean:
		x.mistake(e, "`daily` looks at the whole days before today; it cannot be delayed")
		return
	case len(args) != 2:
		x.mistake(e, "`delay` takes %s", signatures["delay"])
		return
	}
	if w := args[0]; w.Kind() == ast.CallKind && w.AsCall().FunctionName() == "delay" {
		x.mistake(w, "`delay` inside `delay`: windows cannot be nested; add the delays up")
		return
	}
	const want = "`delay` takes lengths like '24h', '7d' or duration parameters"
	w, ok := x.length(args[0], want)
	d, also := x.length(args[1], want)
	switch {
	case !ok || !also:
	case w.kind == Text || d.kind == Text:
		x.mistake(e, "`delay` of a calendar unit: a calendar window ends now; %s", want)
	case w.i <= 0 || d.i < 0 || w.i+d.i > maxWindow:
		x.mistake(e, "a window of %s, delayed by %s: the window must be more than 0, the delay not below 0, and both together at most %s", formatDuration(w.i), formatDuration(d.i), formatDuration(maxWindow))
	case d.i == 0:
		x.setConstant(e, w, false)
	default:
		x.setLeaf(e, leaf{is: windowLeaf, window: Window{Length: w.i, Delay: d.i}}, Duration)
	}
}

// membership resolves a in [...] and a in params.list.
func (x *expression) membership(args []ast.Expr, in site) {
	x.resolve(args[0], site{filter: in.filter})
	l := args[1]
	if l.Kind() == ast.SelectKind {
		s := l.AsSelect()
		if s.Operand().Kind() == ast.IdentKind && s.Operand().AsIdent() == "params" {
			if c := x.params[s.FieldName()]; c.list != nil {
				x.ids++
				first := x.nodes.NewUnspecifiedExpr(1<<40 + x.ids) // one element is enough for the type
				x.setConstant(first, c.list[0], false)
				l.SetKindCase(x.nodes.NewList(l.ID(), []ast.Expr{first}, nil))
				x.leaves[l.ID()] = leaf{is: constantLeaf, constant: c}
				return
			}
		}
	}
	if l.Kind() != ast.ListKind {
		x.mistake(l, "behind `in` stands a list of texts or whole numbers, or a list parameter")
		return
	}
	x.list(l, site{operand: true})
}

// list resolves a literal list; in.operand says that it stands behind `in`, its only place.
func (x *expression) list(e ast.Expr, in site) {
	elements := e.AsList().Elements()
	var c constant
	for _, el := range elements {
		if !x.resolved(el, site{}) {
			return
		}
		v, ok := x.constant(el)
		switch {
		case !ok || v.kind != Text && v.kind != Int || len(c.list) > 0 && c.list[0].kind != v.kind:
			x.mistake(el, "a list holds texts or whole numbers, literal or parameters, all of one kind")
			return
		}
		c.list = append(c.list, v)
	}
	switch {
	case !in.operand:
		x.mistake(e, "a list stands behind `in` only")
	case len(elements) == 0:
		x.mistake(e, "an empty list contains nothing")
	default:
		slices.SortFunc(c.list, func(a, b constant) int { return cmp.Or(cmp.Compare(a.i, b.i), cmp.Compare(a.s, b.s)) })
		x.leaves[e.ID()] = leaf{is: constantLeaf, constant: c}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
