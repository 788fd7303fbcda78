package oracle

import (
	"fmt"
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// Func is an aggregate over a window.
type Func string

// The aggregates. All but Count and Distinct are of the amount in base currency; events without one count and take no part in them.
const (
	Count    Func = "count"
	Sum      Func = "sum"
	Avg      Func = "avg" // rounded half-even to 10⁻⁶
	Min      Func = "min"
	Max      Func = "max"
	Distinct Func = "distinct" // values of Field
)

var funcs = []Func{Count, Sum, Avg, Min, Max, Distinct}

// Feature is a named number over a customer's counted events in (τ−Window, τ].
type Feature struct {
	Name   string
	Func   Func
	Window int64         // ms
	Side   schemas.Side  // only events of this side; SideNone: all events
	Field  schemas.Field // for Distinct
}

func (f *Feature) validate() error {
	switch {
	case f.Name == "":
		return fmt.Errorf("feature of %s: a name is missing", f.Func)
	case !slices.Contains(funcs, f.Func):
		return fmt.Errorf("feature %s: function %q is none of %v", f.Name, f.Func, funcs)
	case f.Window <= 0:
		return fmt.Errorf("feature %s: window %d ms: must be above 0", f.Name, f.Window)
	case f.Field >= schemas.NumFields:
		return fmt.Errorf("feature %s: there is no field %d", f.Name, f.Field)
	}
	return nil
}

func (f *Feature) measure(v *view) Measured {
	value, known := aggregate(v, f.Func, f.Window, f.Field, func(x *entry) bool {
		return f.Side == schemas.SideNone || x.side == f.Side
	})
	return Measured{Name: f.Name, Value: value, ND: !known}
}

// aggregate is one pass over the window. known is false behind the horizon, and where an average or an extreme has nothing to be of;
// count, sum and distinct of nothing are 0.
func aggregate(v *view, fn Func, window int64, field schemas.Field, filter func(*entry) bool) (value schemas.Int128, known bool) {
	var n, amounts int64
	var sum schemas.Int128
	var lowest, highest int64
	var values map[string]bool
	if fn == Distinct {
		values = map[string]bool{}
	}
	known = v.over(window, func(x *entry) {
		if !filter(x) {
			return
		}
		n++
		if fn == Distinct {
			if text, given := x.event.Text(field); given {
				values[text] = true
			}
		}
		if !x.hasAmount {
			return
		}
		if amounts == 0 {
			lowest, highest = x.amount, x.amount
		}
		amounts++
		sum = sum.Add(schemas.I128(x.amount))
		lowest, highest = min(lowest, x.amount), max(highest, x.amount)
	})
	switch fn {
	case Count:
		return whole(n), known
	case Sum:
		return sum, known
	case Distinct:
		return whole(int64(len(values))), known
	}
	if !known || amounts == 0 {
		return schemas.Int128{}, false
	}
	switch fn {
	case Avg:
		return sum.DivRound(uint64(amounts)), true
	case Min:
		return schemas.I128(lowest), true
	case Max:
		return schemas.I128(highest), true
	}
	panic(fmt.Sprintf("BUG: oracle: no aggregate %q", fn))
}

// whole is n in 10⁻⁶ units; n stays far below the 9·10¹² that fit.
func whole(n int64) schemas.Int128 { return schemas.I128(n * schemas.Micro) }
