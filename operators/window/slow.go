package window

import (
	"github.com/streamgauge/streamgauge/schemas"
)

// measureSlow looks at every event of the window: cost classes C and D.
func (c *Customer) measureSlow(g *slowGroup, place int, at int64, out []Value, s *Scratch) {
	refuse := func(why string) {
		for _, slot := range g.slots {
			out[slot] = Value{Why: why}
		}
	}
	from, to := c.shape.Bounds(g.like.Span, at)
	if from < c.Horizon() {
		refuse(WhyHorizon)
		return
	}
	var x slowSum
	if why := c.sumSlow(&x, g, c.after(from), c.after(to), place, s); why != "" {
		refuse(why)
		return
	}
	for _, slot := range g.slots {
		a := &c.shape.Aggregates[slot]
		switch {
		case a.Func == Count:
			put(&out[slot], schemas.I128(x.n))
		case a.Func == Sum:
			put(&out[slot], x.sum)
		case a.Func == Distinct && x.different > limits.Distinct:
			out[slot] = Value{Why: WhyCap}
		case a.Func == Distinct:
			put(&out[slot], schemas.I128(int64(x.different)))
		case a.Field >= 0 && x.first >= 0:
			b, i := c.locate(x.pick(a.Func))
			out[slot] = Value{S: c.textOf(b, i, a.Field)}
		case a.Field >= 0 || x.m == 0:
			out[slot] = Value{Why: WhyNone}
		case a.Func == First || a.Func == Last:
			put(&out[slot], schemas.I128(c.rowAt(x.pick(a.Func)).amount))
		default:
			put(&out[slot], x.value(a.Func))
		}
	}
}

// value is a function of amounts, of which there are some.
func (a *acc) value(f Func) schemas.Int128 {
	switch f {
	case Avg:
		return mean(a.sum, a.m)
	case Min:
		return schemas.I128(a.lo)
	case Max:
		return schemas.I128(a.hi)
	}
	return stddev(a.m, a.sum, a.sq)
}

// slowSum is what the events that take part come to.
type slowSum struct {
	acc
	first, last int // positions of events that have the field; −1: none has
	different   int
}

func (x *slowSum) pick(f Func) int {
	if f == First {
		return x.first
	}
	return x.last
}

// sumSlow goes over the events at [i, j); why is "cap" where they are too many.
func (c *Customer) sumSlow(x *slowSum, g *slowGroup, i, j, place int, s *Scratch) (why string) {
	x.first, x.last = -1, -1
	if g.like.Scan != NoScan && j-i > limits.Scanned {
		return WhyCap
	}
	t := c.tester(g, place, s)
	if t.never {
		return ""
	}
	col, amount := noColumn, g.like.Field == Amount
	if g.like.Field >= 0 {
		col = c.shape.prog.text[g.like.Field]
	}
	s.values.next(len(c.dict.ends))
	equal := 0
	for i < j {
		b, k := c.locate(i)
		b.rows()
		for end := min(b.n, j-b.start); k < end; k++ {
			if !t.takes(b, k) {
				continue
			}
			if equal++; equal > limits.Equal && len(g.equal) > 0 {
				return WhyCap
			}
			v := uint32(0)
			if g.like.Field >= 0 {
				if v = b.value(k, col); v == 0 {
					continue
				}
			} else if amount && b.row[k].flags&rowHasBase == 0 {
				continue
			}
			if x.last = b.start + k; x.first < 0 {
				x.first = x.last
			}
			if g.texts && s.values.see(v) {
				x.different++
			}
			x.add(&b.row[k], square(b.row[k].amount))
		}
		i = b.start + b.n
	}
	return ""
}

// tester decides which events take part in a group, for one current event.
type tester struct {
	c      *Customer
	filter int
	equal  []int
	this   [8]uint32 // the current event's values, by equal
	scan   func(past, this *schemas.Past) bool
	skip   int
	s      *Scratch
	never  bool // the current event lacks a value that others are to equal
}

func (c *Customer) tester(g *slowGroup, place int, s *Scratch) (t tester) {
	t = tester{c: c, filter: g.like.Filter, equal: g.equal, skip: -1, s: s}
	if g.like.Prior {
		t.skip = place
	}
	b, i := c.locate(place)
	b.rows()
	for e, col := range g.equal {
		t.this[e] = b.value(i, col)
		t.never = t.never || t.this[e] == 0
	}
	if g.like.Scan != NoScan {
		t.scan = c.shape.Scans[g.like.Scan].Match
		c.past(b, i, &s.this)
	}
	return t
}

