package oracle

import (
	"fmt"
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// Func is an aggregate over a window.
type Func string

// The aggregates. Those of amounts are of the amount in base currency; events without one count and take no part in them. Of nothing,
// Count, Sum, Distinct and DailyDays are 0, the others not determinable.
const (
	Count     Func = "count"
	Sum       Func = "sum"
	Avg       Func = "avg" // rounded half-even to 10⁻⁶, like Stddev, DailyMean and DailyStddev
	Min       Func = "min"
	Max       Func = "max"
	Stddev    Func = "stddev"   // of the population
	First     Func = "first"    // amount of the earliest in (time, log) order
	Last      Func = "last"     // amount of the latest
	FirstText Func = "first of" // column of the earliest that has it
	LastText  Func = "last of"  // column of the latest that has it
	Distinct  Func = "distinct" // values of the column
	Since     Func = "since"    // seconds from the latest event before this one

	// Over the local days before today of which at least one event is counted: of each day's sum, or count.
	DailyMean   Func = "daily mean"
	DailyStddev Func = "daily stddev"
	DailyMax    Func = "daily max"
	DailyDays   Func = "daily days" // how many days these are
)

var funcs = []Func{Count, Sum, Avg, Min, Max, Stddev, First, Last, FirstText, LastText, Distinct, Since, DailyMean, DailyStddev, DailyMax, DailyDays}

// Bounds of what the engine measures (design/rules.md 1): beyond them it says so instead of estimating, and so does the oracle.
const (
	maxDistinct = 65_536 // values
	maxScan     = 4_096  // events of a window that is scanned, whatever the conditions say of them
)

// Feature is an aggregate of a customer's counted events in (τ−Delay−Window, τ−Delay], with a name where a fact holds it.
type Feature struct {
	Name   string
	Func   Func
	Window int64 // ms; of the daily functions whole days; 0 for Since and where there is a Unit
	Unit   Unit  // instead of Window: [local start, τ]
	Delay  int64 // ms
	Prior  bool  // without the current event

	Field  schemas.Field // the column, for Distinct, FirstText and LastText
	Attr   string        // the column is this attribute instead
	Counts bool          // daily: of each day's number of events instead of its sum

	// Which events; all that are set must hold. A function says false where the rule language does not know.
	Side   schemas.Side
	Where  func(p *Past) bool
	With   func(p, this *Past) bool // never asked about events that have left the horizon
	Scan   bool                     // With is more than an equality: the engine scans, windows of up to maxScan events
	States bool                     // the condition asks for the state, so that uncounted events are asked too
}

func (f *Feature) daily() bool {
	return slices.Contains([]Func{DailyMean, DailyStddev, DailyMax, DailyDays}, f.Func)
}

func (f *Feature) text() bool { return f.Func == FirstText || f.Func == LastText }

func (f *Feature) validate(what string) error {
	unit := f.Unit != ""
	switch {
	case !slices.Contains(funcs, f.Func):
		return fmt.Errorf("%s: function %q is none of %v", what, f.Func, funcs)
	case unit && unitLength[f.Unit] == 0:
		return fmt.Errorf("%s: there is no calendar unit %q", what, f.Unit)
	case f.Func == Since && (unit || f.Window != 0 || f.Delay != 0):
		return fmt.Errorf("%s: since has no window", what)
	case f.Func == Since:
	case unit && (f.Window != 0 || f.Delay != 0 || f.daily()):
		return fmt.Errorf("%s: a window of a calendar unit takes no length, no delay and no daily function", what)
	case !unit && f.Window <= 0:
		return fmt.Errorf("%s: window %d ms: must be above 0", what, f.Window)
	case f.daily() && (f.Window%day != 0 || f.Delay != 0):
		return fmt.Errorf("%s: window %d ms, delay %d ms: must be whole days without a delay", what, f.Window, f.Delay)
	case f.Delay < 0:
		return fmt.Errorf("%s: delay %d ms: must not be below 0", what, f.Delay)
	}
	if f.Field >= schemas.NumFields {
		return fmt.Errorf("%s: there is no field %d", what, f.Field)
	}
	return nil
}

// reach is how far before τ the window can begin, in ms.
func (f *Feature) reach() int64 {
	switch {
	case f.Unit != "":
		return unitLength[f.Unit]
	case f.daily():
		return f.Window + day + hour // today may be 25 hours old, or any day before have them
	}
	return f.Delay + f.Window
}

// column is the text that Distinct, FirstText and LastText read.
func (f *Feature) column(p *Past) (string, bool) {
	if f.Attr != "" {
		return p.Attr(f.Attr)
	}
	return p.Text(f.Field)
}

// Value is what an aggregate came to.
type Value struct {
	Number schemas.Int128 // 10⁻⁶ units
	Text   string         // of FirstText and LastText
	Known  bool           // false: not determinable
}

// view is a customer as one of its events meets it at τ: the event is folded in, nothing after it in the log is.
type view struct {
	customer  *customer
	this      *Past
	tau       int64 // ms; the event's time, or the customer's watermark
	retention int64 // ms
	calendar  *calendar
}

// bounds is the window (from, to] in ms; Since has none.
func (v *view) bounds(f *Feature) (from, to int64) {
	switch {
	case f.Unit != "":
		return v.calendar.start(v.calendar.on(v.tau).first(f.Unit)) - 1, v.tau
	case f.daily():
		today := v.calendar.on(v.tau)
		return v.calendar.start(today.plus(-int(f.Window/day))) - 1, v.calendar.start(today) - 1
	}
	return v.tau - f.Delay - f.Window, v.tau - f.Delay
}

// contains reports whether the aggregate has a window and the event lies in it, whatever the conditions say.
func (v *view) contains(f *Feature) bool {
	if f.Func == Since {
		return false
	}
	from, to := v.bounds(f)
	return v.this.Time > from && v.this.Time <= to
}

// matches are the aggregate's conditions on one event.
func (v *view) matches(f *Feature, p *Past) bool {
	return (p.Counted || f.States) && (f.Side == schemas.SideNone || p.Side == f.Side) &&
		(f.Where == nil || f.Where(p)) && (f.With == nil || f.With(p, v.this))
}

// measure is one pass over the window. A window that begins behind the horizon, watermark − retention, is not determinable.
func (v *view) measure(f *Feature) Value {
	if f.Func == Since {
		return v.since(f)
	}
	from, to := v.bounds(f)
	if from < v.customer.watermark-v.retention {
		return Value{}
	}
	events := v.customer.events
	first := len(events)
	for first > 0 && events[first-1].Time > from {
		first--
	}
	var list []*Past
	inside := 0
	for _, p := range events[first:] {
		if p.Time > to {
			break
		}
		inside++
		if !(f.Prior && p == v.this) && v.matches(f, p) {
			list = append(list, p)
		}
	}
	if f.Scan && inside > maxScan {
		return Value{}
	}
	if f.daily() {
		return v.dailyOf(f, list)
	}
	return f.of(list)
}

// since is the time from the latest matching event before this one, in (time, log) order, to τ. What has left the horizon is older than
// all that has not, and its state is what it was when it left.
func (v *view) since(f *Feature) Value {
	found := func(p *Past) Value {
		return Value{Number: schemas.I128((v.tau - p.Time) * 1000), Known: true} // ms in 10⁻⁶ s
	}
	for _, p := range slices.Backward(v.customer.events) {
		before := p.Time < v.this.Time || p.Time == v.this.Time && p.position < v.this.position
		if before && v.matches(f, p) {
			return found(p)
		}
	}
	if f.With != nil {
		return Value{}
	}
	for _, p := range slices.Backward(v.customer.gone) {
		if v.matches(f, p) {
			return found(p)
		}
	}
	return Value{}
}
