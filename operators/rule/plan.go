package rule

import "github.com/streamgauge/streamgauge/schemas"

// Plan is what the windows must measure for every event: the distinct aggregates of all live and shadow rules and all features.
// Equal ones, after parameters are filled in, share a slot.
type Plan struct {
	Filters    []Filter    // distinct filters on past events; the index is the class bit; at most MaxFilters
	Aggregates []Aggregate // distinct aggregates; the index is the slot in Frame.Aggregates; at most MaxAggregates
	Fields     int32       // bit f set: a filter or a distinct reads schemas.Field f of past events
	Longest    int64       // ms; the longest W; since looks at full history and does not count here
	Retention  int64       // ms; Longest + Policy.Slack: how far behind the watermark an event is still folded in
}

// Filter is a condition on one past event.
type Filter struct {
	Text      string // canonical, parameters filled in
	Uncounted bool   // asks for the state, so it sees uncounted events too; the others see counted events only
	match     func(*schemas.Past) bool
}

// Match reports whether the condition holds for p; where it is unknown (an absent field decides) or fails, it does not match.
// Safe for concurrent use.
func (f *Filter) Match(p *schemas.Past) bool { return f.match(p) }

// Func is an aggregate's function.
type Func uint8

const (
	Count    Func = iota // Int; of nothing 0
	Sum                  // Money; of nothing 0
	Avg                  // Money, half-even; of nothing absent
	Min                  // Money; of nothing absent
	Max                  // Money; of nothing absent
	Distinct             // Int; of nothing 0
	Since                // Duration; time since the last earlier event; of none absent
)

// Funcs lists the functions' names by value.
var Funcs = []string{"count", "sum", "avg", "min", "max", "distinct", "since"}

func (f Func) String() string { return Funcs[f] }

// Result is the kind of the function's value.
func (f Func) Result() ValueKind {
	switch f {
	case Count, Distinct:
		return Int
	case Since:
		return Duration
	}
	return Money
}

// Aggregate is one measured value over the customer's counted events.
type Aggregate struct {
	Func   Func
	Window int64    // ms: events with time in (τ−Window, τ]; 0 for Since, which looks at all history before the current event
	Prior  bool     // without the current event; false for Since, which never includes it
	Field  FieldRef // Amount for sum, avg, min, max; a text field for distinct; else NoField. Events without the field do not count
	Filter int      // index into Plan.Filters; NoFilter for none
	Text   string   // canonical: "count('1h', direction == 'OUT')"
}

// NoFilter is Aggregate.Filter of an aggregate over all counted events.
const NoFilter = -1

// FieldRef is the field that an aggregate reads: NoField, Amount or a text field.
type FieldRef uint8

const (
	NoField   FieldRef = iota
	Amount             // 10⁻⁶ of the base currency
	firstText          // + schemas.Field
)

// TextField refers to f.
func TextField(f schemas.Field) FieldRef { return firstText + FieldRef(f) }

// Text returns the text field that r refers to.
func (r FieldRef) Text() (schemas.Field, bool) {
	if r < firstText {
		return 0, false
	}
	return schemas.Field(r - firstText), true
}
