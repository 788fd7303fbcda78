package rule

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"

	"github.com/streamgauge/streamgauge/schemas"
)

// scope is what the expressions of a configuration share while it is compiled.
type scope struct {
	policy       *Policy
	features     []*Feature
	featureIndex map[string]int // by name, into features
	*planner
}

// planner collects filters, aggregates and notes; equal ones share an index.
type planner struct {
	plan    Plan
	filters map[string]int
	slots   map[string]int
	notes   []note
	known   map[note]status
	beyond  *Mistake // the first filter or aggregate that is one too many
}

func newPlanner() *planner {
	return &planner{filters: map[string]int{}, slots: map[string]int{}, known: map[note]status{}}
}

// note says what a value is missing, or what failed.
type note struct {
	text string
	slot int // of the aggregate whose Why completes the text; −1 none
}

// number is the note's index, plus one.
func (p *planner) number(n note) status {
	s, ok := p.known[n]
	if !ok {
		p.notes = append(p.notes, n)
		s = status(len(p.notes))
		p.known[n] = s
	}
	return s
}

// unknown is the status of a leaf without a value.
func (c *compiler[C]) unknown(name string) status { return c.scope.number(note{name, -1}) }

// failed is the status of a fault.
func (c *compiler[C]) failed(text string) status { return -c.scope.number(note{text, -1}) }

// fault is the status of a fault in e.
func (c *compiler[C]) fault(fault string, e ast.Expr) status {
	return c.failed(fault + ": " + clip(c.text(e)))
}

// reads notes that the expression reads m; what filters read of past events is no measured value.
func (c *compiler[C]) reads(m measure) {
	if c.access.intSlot != nil && !slices.Contains(c.measured, m) {
		c.measured = append(c.measured, m)
	}
}

// aggregateSlot plans e where it is an aggregate, with its filter, and returns its slot and the status of its absence.
func (c *compiler[C]) aggregateSlot(e ast.Expr) (slot int, absent status, ok bool) {
	if e.Kind() != ast.CallKind {
		return 0, 0, false
	}
	call := e.AsCall()
	name, prior := strings.CutPrefix(call.FunctionName(), priorPrefix)
	f := slices.Index(Funcs, name)
	if f < 0 {
		return 0, 0, false
	}
	a := Aggregate{Func: Func(f), Prior: prior, Filter: NoFilter, Text: c.text(e)}
	args := call.Args()
	if a.Func != Since {
		k, _ := c.constant(args[0])
		a.Window = k.i
		args = args[1:]
	}
	switch a.Func {
	case Sum, Avg, Min, Max:
		a.Field, args = Amount, args[1:]
	case Distinct:
		a.Field, args = TextField(fieldOf(args[0].AsIdent())), args[1:]
	}
	if len(args) == 1 {
		a.Filter = c.filter(args[0])
	}
	slot = c.slot(e, a)
	c.reads(measure{text: a.Text, kind: a.Func.Result(), slot: slot + 1})
	return slot, c.scope.number(note{a.Text, slot}), true
}

// slot plans the aggregate.
func (c *compiler[C]) slot(e ast.Expr, a Aggregate) int {
	p := c.scope.planner
	if slot, ok := p.slots[a.Text]; ok {
		return slot
	}
	slot := len(p.slots)
	p.slots[a.Text] = slot
	if slot >= MaxAggregates {
		c.tooMany(e)
		return 0
	}
	p.plan.Aggregates = append(p.plan.Aggregates, a)
	p.plan.Longest = max(p.plan.Longest, a.Window)
	if f, ok := a.Field.Text(); ok {
		p.plan.Fields |= 1 << f
	}
	return slot
}

// filter plans the condition e on past events and returns its class bit; a condition that is always true is none.
func (c *compiler[C]) filter(e ast.Expr) int {
	if _, ok := c.constant(e); ok {
		return NoFilter
	}
	text := c.text(e)
	p := c.scope.planner
	if bit, ok := p.filters[text]; ok {
		return bit
	}
	bit := len(p.filters)
	p.filters[text] = bit
	if bit >= MaxFilters {
		c.tooMany(e)
		return NoFilter
	}
	fields := c.fields(e)
	inner := compiler[schemas.Past]{expression: c.expression, access: &pastAccess}
	holds := inner.boolean(e)
	p.plan.Fields |= fields
	p.plan.Filters = append(p.plan.Filters, Filter{
		Text:      text,
		Uncounted: fields&(1<<schemas.FieldState) != 0,
		match: func(past *schemas.Past) bool {
			v, s := holds(past)
			return v && s == 0
		},
	})
	return bit
}

// tooMany remembers where the plan overflowed first; how far it did is known at the end.
func (c *compiler[C]) tooMany(e ast.Expr) {
	if c.scope.beyond == nil {
		at := new(mistakes)
		f := *c.file
		f.mistakes = at
		x := *c.expression
		x.file = &f
		x.mistake(e, "")
		c.scope.beyond = (*at)[0]
	}
}

// fields are the text fields that e reads, as bits.
func (c *compiler[C]) fields(e ast.Expr) (bits int32) {
	v := ast.NewExprVisitor(func(n ast.Expr) {
		name := ""
		if l := c.leaves[n.ID()]; l.is == hasFieldLeaf {
			name = l.name
		} else if n.Kind() == ast.IdentKind {
			name = n.AsIdent()
		}
		if f := slices.Index(schemas.Fields[:], name); f >= 0 {
			bits |= 1 << f
		}
	})
	ast.PostOrderVisit(e, v)
	return bits
}

// pastAccess reads the leaves of filters.
var pastAccess = access[schemas.Past]{
	amount: func(absent status) moneyFn[schemas.Past] {
		return func(p *schemas.Past) (schemas.Int128, status) {
			if !p.HasAmount {
				return schemas.Int128{}, absent
			}
			return schemas.I128(p.Amount), 0
		}
	},
	field: func(f schemas.Field, absent status) textFn[schemas.Past] {
		return func(p *schemas.Past) (string, status) {
			if v, ok := p.Get(f); ok {
				return v, 0
			}
			return "", absent
		}
	},
	kind: func(p *schemas.Past) (string, status) { return p.Kind.String(), 0 },
}
