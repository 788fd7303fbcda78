package operators

import "context"

// Evaluate judges the event by the configuration's rules and computes its named features; each rule has one outcome, and no rule's
// error or panic is another's. A late event is judged again at the customer's watermark, by the rules of which a window still holds it:
// a pattern that it completes is found when it arrives.
type Evaluate struct{}

// Name implements Operator.
func (Evaluate) Name() string { return "evaluate" }

// Process implements Operator.
func (Evaluate) Process(_ context.Context, b *Batch) error {
	conf := b.State.Current()
	for _, it := range b.Items {
		conf.Judge(&it.Rules, &it.Fact)
		if !it.Fact.Late {
			continue
		}
		it.Rules.Aggregates, it.again = it.again, it.Rules.Aggregates
		conf.JudgeAgain(&it.Rules, &it.Fact, func(rule int) bool { return conf.still(rule, it.Event.Time, it.watermark) })
	}
	return nil
}
