package window

import (
	"github.com/streamgauge/streamgauge/schemas"
)

// Measure writes what every aggregate of the shape comes to for the event at p, seen from τ = at (the event's own time, or the
// customer's watermark where the event is late), into out, by slot; out has len(Shape.Aggregates). What is left of a former result is
// overwritten. Texts share the customer's memory: they are good until a Rollback.
func (c *Customer) Measure(p Place, at int64, out []Value, s *Scratch) {
	s.prepare(c.shape.prog)
	place := p.pos
	if at >= c.watermark {
		c.measureNewest(place, at, out, s)
	} else {
		w := &s.late
		c.fill(w, at, place, s)
		w.emit(1, place, out)
		w.admitLate(place)
		w.emit(0, place, out)
		c.measureRest(w, place, at, out, s)
	}
}

// measureNewest is Measure for a τ that no event is behind: the windows are those that the customer is followed with.
func (c *Customer) measureNewest(place int, at int64, out []Value, s *Scratch) {
	w := s.follow(c)
	newest := place == c.end()-1
	pending := c.end() - 1 // up to which position events are to be in before the current one
	if !newest {
		pending = c.end()
	}
	if !w.fits(c) || w.end != pending || !w.move(at, s) {
		if newest {
			c.fill(w, at, place, s)
			w.lastOut()
		} else {
			c.fill(w, at, -1, s)
		}
	}
	if newest {
		w.emit(1, place, out)
		w.admit()
	} else if c.shape.prog.prior {
		late := &s.late // without an event in the middle
		c.fill(late, at, place, s)
		late.emit(1, place, out)
	}
	w.emit(0, place, out)
	c.measureRest(w, place, at, out, s)
}

// measureRest is what is not kept in windows.
func (c *Customer) measureRest(w *windows, place int, at int64, out []Value, s *Scratch) {
	p := c.shape.prog
	for _, x := range p.sinces {
		out[x.slot] = c.since(x.use, place, at)
	}
	for i := range p.slow {
		c.measureSlow(&p.slow[i], place, at, out, s)
	}
	for i := range p.daily {
		c.measureDaily(w, i, place, at, out, s)
	}
	if c.knownBehind > noTime {
		c.refuse(at, out)
	}
}

// refuse takes out what is warming: rare, so that it is looked at afterwards.
func (c *Customer) refuse(at int64, out []Value) {
	for slot := range c.shape.Aggregates {
		a := &c.shape.Aggregates[slot]
		if a.Func == Since {
			continue
		}
		from, _ := c.shape.Bounds(a.Span, at)
		if from >= c.knownBehind {
			continue
		}
		if why := c.whyOf(a, from); why != "" {
			out[slot] = Value{Why: why}
		}
	}
}

// put writes a number.
func put(v *Value, x schemas.Int128) {
	v.I = x
	if v.S != "" {
		v.S = ""
	}
	if v.Why != "" {
		v.Why = ""
	}
}

// emit writes the spans' sums and distinct counts: prior is 1 for those without the current event, which is not in w then.
func (w *windows) emit(prior, place int, out []Value) {
	n, nd := len(w.prog.series), len(w.prog.dists)
	for k := range w.span {
		x, plan := &w.span[k], &w.prog.spans[k]
		if !x.ok {
			plan.refuse(prior, WhyHorizon, out)
			continue
		}
		skip := -1
		if prior == 1 {
			skip = place
		}
		for i := range plan.sums[prior] {
			g := &plan.sums[prior][i]
			w.emitGroup(g, x, &w.accs[k*n+g.series], skip, out)
		}
		for _, d := range plan.dists[prior] {
			if v := w.dist[k*nd+d.dist]; v <= int64(limits.Distinct) {
				put(&out[d.slot], schemas.I128(v))
			} else {
				out[d.slot] = Value{Why: WhyCap}
			}
		}
	}
}

// refuse writes one reason for all of a span.
func (p *spanPlan) refuse(prior int, why string, out []Value) {
	for i := range p.sums[prior] {
		g := &p.sums[prior][i]
		for _, slot := range [...]int{g.count, g.sum, g.avg, g.min, g.max, g.dev, g.first, g.last, g.firstText, g.lastText} {
			if slot >= 0 {
				out[slot] = Value{Why: why}
			}
		}
	}
	for _, d := range p.dists[prior] {
		out[d.slot] = Value{Why: why}
	}
}

