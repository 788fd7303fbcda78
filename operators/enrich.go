package operators

import (
	"context"
	"slices"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// Enrich folds the event into its customer's windows and measures every aggregate that the configuration plans, at the event's own
// time: what a rule reads is decided here, exact or absent with its reason.
type Enrich struct {
	FoldOnly bool // a rebuild: the verdicts are out already, only the windows are wanted
}

// Name implements Operator.
func (Enrich) Name() string { return "enrich" }

// Process implements Operator.
func (o Enrich) Process(_ context.Context, b *Batch) error {
	conf := b.State.Current()
	for _, it := range b.Items {
		place := fold(b.State, conf, it)
		if !o.FoldOnly {
			measure(b.State, conf, it, place)
		}
	}
	return nil
}

// fold decides the event's base amount and whether it counts, and takes it into the windows.
func fold(s *State, conf *Configuration, it *Item) (place int) {
	e, f := &it.Event, &it.Fact
	if !e.Has(schemas.FieldCurrency) {
		e.SetText(schemas.FieldCurrency, conf.Policy.BaseCurrency)
	}
	f.HasBase = e.HasAmount && e.Currency == conf.Policy.BaseCurrency
	if f.HasBase {
		f.BaseAmount = e.Amount
	}
	state, given := e.Text(schemas.FieldState)
	return s.fold(it.customer, it, f.HasBase, conf.Policy.Counts(state, given))
}

// measure fills what the rules read.
func measure(s *State, conf *Configuration, it *Item, place int) {
	e, f, r := &it.Event, &it.Fact, &it.Rules
	r.Event, r.Amount, r.HasAmount = e, schemas.I128(f.BaseAmount), f.HasBase
	n := len(conf.Plan.Aggregates)
	r.Aggregates = slices.Grow(r.Aggregates[:0], n)[:n]
	m := meter{c: it.customer.Customer, conf: conf, place: place, now: e.Time, marks: &s.marks, window: -1}
	for _, slot := range conf.byWindow {
		r.Aggregates[slot] = m.measure(slot)
	}
}

// meter measures aggregates of one event; equal windows in a row share their span.
type meter struct {
	c     *window.Customer
	conf  *Configuration
	place int
	now   int64
	marks *window.Marks

	window int64 // of i, j and why; −1 before the first
	i, j   int
	why    string
}

func (m *meter) measure(slot int) rule.Value {
	a := &m.conf.Plan.Aggregates[slot]
	if a.Func == rule.Since {
		return m.since(slot)
	}
	if a.Window.Unit != rule.NoUnit || a.Window.Delay != 0 || len(a.Equal) > 0 || a.Scan != rule.NoScan {
		return rule.None("not measured")
	}
	if a.Window.Length != m.window {
		m.window = a.Window.Length
		m.why, _ = m.c.Known(m.now - a.Window.Length)
		m.i, m.j = m.c.Span(m.now-a.Window.Length, m.now)
	}
	if m.why != "" {
		return rule.None(m.why)
	}
	skip := window.None
	if a.Prior {
		skip = m.place
	}
	switch a.Func {
	case rule.Count:
		return rule.IntValue(m.c.Count(m.i, m.j, a.Filter, skip))
	case rule.Sum:
		return rule.MoneyValue(m.c.Total(m.i, m.j, a.Filter, skip))
	case rule.Avg:
		sum, n := m.c.Sum(m.i, m.j, a.Filter, skip)
		if n == 0 {
			return rule.None(rule.WhyNone)
		}
		return rule.MoneyValue(sum.DivRound(uint64(n)))
	case rule.Min, rule.Max:
		lo, hi, ok := m.c.Extremes(m.i, m.j, a.Filter, skip)
		switch {
		case !ok:
			return rule.None(rule.WhyNone)
		case a.Func == rule.Min:
			return rule.MoneyValue(schemas.I128(lo))
		}
		return rule.MoneyValue(schemas.I128(hi))
	case rule.Distinct:
		if a.Field.Column.Attr != "" {
			return rule.None("not measured")
		}
		n, ok := m.c.Distinct(m.i, m.j, a.Filter, skip, a.Field.Column.Field, m.marks)
		if !ok {
			return rule.None(rule.WhyCap)
		}
		return rule.IntValue(n)
	}
	return rule.None("not measured")
}

func (m *meter) since(slot int) rule.Value {
	t, found, complete := m.c.Since(m.conf.since[slot], m.place)
	switch {
	case found:
		return rule.DurationValue(m.now - t)
	case !complete:
		return rule.None("warming")
	}
	return rule.None(rule.WhySince)
}
