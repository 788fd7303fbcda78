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

// planner collects what the windows must measure, and notes; equal ones share an index.
type planner struct {
	plan    Plan
	slots   shared
	windows shared
	filters shared
	scans   shared
	columns shared
	equals  shared // distinct sets of columns that are compared for equality
	notes   []note
	known   map[note]status
}

func newPlanner() *planner {
	return &planner{
		slots:   shared{what: "aggregates", limit: MaxAggregates, index: map[string]int{}},
		windows: shared{what: "windows", limit: MaxWindows, index: map[string]int{}},
		filters: shared{what: "filters", limit: MaxFilters, index: map[string]int{}},
		scans:   shared{what: "scans (conditions with `this.` other than field == this.field)", limit: MaxScans, index: map[string]int{}},
		columns: shared{what: "fields and attributes of past events", limit: MaxColumns, index: map[string]int{}},
		equals:  shared{what: "combinations of field == this.field", limit: MaxEquals, index: map[string]int{}},
		known:   map[note]status{},
	}
}

// all are the shared parts, in the order in which mistakes name them.
func (p *planner) all() []*shared {
	return []*shared{&p.slots, &p.windows, &p.filters, &p.scans, &p.columns, &p.equals}
}

// shared numbers the distinct ones of a kind of part of the plan.
type shared struct {
	what   string // for messages, plural
	limit  int
	index  map[string]int
	beyond *Mistake // where the first one too many stands; how many there are is known at the end
}

// note says what a value is missing, or what failed.
type note struct {
	text string
	slot int // of the aggregate whose Why completes the text; −1 none
}

// said is a note with what it says for each of whys, made ready so that judging builds no text.
type said struct {
	note
	because [len(whys)]string
}

func (n note) said() said {
	s := said{note: n}
	for i, why := range whys {
		if n.slot >= 0 {
			s.because[i] = n.text + ": " + why
		}
	}
	return s
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

// reads notes that the expression reads m; what conditions of windows read of past events is no measured value.
func (c *compiler[C]) reads(m measure) {
	if c.access.intSlot != nil && !slices.Contains(c.measured, m) {
		c.measured = append(c.measured, m)
	}
}

// take returns the index of what key names, and whether it is new. Beyond the limit it goes on counting; finish then fails.
func (x *expression) take(s *shared, key string, e ast.Expr) (i int, isNew bool) {
	if i, ok := s.index[key]; ok {
		return i, false
	}
	i = len(s.index)
	s.index[key] = i
	if i >= s.limit && s.beyond == nil {
		s.beyond = x.placed(e)
	}
	return i, true
}

// placed is a mistake at e's place, still without words.
func (x *expression) placed(e ast.Expr) *Mistake {
	at := new(mistakes)
	f := *x.file
	f.mistakes = at
	y := *x
	y.file = &f
	y.mistake(e, "")
	return (*at)[0]
}

// aggregateSlot plans e where it is an aggregate, with its condition, and returns its slot and the status of its absence.
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
	text := c.text(e)
	p := c.scope.planner
	slot, isNew := c.take(&p.slots, text, e)
	if isNew {
		a := Aggregate{Func: Func(f), Prior: prior, Filter: NoFilter, Scan: NoScan, Text: text}
		c.planned(e, &a, call.Args())
		p.plan.Aggregates = append(p.plan.Aggregates, a)
	}
	c.reads(measure{text: text, kind: p.plan.Aggregates[slot].Kind(), slot: slot + 1})
	return slot, c.scope.number(note{text, slot}), true
}

// planned plans what a's arguments ask for.
func (c *compiler[C]) planned(e ast.Expr, a *Aggregate, args []ast.Expr) {
	p := c.scope.planner
	if a.Func != Since {
		a.Window = c.windowOf(a.Func, args[0])
		if _, isNew := c.take(&p.windows, a.Window.Unit.String()+a.Window.String(), args[0]); isNew {
			p.plan.Windows = append(p.plan.Windows, a.Window)
		}
		p.plan.Longest = max(p.plan.Longest, a.Window.Reach())
		args = args[1:]
	}
	switch a.Func {
	case Count, Since:
	default:
		a.Field = c.fieldRef(args[0])
		args = args[1:]
	}
	if a.Field.Kind == Text {
		c.column(a.Field.Column, e)
	}
	if len(args) == 1 {
		c.condition(a, args[0])
	}
}