func (t *tester) takes(b *block, i int) bool {
	if b.start+i == t.skip || !b.row[i].meets(t.filter) {
		return false
	}
	for e, col := range t.equal {
		if b.value(i, col) != t.this[e] {
			return false
		}
	}
	if t.scan == nil {
		return true
	}
	t.c.past(b, i, &t.s.past)
	return t.scan(&t.s.past, &t.s.this)
}

// since is the ms from the latest event before the one at place, in (time, log) order, that meets the condition, to τ.
func (c *Customer) since(use, place int, at int64) Value {
	e := c.rowAt(place).time
	u, l := &c.shape.prog.since[use], c.left[use]
	t := int64(noTime)
	visible := c.after(c.Horizon())
	if pos := c.backwardTime(use, u.series, visible, place); pos != noTime {
		t = pos
	}
	if t == noTime || l.time > e {
		l.time = max(l.time, c.leaving(use, visible))
	}
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

// backwardTime is the time of the last event of a since condition in [lo, hi), or noTime. Of whole chunks it is known without rows.
func (c *Customer) backwardTime(use, series, lo, hi int) int64 {
	for lo < hi {
		b, i := c.locate(hi - 1)
		if b != &c.head && i == b.n-1 && lo <= b.start {
			if t := b.met[use]; t != noTime {
				return t
			}
			hi = b.start
			continue
		}
		from := max(lo, b.start)
		if pos := c.backward(series, from, hi, -1, false); pos >= 0 {
			return c.rowAt(pos).time
		}
		hi = from
	}
	return noTime
}

// leaving is the newest time of an invisible event that is still held and meets the condition.
func (c *Customer) leaving(use, visible int) int64 {
	return c.backwardTime(use, c.shape.prog.since[use].series, c.begin(), visible)
}

// dailyMemory is a daily group's results: they hold until the day ends or something changes before it.
type dailyMemory struct {
	ok       bool
	from, to int64
	totals   totals
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

func (c *Customer) measureDaily(w *windows, n, place int, at int64, out []Value, s *Scratch) {
	g := &c.shape.prog.daily[n]
	bounds := s.moved(c.shape, at, len(c.shape.Spans))[g.like.Span]
	m := &w.days[n]
	today := g.like.Prior && c.rowAt(place).time <= bounds.to // the current event is of a day before τ's, and must be left out
	if today || g.slow || !m.ok || m.from != bounds.from || m.to != bounds.to || bounds.from < c.Horizon() {
		*m = dailyMemory{ok: !today && !g.slow, from: bounds.from, to: bounds.to}
		if why := c.sumDays(&m.totals, g, bounds.from, bounds.to, place, s); why != "" {
			m.ok = false
			for _, slot := range g.slots {
				out[slot] = Value{Why: why}
			}
			return
		}
	}
	for _, slot := range g.slots {
		f, t := c.shape.Aggregates[slot].Func, &m.totals
		switch {
		case f == DailyDays:
			put(&out[slot], schemas.I128(t.n))
		case t.n == 0:
			out[slot] = Value{Why: WhyNone}
		case f == DailyMean:
			put(&out[slot], mean(t.sum, t.n))
		case f == DailyMax:
			put(&out[slot], t.top)
		default:
			put(&out[slot], stddev(t.n, t.sum, t.sq))
		}
	}
}

// sumDays adds up the days in (from, to], which are whole.
func (c *Customer) sumDays(t *totals, g *dailyGroup, from, to int64, place int, s *Scratch) (why string) {
	if from < c.Horizon() {
		return WhyHorizon
	}
	span := &c.shape.Spans[g.like.Span]
	i, end := c.after(from), c.after(to)
	if g.like.Scan != NoScan && end-i > limits.Scanned {
		return WhyCap
	}
	skip := -1
	if g.like.Prior {
		skip = place
	}
	today := to + 1
	equal := int64(0)
	for n := int(span.Length/dayMillis) - 1; n >= 0 && i < end; n-- {
		next := end
		if n > 0 {
			next = c.after(s.dayStart(n, today) - 1)
		}
		var day acc
		if g.slow {
			var x slowSum
			one := slowGroup{like: g.like, equal: c.shape.prog.columns(g.like.Equal)}
			if why := c.sumSlow(&x, &one, i, next, place, s); why != "" {
				return why
			}
			day = x.acc
			if equal += day.n; len(one.equal) > 0 && equal > int64(limits.Equal) {
				return WhyCap
			}
		} else if i < next {
			sums := s.sums(len(c.shape.prog.series))
			c.addBut(sums, i, next, skip)
			day = sums[g.series]
		}
		switch {
		case g.like.Field == NoField && day.n > 0:
			t.add(schemas.I128(day.n * schemas.Micro))
		case g.like.Field == Amount && day.m > 0:
			t.add(day.sum)
		}
		i = next
	}
	return ""
}
