package operators

import (
	"context"
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// Enrich folds the event into its customer's windows and measures every aggregate that the configuration plans, at the event's own
// time, and for a late event at the customer's watermark too: what a rule reads is decided here, exact or absent with its reason.
type Enrich struct {
	FoldOnly bool // a rebuild: the verdicts are out already, only the windows are wanted
}

// Name implements Operator.
func (Enrich) Name() string { return "enrich" }

// Process implements Operator.
func (o Enrich) Process(_ context.Context, b *Batch) error {
	conf := b.State.Current()
	for _, it := range b.Items {
		fold(b.State, conf, it)
		if !o.FoldOnly {
			measure(b.State, conf, it)
		}
	}
	return nil
}

// fold decides the event's base amount and whether it counts, and takes it into the windows, with the state changes that came before it.
func fold(s *State, conf *Configuration, it *Item) {
	e, f, c := &it.Event, &it.Fact, it.customer
	if !e.Has(schemas.FieldCurrency) {
		e.SetText(schemas.FieldCurrency, conf.Policy.BaseCurrency)
	}
	f.HasBase = e.HasAmount && e.Currency == conf.Policy.BaseCurrency
	if f.HasBase {
		f.BaseAmount = e.Amount
	}
	state, given := e.Text(schemas.FieldState)
	s.touch(c)
	it.place = c.Fold(e, it.id, f.HasBase, conf.Policy.Counts(state, given), it.Offset+1)
	release(s, it)
}

// measure fills what the rules read.
func measure(s *State, conf *Configuration, it *Item) {
	e, f, r := &it.Event, &it.Fact, &it.Rules
	r.Event, r.Amount, r.HasAmount = e, schemas.I128(f.BaseAmount), f.HasBase
	n := len(conf.Plan.Aggregates)
	r.Aggregates = slices.Grow(r.Aggregates[:0], n)[:n]
	it.customer.Measure(it.place, e.Time, r.Aggregates, &s.scratch)
	if it.again = it.again[:0]; f.Late {
		it.watermark, _ = it.customer.Watermark()
		it.again = slices.Grow(it.again, n)[:n]
		it.customer.Measure(it.place, it.watermark, it.again, &s.scratch)
	}
}