func (w *windows) emitGroup(g *group, x *spanState, a *acc, skip int, out []Value) {
	if g.count >= 0 {
		put(&out[g.count], schemas.I128(a.n))
	}
	if g.sum >= 0 {
		put(&out[g.sum], a.sum)
	}
	if g.firstText >= 0 {
		w.putText(&out[g.firstText], g, w.first(g.series, x, skip, false))
	}
	if g.lastText >= 0 {
		w.putText(&out[g.lastText], g, w.final(g.series, x, skip, false))
	}
	if a.m == 0 {
		for _, slot := range [...]int{g.avg, g.min, g.max, g.dev, g.first, g.last} {
			if slot >= 0 {
				out[slot] = Value{Why: WhyNone}
			}
		}
		return
	}
	if g.avg >= 0 {
		put(&out[g.avg], mean(a.sum, a.m))
	}
	if a.stale && (g.min >= 0 || g.max >= 0) {
		w.extremes(g.series, x, skip, a)
	}
	if g.min >= 0 {
		put(&out[g.min], schemas.I128(a.lo))
	}
	if g.max >= 0 {
		put(&out[g.max], schemas.I128(a.hi))
	}
	if g.dev >= 0 {
		put(&out[g.dev], stddev(a.m, a.sum, a.sq))
	}
	if g.first >= 0 {
		put(&out[g.first], schemas.I128(w.firstAmount(g.series, x, skip)))
	}
	if g.last >= 0 {
		put(&out[g.last], schemas.I128(w.lastAmount(g.series, x, skip)))
	}
}

func (w *windows) putText(v *Value, g *group, pos int) {
	if pos < 0 {
		*v = Value{Why: WhyNone}
		return
	}
	b, i := w.c.locate(pos)
	*v = Value{S: w.c.textOf(b, i, g.column)}
}

// textOf is the text of a column of the shape, which the row has.
func (c *Customer) textOf(b *block, i, column int) string {
	j := c.shape.prog.text[column]
	if j == direction {
		return b.row[i].side().String()
	}
	return c.dict.value(b.value(i, j))
}

// extremes looks the smallest and largest amount up again.
func (w *windows) extremes(series int, x *spanState, skip int, a *acc) {
	sums := w.room(len(w.prog.series))
	w.c.addBut(sums, x.lo, x.hi, skip)
	a.lo, a.hi, a.stale = sums[series].lo, sums[series].hi, false
}

// room is zeroed sums.
func (w *windows) room(n int) []acc {
	w.spare = sized(w.spare, n)
	clear(w.spare)
	return w.spare
}

// first is the position of the first event of a series in the span, with an amount where that is asked for, or −1.
func (w *windows) first(series int, x *spanState, skip int, amount bool) int {
	return w.c.forward(series, x.lo, x.hi, skip, amount)
}

// firstAmount is the amount of the first event of a series, which has one; mostly it is the event at the left end.
func (w *windows) firstAmount(series int, x *spanState, skip int) int64 {
	if b := x.b; b != nil && w.layout == w.c.layout && x.lo != skip && x.i < len(b.row) && b.hit(x.i, w.prog.series[series], true) {
		return b.row[x.i].amount
	}
	return w.c.rowAt(w.first(series, x, skip, true)).amount
}

// lastAmount is firstAmount from the other end.
func (w *windows) lastAmount(series int, x *spanState, skip int) int64 {
	h := &w.c.head
	if i := x.hi - 1 - h.start; i >= 0 && x.hi-1 != skip && h.hit(i, w.prog.series[series], true) {
		return h.row[i].amount
	}
	return w.c.rowAt(w.final(series, x, skip, true)).amount
}

// final is the position of the last one.
func (w *windows) final(series int, x *spanState, skip int, amount bool) int {
	return w.c.backward(series, x.lo, x.hi, skip, amount)
}

// has reports whether sums of a stretch hold an event that is looked for.
func (a *acc) has(amount bool) bool { return a.n > 0 && (!amount || a.m > 0) }

// hit reports whether row i is one that is looked for.
func (b *block) hit(i int, x series, amount bool) bool {
	return b.meets(i, x) && (!amount || b.row[i].flags&rowHasBase != 0)
}

// forward finds the first event of a series in [lo, hi) but skip; stretches without one are passed over.
func (c *Customer) forward(s, lo, hi, skip int, amount bool) int {
	p := c.shape.prog
	for lo < hi {
		b, i := c.locate(lo)
		if b != &c.head && i == 0 && !b.total[s].has(amount) {
			lo = b.start + b.n
			continue
		}
		b.rows()
		for end := min(b.n, hi-b.start); i < end; i++ {
			if i%miniRows == 0 && b.n >= 2*miniRows && i+miniRows <= end && !b.mini(i/miniRows, p)[s].has(amount) {
				i += miniRows - 1
			} else if b.start+i != skip && b.hit(i, p.series[s], amount) {
				return b.start + i
			}
		}
		lo = b.start + i
	}
	return -1
}

// backward finds the last one.
func (c *Customer) backward(s, lo, hi, skip int, amount bool) int {
	p := c.shape.prog
	for lo < hi {
		b, i := c.locate(hi - 1)
		if b != &c.head && i == b.n-1 && !b.total[s].has(amount) {
			hi = b.start
			continue
		}
		b.rows()
		for begin := max(0, lo-b.start); i >= begin; i-- {
			if i%miniRows == miniRows-1 && b.n >= 2*miniRows && i-miniRows+1 >= begin && !b.mini(i/miniRows, p)[s].has(amount) {
				i -= miniRows - 1
			} else if b.start+i != skip && b.hit(i, p.series[s], amount) {
				return b.start + i
			}
		}
		hi = b.start + i + 1
	}
	return -1
}
