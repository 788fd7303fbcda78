package window

import (
	"github.com/streamgauge/streamgauge/schemas"
)

// Scratch is memory that Measure uses again from call to call; one lane has one.
type Scratch struct {
	past, this schemas.Past
	seen       map[uint32]struct{}
}

// Measure writes what every aggregate of the shape comes to for the event at p, seen from τ = at (the event's own time, or the
// customer's watermark where the event is late), into out, by slot; out has len(Shape.Aggregates). What is left of a former result is
// overwritten. Texts share the customer's memory: they are good until a Rollback.
func (c *Customer) Measure(p Place, at int64, out []Value, s *Scratch) {
	for slot := range c.shape.Aggregates {
		out[slot] = c.measure(slot, int(p.i), at, s)
	}
}

// acc is what one window's events add up to.
type acc struct {
	n      int64 // events
	m      int64 // of them with a base amount
	sum    schemas.Int128
	sq     u192
	lo, hi int64 // meaningless where m is 0
}

func (a *acc) add(r *row) {
	a.n++
	if r.flags&rowHasBase == 0 {
		return
	}
	if a.m++; a.m == 1 {
		a.lo, a.hi = r.amount, r.amount
	}
	a.lo, a.hi = min(a.lo, r.amount), max(a.hi, r.amount)
	a.sum = a.sum.Add(schemas.I128(r.amount))
	a.sq = a.sq.add(square(r.amount))
}

// amount is the function's value where it is one of amounts.
func (a *acc) value(f Func) Value {
	switch {
	case f == Count:
		return Value{I: schemas.I128(a.n)}
	case f == Sum:
		return Value{I: a.sum}
	case a.m == 0:
		return Value{Why: WhyNone}
	case f == Avg:
		return Value{I: a.sum.DivRound(uint64(a.m))}
	case f == Min:
		return Value{I: schemas.I128(a.lo)}
	case f == Max:
		return Value{I: schemas.I128(a.hi)}
	}
	return Value{I: stddev(a.m, a.sum, a.sq)}
}

func (c *Customer) measure(slot, place int, at int64, s *Scratch) Value {
	a := &c.shape.Aggregates[slot]
	if a.Func == Since {
		return c.since(slot, place, at)
	}
	from, to := c.shape.Bounds(a.Span, at)
	if why := c.whyOf(a, from); why != "" {
		return Value{Why: why}
	}
	i, j := c.after(from), c.after(to)
	if a.Scan != NoScan && j-i > limits.Scanned {
		return Value{Why: WhyCap}
	}
	if a.Func >= DailyMean {
		return c.daily(a, i, j, place, s)
	}
	var sum acc
	var text uint32
	clear(s.seen)
	if s.seen == nil {
		s.seen = map[uint32]struct{}{}
	}
	last, equal := -1, 0
	for k := i; k < j; k++ {
		if !c.takes(a, k, place, s) {
			continue
		}
		if equal++; len(a.Equal) > 0 && equal > limits.Equal {
			return Value{Why: WhyCap}
		}
		switch {
		case a.Field >= 0:
			v, ok := c.valueID(k, a.Field)
			if !ok {
				continue
			}
			s.seen[v] = struct{}{}
			if last < 0 || a.Func == Last {
				last, text = k, v
			}
		case a.Field == Amount && c.row[k].flags&rowHasBase == 0:
			continue
		case last < 0 || a.Func == Last:
			last = k
		}
		sum.add(&c.row[k])
	}
	switch a.Func {
	case Distinct:
		if len(s.seen) > limits.Distinct {
			return Value{Why: WhyCap}
		}
		return Value{I: schemas.I128(int64(len(s.seen)))}
	case First, Last:
		switch {
		case last < 0:
			return Value{Why: WhyNone}
		case a.Field == Amount:
			return Value{I: schemas.I128(c.row[last].amount)}
		}
		return Value{S: c.valueText(a.Field, text)}
	}
	return sum.value(a.Func)
}

