package operators

import (
	"slices"
	"strings"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// Seen is one planned aggregate as it is at a customer's watermark.
type Seen struct {
	Text  string // as rules write it
	Value schemas.Measured
	Kind  rule.ValueKind
}

// View measures every aggregate of a configuration for a customer's newest event at the watermark: what the rules would read there.
func View(conf *Configuration, c *window.Customer) (out []Seen) {
	last := c.Last(1)
	if len(last) == 0 {
		return nil
	}
	values := make([]schemas.Measured, len(conf.Shape.Aggregates))
	at, _ := c.Watermark()
	c.Measure(last[0].Place, at, values, &window.Scratch{})
	for i := range conf.Plan.Aggregates {
		a := &conf.Plan.Aggregates[i]
		out = append(out, Seen{Text: a.Text, Value: values[i], Kind: a.Kind()})
	}
	slices.SortFunc(out, func(a, b Seen) int { return strings.Compare(a.Text, b.Text) })
	return out
}
