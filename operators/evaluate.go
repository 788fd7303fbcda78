package operators

import "context"

// Evaluate judges the event by the configuration's rules and computes its named features; each rule has one outcome, and no rule's
// error or panic is another's.
type Evaluate struct{}

// Name implements Operator.
func (Evaluate) Name() string { return "evaluate" }

// Process implements Operator.
func (Evaluate) Process(_ context.Context, b *Batch) error {
	set := b.State.Current().Set
	for _, it := range b.Items {
		set.Judge(&it.Rules, &it.Fact)
	}
	return nil
}
