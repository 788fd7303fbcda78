package operators

import (
	"hash/fnv"
	"slices"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// Configuration is one compiled snapshot with what it asks of every customer.
type Configuration struct {
	*rule.Set
	Shape *window.Shape

	pending, completed schemas.EventType

	spans [][]int // by rule: the distinct windows that it reads, indexes into Shape.Spans
}

// NewConfiguration derives the windows' shape from a compiled set.
func NewConfiguration(set *rule.Set) *Configuration {
	c := &Configuration{Set: set, Shape: shapeOf(set),
		pending:   schemas.NewEventType(set.Policy.CloudEvents.Prefix + schemas.OperationPending),
		completed: schemas.NewEventType(set.Policy.CloudEvents.Prefix + schemas.OperationCompleted)}
	c.spans = make([][]int, len(set.Rules))
	for i, r := range set.Rules {
		for _, slot := range r.Slots {
			a := &c.Shape.Aggregates[slot]
			if a.Func != window.Since && !slices.Contains(c.spans[i], a.Span) {
				c.spans[i] = append(c.spans[i], a.Span)
			}
		}
	}
	return c
}

// shapeOf says the set's plan in the words of the windows.
func shapeOf(set *rule.Set) *window.Shape {
	p := &set.Plan
	s := &window.Shape{Version: set.Version, Retention: p.Retention, Base: set.Policy.BaseCurrency, Zone: set.Policy.Zone}
	for _, c := range p.Columns {
		s.Columns = append(s.Columns, window.Column{Field: c.Field, Attr: c.Attr})
	}
	columns := func(of []rule.Column) (at []int) {
		for _, c := range of {
			at = append(at, slices.Index(p.Columns, c))
		}
		return at
	}
	for i := range p.Filters {
		f := &p.Filters[i]
		s.Filters = append(s.Filters, window.Filter{Key: conditionKey(f), Columns: columns(f.Columns), Match: func(past *schemas.Past) bool {
			return (past.Counted || f.Uncounted) && f.Match(past)
		}})
	}
	for i := range p.Scans {
		s.Scans = append(s.Scans, window.Scan{Columns: columns(p.Scans[i].Columns), Match: p.Scans[i].Match})
	}
	for _, w := range p.Windows {
		s.Spans = append(s.Spans, window.Span{Length: w.Length, Delay: w.Delay, Unit: units[w.Unit]})
	}
	for i := range p.Aggregates {
		a := &p.Aggregates[i]
		x := window.Aggregate{Func: funcs[a.Func], Span: slices.Index(p.Windows, a.Window), Prior: a.Prior, Field: window.NoField, Filter: window.All,
			Equal: columns(a.Equal), Scan: window.NoScan}
		switch a.Field.Kind {
		case rule.Money:
			x.Field = window.Amount
		case rule.Text:
			x.Field = slices.Index(p.Columns, a.Field.Column)
		}
		if a.Filter != rule.NoFilter {
			x.Filter = a.Filter
		}
		if a.Scan != rule.NoScan {
			x.Scan = a.Scan
		}
		s.Aggregates = append(s.Aggregates, x)
	}
	return s
}

// conditionKey names a filter in stored customers, whatever its index is in one configuration or the next.
func conditionKey(f *rule.Filter) uint64 {
	h := fnv.New64a()
	if f.Uncounted {
		h.Write([]byte("all "))
	}
	h.Write([]byte(f.Text))
	return h.Sum64()
}

// The leaves do not know each other: the words of the language in those of the windows.
var (
	units = [...]window.Unit{rule.NoUnit: window.NoUnit, rule.Day: window.Day, rule.Week: window.Week, rule.Month: window.Month, rule.Quarter: window.Quarter,
		rule.Year: window.Year, rule.Daily: window.Daily}
	funcs = [...]window.Func{rule.Count: window.Count, rule.Sum: window.Sum, rule.Avg: window.Avg, rule.Min: window.Min, rule.Max: window.Max,
		rule.Stddev: window.Stddev, rule.First: window.First, rule.Last: window.Last, rule.Distinct: window.Distinct, rule.Since: window.Since,
		rule.DailyMean: window.DailyMean, rule.DailyStddev: window.DailyStddev, rule.DailyMax: window.DailyMax, rule.DailyDays: window.DailyDays}
)

// still reports whether one of the rule's windows, seen from the watermark, holds an event of time at (DESIGN, contract 2: only then is
// a late event judged there again).
func (c *Configuration) still(ruleIndex int, at, watermark int64) bool {
	for _, span := range c.spans[ruleIndex] {
		if from, to := c.Shape.Bounds(span, watermark); from < at && at <= to {
			return true
		}
	}
	return false
}
