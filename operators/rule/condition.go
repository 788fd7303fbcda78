package rule

import (
	"slices"
	"sync"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/streamgauge/streamgauge/schemas"
)

// What the conditions of windows read: of the past event alone (pastAccess, for filters), or of it and the current one (coupleAccess,
// for scans).

// conjuncts appends the parts of e that && joins at its top, in order.
func conjuncts(e ast.Expr, all []ast.Expr) []ast.Expr {
	if e.Kind() == ast.CallKind {
		if c := e.AsCall(); c.FunctionName() == operators.LogicalAnd {
			return conjuncts(c.Args()[1], conjuncts(c.Args()[0], all))
		}
	}
	return append(all, e)
}

// equality reports whether e is x == this.x, of one column, and which.
func (x *expression) equality(e ast.Expr) (Column, bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.Equals {
		return Column{}, false
	}
	args := e.AsCall().Args()
	a, thisA, okA := x.columnOf(args[0])
	b, thisB, okB := x.columnOf(args[1])
	return a, okA && okB && a == b && thisA != thisB && x.kind(args[0]) == Text // not has(x) == has(this.x)
}

// columnOf is the column that e reads at its top, as text or by has, and whether it is the current event's.
func (x *expression) columnOf(e ast.Expr) (col Column, this, ok bool) {
	switch l := x.leaves[e.ID()]; l.is {
	case attrLeaf, hasAttrLeaf:
		return Column{Attr: l.name}, l.this, true
	case thisLeaf, hasFieldLeaf:
		f := slices.Index(schemas.Fields[:], l.name)
		return Column{Field: schemas.Field(f)}, l.this, f >= 0
	}
	if e.Kind() != ast.IdentKind {
		return Column{}, false, false
	}
	f := slices.Index(schemas.Fields[:], e.AsIdent())
	return Column{Field: schemas.Field(f)}, false, f >= 0
}

// reading calls fn for every column that e reads.
func (x *expression) reading(e ast.Expr, fn func(col Column, this bool)) {
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(n ast.Expr) {
		if col, this, ok := x.columnOf(n); ok {
			fn(col, this)
		}
	}))
}

// readsThis reports whether e reads anything of the current event.
func (x *expression) readsThis(e ast.Expr) (reads bool) {
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(n ast.Expr) { reads = reads || x.leaves[n.ID()].this }))
	return reads
}

// readsState reports whether e asks for the past event's state.
func (x *expression) readsState(e ast.Expr) (reads bool) {
	x.reading(e, func(col Column, this bool) { reads = reads || !this && col == Column{Field: schemas.FieldState} })
	return reads
}

// pastAccess reads the leaves of filters.
var pastAccess = access[schemas.Past]{
	amount: func(absent status) moneyFn[schemas.Past] {
		return func(p *schemas.Past) (schemas.Int128, status) { return amountOf(p, absent) }
	},
	field: func(f schemas.Field, absent status) textFn[schemas.Past] {
		return func(p *schemas.Past) (string, status) { return fieldValue(p, f, absent) }
	},
	attr: func(name string, absent status) textFn[schemas.Past] {
		return func(p *schemas.Past) (string, status) { return attrValue(p, name, absent) }
	},
	kind: func(p *schemas.Past) (string, status) { return p.Kind.String(), 0 },
}

// couple is what a scan reads: a past event and the current one.
type couple struct{ past, this *schemas.Past }

// couples lends them: what closures are called with would else be allocated for every event of every scan.
var couples = sync.Pool{New: func() any { return new(couple) }}

// coupleAccess reads the leaves of scans.
var coupleAccess = access[couple]{
	amount: func(absent status) moneyFn[couple] {
		return func(x *couple) (schemas.Int128, status) { return amountOf(x.past, absent) }
	},
	field: func(f schemas.Field, absent status) textFn[couple] {
		return func(x *couple) (string, status) { return fieldValue(x.past, f, absent) }
	},
	attr: func(name string, absent status) textFn[couple] {
		return func(x *couple) (string, status) { return attrValue(x.past, name, absent) }
	},
	kind: func(x *couple) (string, status) { return x.past.Kind.String(), 0 },
	this: &access[couple]{
		amount: func(absent status) moneyFn[couple] {
			return func(x *couple) (schemas.Int128, status) { return amountOf(x.this, absent) }
		},
		field: func(f schemas.Field, absent status) textFn[couple] {
			return func(x *couple) (string, status) { return fieldValue(x.this, f, absent) }
		},
		attr: func(name string, absent status) textFn[couple] {
			return func(x *couple) (string, status) { return attrValue(x.this, name, absent) }
		},
		kind: func(x *couple) (string, status) { return x.this.Kind.String(), 0 },
	},
}

func amountOf(p *schemas.Past, absent status) (schemas.Int128, status) {
	if !p.HasAmount {
		return schemas.Int128{}, absent
	}
	return schemas.I128(p.Amount), 0
}

func fieldValue(p *schemas.Past, f schemas.Field, absent status) (string, status) {
	if v, ok := p.Get(f); ok {
		return v, 0
	}
	return "", absent
}

func attrValue(p *schemas.Past, name string, absent status) (string, status) {
	if v, ok := p.Attr(name); ok {
		return v, 0
	}
	return "", absent
}
