package rule

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"

	"github.com/streamgauge/streamgauge/schemas"
)

// aggregate resolves f(W, field, condition); name may carry the prefix prior.
func (x *expression) aggregate(e ast.Expr, name string, args []ast.Expr, in site) {
	f := Func(slices.Index(Funcs, strings.TrimPrefix(name, priorPrefix)))
	takes := signatures[f.String()]
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
		x.window(args[0])
		rest = args[1:]
	}
	switch f {
	case Sum, Avg, Min, Max:
		if rest = x.field(e, name, f, rest, []string{"amount"}); rest == nil {
			return
		}
	case Distinct:
		if rest = x.field(e, name, f, rest, schemas.Fields[:]); rest == nil {
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

// field checks that the first of args is one of the names, as it stands, and returns the others; nil after a mistake.
func (x *expression) field(e ast.Expr, name string, f Func, args []ast.Expr, names []string) []ast.Expr {
	if len(args) == 0 {
		x.mistake(e, "`%s` takes %s", name, signatures[f.String()])
		return nil
	}
	got := ""
	if args[0].Kind() == ast.IdentKind {
		got = args[0].AsIdent()
	}
	switch {
	case slices.Contains(names, got):
		return args[1:]
	case got == "":
		x.mistake(args[0], "`%s` takes the name of a field here: %s", name, oneOf(names))
	default:
		x.mistake(args[0], "`%s(…, %s)`: only %s is possible here%s", name, clip(got), oneOf(names), didYouMean(got, names))
	}
	return nil
}

// window makes e the constant length of a window.
func (x *expression) window(e ast.Expr) {
	const want = "a window is a length like '10m', '24h', '90d' or a duration parameter"
	if text, ok := literalText(e); ok {
		ms, ok, err := parseDuration(text)
		switch {
		case err != nil:
			x.mistake(e, "%v", err)
			return
		case slices.Contains(calendar, text):
			x.mistake(e, "the calendar window '%s' is not available in this version", text)
			return
		case !ok:
			x.mistake(e, "'%s': %s", clip(text), want)
			return
		}
		x.setConstant(e, durationConstant(ms), false)
	} else if !x.resolved(e, site{}) {
		return
	}
	c, ok := x.constant(e)
	switch {
	case !ok || c.kind != Duration:
		x.mistake(e, "%s", want)
	case c.i <= 0 || c.i > maxWindow:
		x.mistake(e, "a window of %s; more than 0 and at most %s is possible", formatDuration(c.i), formatDuration(maxWindow))
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