// takes reports whether row k takes part in the aggregate.
func (c *Customer) takes(a *Aggregate, k, place int, s *Scratch) bool {
	if a.Prior && k == place || !c.row[k].meets(a.Filter) {
		return false
	}
	for _, col := range a.Equal {
		v, ok := c.valueID(k, col)
		if w, this := c.valueID(place, col); !ok || !this || v != w {
			return false
		}
	}
	if a.Scan == NoScan {
		return true
	}
	c.past(k, &s.past)
	c.past(place, &s.this)
	return c.shape.Scans[a.Scan].Match(&s.past, &s.this)
}

// valueID is the column's value in row k by an id that tells values of one column apart.
func (c *Customer) valueID(k, col int) (id uint32, ok bool) {
	if j := c.shape.prog.text[col]; j >= 0 {
		id = c.text(k)[j]
		return id, id != 0
	}
	id = uint32(c.row[k].side())
	return id, id != 0
}

func (c *Customer) valueText(col int, id uint32) string {
	if c.shape.prog.text[col] < 0 {
		return schemas.Side(id).String()
	}
	return c.dict.value(id)
}

func (c *Customer) daily(a *Aggregate, i, j, place int, s *Scratch) Value {
	var days totals
	for i < j {
		end := localStart(c.row[i].time, c.shape.prog.zone, Day, -1)
		var day acc
		for ; i < j && c.row[i].time < end; i++ {
			if c.takes(a, i, place, s) && (a.Field == NoField || c.row[i].flags&rowHasBase != 0) {
				day.add(&c.row[i])
			}
		}
		if day.n > 0 {
			total := day.sum
			if a.Field == NoField {
				total = schemas.I128(day.n * schemas.Micro)
			}
			days.add(total)
		}
	}
	switch {
	case a.Func == DailyDays:
		return Value{I: schemas.I128(days.n)}
	case days.n == 0:
		return Value{Why: WhyNone}
	case a.Func == DailyMean:
		return Value{I: days.sum.DivRound(uint64(days.n))}
	case a.Func == DailyMax:
		return Value{I: days.top}
	}
	return Value{I: stddev(days.n, days.sum, days.sq)}
}

// totals is what the days' sums or counts add up to.
type totals struct {
	n   int64
	sum schemas.Int128
	sq  u192
	top schemas.Int128 // the largest
}

func (a *totals) add(v schemas.Int128) {
	if a.n++; a.n == 1 || v.Cmp(a.top) > 0 {
		a.top = v
	}
	a.sum, a.sq = a.sum.Add(v), a.sq.add(square128(v))
}

// since is the ms from the latest event before the one at place, in (time, log) order, that meets the condition, to τ.
func (c *Customer) since(slot, place int, at int64) Value {
	e := c.row[place].time
	u := c.shape.prog.slots[slot]
	filter, l := c.shape.prog.since[u].filter, c.left[u]
	t := int64(noTime)
	horizon := c.Horizon()
	for k := place - 1; k >= 0 && c.row[k].time > horizon; k-- {
		if c.row[k].meets(filter) {
			t = c.row[k].time
			break
		}
	}
	left := c.leaving(u, horizon)
	l.time = max(l.time, left)
	if l.time <= e {
		t = max(t, l.time)
	} else {
		l.blind = max(l.blind, l.time)
	}
	switch {
	case t < min(l.blind, e):
		return Value{Why: WhyWarming}
	case t == noTime:
		return Value{Why: WhySince}
	}
	return Value{I: schemas.I128(at - t)}
}

// leaving is the newest time of an invisible row that is still held and meets the condition.
func (c *Customer) leaving(u int, horizon int64) int64 {
	for k := c.after(horizon) - 1; k >= 0; k-- {
		if c.row[k].meets(c.shape.prog.since[u].filter) {
			return c.row[k].time
		}
	}
	return noTime
}
