package rule

import (
	"cmp"
	"fmt"

	"github.com/streamgauge/streamgauge/schemas"
)

// Plan is what the windows must measure for every event: the distinct aggregates of all live and shadow rules and all features.
// Equal ones, after parameters are filled in, share a slot; so do equal windows, filters and scans over different aggregates.
type Plan struct {
	// What windows must retain of past events beside time, amount, kind and side: the text fields and attributes that filters,
	// equalities, scans, distinct, first and last read. Ascending by Column.Compare, distinct; at most MaxColumns. The direction is
	// among them only where an aggregate names it as its field or in Equal.
	Columns    []Column
	Windows    []Window    // distinct windows, by first use; without that of Since; at most MaxWindows
	Filters    []Filter    // distinct filters on past events; the index is the class bit; at most MaxFilters
	Scans      []Scan      // distinct comparisons with the current event; at most MaxScans
	Aggregates []Aggregate // distinct aggregates; the index is the slot in Frame.Aggregates; at most MaxAggregates
	Longest    int64       // ms; how far back the windows reach: the largest Window.Reach; since looks at full history and does not count here
	Retention  int64       // ms; Longest + Policy.Slack: how far behind the watermark an event is still folded in
}

// Column is a text field or an attribute of past events.
type Column struct {
	Field schemas.Field // where Attr is empty
	Attr  string        // the attribute's name
}

// Compare orders columns: fields by value, then attributes by name.
func (c Column) Compare(d Column) int {
	return cmp.Or(cmp.Compare(c.Attr, d.Attr), cmp.Compare(c.Field, d.Field))
}

// String is the column as conditions write it: "country", "attr.device".
func (c Column) String() string {
	if c.Attr != "" {
		return attrText(c.Attr)
	}
	return c.Field.String()
}

// Of returns the column's value in p and whether it is given.
func (c Column) Of(p *schemas.Past) (string, bool) {
	if c.Attr != "" {
		return p.Attr(c.Attr)
	}
	return p.Get(c.Field)
}

// Filter is a condition on one past event (cost class B).
type Filter struct {
	Text string // canonical, parameters filled in
	// The condition that it is part of asks for the state, so it sees uncounted events too; the others see counted events only. A
	// condition that asks for the state in another part than the filter's has its filter all the same: that of Text "true" if need be.
	Uncounted bool
	Columns   []Column // that it reads, without the direction: where one is not known of a past event, neither is the answer
	match     func(*schemas.Past) bool
}

// key tells filters apart.
func (f *Filter) key() string {
	if f.Uncounted {
		return "all: " + f.Text
	}
	return "counted: " + f.Text
}

// Match reports whether the condition holds for p; where it is unknown (an absent field decides) or fails, it does not match. Whether
// p counts is the caller's part. Safe for concurrent use.
func (f *Filter) Match(p *schemas.Past) bool { return f.match(p) }

// Scan is a condition on a past and the current event together (cost class D): it is evaluated for every event of the window that
// meets the aggregate's filter and equalities.
type Scan struct {
	Text    string   // canonical, parameters filled in
	Columns []Column // that it reads of either event, without the direction
	match   func(past, this *schemas.Past) bool
}

// Match reports whether the condition holds for the past event beside the current one, which may be the same; where it is unknown or
// fails, it does not match. Safe for concurrent use; keeps neither.
func (s *Scan) Match(past, this *schemas.Past) bool { return s.match(past, this) }

// Unit says how a Window's bounds follow from τ.
type Unit uint8

const (
	NoUnit  Unit = iota // (τ−Delay−Length, τ−Delay]
	Day                 // [local midnight, τ], in Policy.Zone
	Week                // [local Monday, τ]: ISO
	Month               // [the first, τ]
	Quarter             // [the first of January, April, July or October, τ]
	Year                // [the first of January, τ]
	Daily               // the Length/24h whole local days before τ's
)

