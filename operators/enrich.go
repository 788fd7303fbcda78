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
func fold(s *State, conf *Configuration, it *Item) window.Place {
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
func measure(s *State, conf *Configuration, it *Item, place window.Place) {
	e, f, r := &it.Event, &it.Fact, &it.Rules
	r.Event, r.Amount, r.HasAmount = e, schemas.I128(f.BaseAmount), f.HasBase
	n := len(conf.Plan.Aggregates)
	s.measured = slices.Grow(s.measured[:0], n)[:n]
	it.customer.Measure(place, e.Time, s.measured, &s.scratch)
	r.Aggregates = slices.Grow(r.Aggregates[:0], n)[:n]
	for slot, v := range s.measured {
		r.Aggregates[slot] = rule.Value{Kind: conf.Plan.Aggregates[slot].Func.Result(), I: v.I}
		if v.Why != "" {
			r.Aggregates[slot] = rule.None(v.Why)
		}
	}
}