// fieldRef is the field that e, the second argument of an aggregate, names.
func (c *compiler[C]) fieldRef(e ast.Expr) FieldRef {
	if col, _, ok := c.columnOf(e); ok {
		return FieldRef{Kind: Text, Column: col}
	}
	if e.AsIdent() == "amount" {
		return FieldRef{Kind: Money}
	}
	return FieldRef{} // daily(W, count)
}

// windowOf is the window that e, the first argument of an aggregate, stands for.
func (x *expression) windowOf(f Func, e ast.Expr) Window {
	l := x.leaves[e.ID()]
	switch {
	case l.is == windowLeaf:
		return l.window
	case f >= DailyMean:
		return Window{Length: l.constant.i, Unit: Daily}
	}
	return Window{Length: l.constant.i}
}

// column plans that col is retained.
func (c *compiler[C]) column(col Column, e ast.Expr) {
	p := c.scope.planner
	if _, isNew := c.take(&p.columns, col.String(), e); isNew {
		p.plan.Columns = append(p.plan.Columns, col)
	}
}

// condition plans the condition e on past events. It holds where all of its conjuncts do, each known, so they can be asked apart:
// those on the past event alone are a filter, those that compare a column with the current event's same one are equalities, the rest
// is a scan. What is always true is nothing of either.
func (c *compiler[C]) condition(a *Aggregate, e ast.Expr) {
	var filter, scan []ast.Expr
	for _, x := range conjuncts(e, nil) {
		if k, ok := c.constant(x); ok && k.i != 0 {
			continue
		}
		if col, ok := c.equality(x); ok {
			a.Equal = append(a.Equal, col)
		} else if c.readsThis(x) {
			scan = append(scan, x)
		} else {
			filter = append(filter, x)
		}
	}
	slices.SortFunc(a.Equal, Column.Compare)
	a.Equal = slices.Compact(a.Equal)
	if len(a.Equal) > 0 {
		key := ""
		for _, col := range a.Equal {
			c.column(col, e)
			key += col.String() + " "
		}
		c.take(&c.scope.planner.equals, key, e)
	}
	uncounted := c.readsState(e)
	if len(filter) > 0 || uncounted {
		a.Filter = c.filter(e, filter, uncounted)
	}
	if len(scan) > 0 {
		a.Scan = c.scan(e, scan)
	}
}

// filter plans the conjuncts of the condition e that are on the past event alone, and returns their class bit.
func (c *compiler[C]) filter(e ast.Expr, all []ast.Expr, uncounted bool) int {
	p := c.scope.planner
	f := Filter{Text: c.conjunction(all), Uncounted: uncounted}
	bit, isNew := c.take(&p.filters, f.key(), e)
	if !isNew {
		return bit
	}
	f.Columns = c.retain(all)
	holds := conjoined(&compiler[schemas.Past]{expression: c.expression, access: &pastAccess}, all)
	f.match = func(past *schemas.Past) bool {
		v, s := holds(past)
		return v && s == 0
	}
	p.plan.Filters = append(p.plan.Filters, f)
	return bit
}

// scan plans the conjuncts of the condition e that compare a past with the current event, and returns their index.
func (c *compiler[C]) scan(e ast.Expr, all []ast.Expr) int {
	text := c.conjunction(all)
	p := c.scope.planner
	i, isNew := c.take(&p.scans, text, e)
	if !isNew {
		return i
	}
	columns := c.retain(all)
	holds := conjoined(&compiler[couple]{expression: c.expression, access: &coupleAccess}, all)
	p.plan.Scans = append(p.plan.Scans, Scan{
		Text:    text,
		Columns: columns,
		match: func(past, this *schemas.Past) bool {
			x := couples.Get().(*couple)
			x.past, x.this = past, this
			v, s := holds(x)
			x.past, x.this = nil, nil
			couples.Put(x)
			return v && s == 0
		},
	})
	return i
}

// retain plans the columns that the conjuncts read, of the past event and of the current one: the windows hold both. It returns them,
// distinct. The side of an event is always there.
func (c *compiler[C]) retain(all []ast.Expr) (columns []Column) {
	for _, e := range all {
		c.reading(e, func(col Column, _ bool) {
			if col != (Column{Field: schemas.FieldDirection}) && !slices.Contains(columns, col) {
				c.column(col, e)
				columns = append(columns, col)
			}
		})
	}
	return columns
}

// conjoined compiles the conjuncts into one condition; of none it is true.
func conjoined[C any](c *compiler[C], all []ast.Expr) boolFn[C] {
	if len(all) == 0 {
		return func(*C) (bool, status) { return true, 0 }
	}
	holds := c.boolean(all[0])
	for _, e := range all[1:] {
		holds = and(holds, c.boolean(e))
	}
	return holds
}