// Units lists the units' names by value.
var Units = []string{"", "day", "week", "month", "quarter", "year", "daily"}

func (u Unit) String() string { return Units[u] }

// Window says which past events an aggregate looks at, as seen from τ, the time at which it is measured.
type Window struct {
	Length int64 // ms; for Daily whole days of 24 h; 0 for the calendar units
	Delay  int64 // ms; 0 where Unit is not NoUnit
	Unit   Unit
}

// longest are the calendar units at their longest, ms: an hour more where a day has 25.
var longest = [...]int64{Day: 25 * hour, Week: week + hour, Month: 31*day + hour, Quarter: 92*day + hour, Year: 366*day + hour}

// Reach is how far before τ the window can begin, ms.
func (w Window) Reach() int64 {
	switch w.Unit {
	case NoUnit:
		return w.Delay + w.Length
	case Daily:
		return w.Length + day + hour
	}
	return longest[w.Unit]
}

// String is the window as rules write it: "'24h'", "delay('24h', '7d')", "'month'".
func (w Window) String() string {
	switch {
	case w.Delay != 0:
		return fmt.Sprintf("delay('%s', '%s')", formatDuration(w.Length), formatDuration(w.Delay))
	case w.Length != 0:
		return "'" + formatDuration(w.Length) + "'"
	}
	return "'" + w.Unit.String() + "'"
}

// Func is an aggregate's function.
type Func uint8

const (
	Count       Func = iota // Int; of nothing 0
	Sum                     // Money; of nothing 0
	Avg                     // Money, half-even; of nothing absent
	Min                     // Money; of nothing absent
	Max                     // Money; of nothing absent
	Stddev                  // Money: of the population, half-even; of nothing absent
	First                   // Money or Text: of the earliest event that has the field, ties by log order; of nothing absent
	Last                    // Money or Text: of the latest event that has the field, ties by log order; of nothing absent
	Distinct                // Int; of nothing 0
	Since                   // Duration; time since the last earlier event; of none absent
	DailyMean               // Money, half-even, over the days' sums or counts; of no day absent
	DailyStddev             // Money: of the population, half-even; of no day absent
	DailyMax                // Money; of no day absent
	DailyDays               // Int: days with at least one event; of nothing 0
)

// Funcs lists the functions' names by value.
var Funcs = []string{"count", "sum", "avg", "min", "max", "stddev", "first", "last", "distinct", "since", "daily.mean", "daily.stddev", "daily.max", "daily.days"}

func (f Func) String() string { return Funcs[f] }

// Aggregate is one measured value over the customer's counted events that meet Filter, Equal and Scan, all three.
type Aggregate struct {
	Func   Func
	Window Window   // zero for Since, which looks at all history before the current event
	Prior  bool     // without the current event; false for Since, which never includes it, and for daily, which looks at earlier days
	Field  FieldRef // what of the events is aggregated. Events without the field do not count
	Filter int      // index into Plan.Filters; NoFilter for none: every counted event
	Equal  []Column // columns that the past and the current event must both have, with equal values (cost class C); ascending, distinct
	Scan   int      // index into Plan.Scans; NoScan for none
	Text   string   // canonical: "count('1h', direction == 'OUT')"
}

// NoFilter is Aggregate.Filter of an aggregate over all counted events, NoScan is Aggregate.Scan of one that compares nothing.
const (
	NoFilter = -1
	NoScan   = -1
)

// Kind is the kind of the aggregate's value.
func (a *Aggregate) Kind() ValueKind {
	switch a.Func {
	case Count, Distinct, DailyDays:
		return Int
	case Since:
		return Duration
	case First, Last:
		return a.Field.Kind
	}
	return Money
}

// FieldRef is the field that an aggregate reads of past events.
type FieldRef struct {
	Kind   ValueKind // Absent: none. Money: the amount, 10⁻⁶ of the base currency. Text: Column
	Column Column
}
