package window

// windows is the state of all spans of one customer as seen from one τ. It is kept from event to event while the customer is busy and
// moves on with it: what comes in is added, what leaves is taken out again, whatever the length of the windows. Where it does not fit
// the customer any more it is filled anew; nothing depends on it but the time that takes.
type windows struct {
	c      *Customer
	prog   *program
	gen    uint64 // of the customer
	layout uint64
	at     int64 // τ
	end    int   // position up to which events are in
	span   []spanState
	accs   []acc     // by span, then series
	dist   []int64   // by span, then dist
	last   [][]int64 // by dist, then value id: its newest time, or noTime; of the longest span at least
	days   []dailyMemory
	spare  []acc
	used   uint64 // when it was last used: the pool's clock
}

// spanState is one span: its events are at positions [lo, hi).
type spanState struct {
	from, to int64
	lo, hi   int
	ok       bool   // false: it begins before the horizon; nothing else of it holds
	b        *block // that holds lo while layout is that of the customer
	i        int
}

// fill makes w the windows at τ of all events but that at position skip (−1: of all).
func (c *Customer) fill(w *windows, at int64, skip int, s *Scratch) {
	p := c.shape.prog
	n := len(p.series)
	w.reset(c, at)
	w.end = c.end()
	s.bounds(c.shape, at, w.span)
	horizon := c.Horizon()
	for k := range w.span {
		x := &w.span[k]
		if x.ok = x.from >= horizon && !p.spans[k].idle; x.ok {
			x.lo, x.hi = c.after(x.from), c.after(x.to)
		}
	}
	for d := range p.dists {
		w.clearLast(d, len(c.dict.ends))
	}
	// Spans with the same right end share what they have in common, the shorter first.
	sums := s.sums(n)
	var before *spanState
	for _, k := range s.order(w.span) {
		x := &w.span[k]
		from := x.hi
		if before != nil && before.hi == x.hi {
			from = before.lo
		} else {
			clear(sums)
			before = nil
		}
		c.addBut(sums, x.lo, from, skip)
		copy(w.accs[k*n:(k+1)*n], sums)
		before = x
	}
	w.fillDistinct(skip, s)
}

// addBut is addRange without the event at skip.
func (c *Customer) addBut(sums []acc, i, j, skip int) {
	if skip >= i && skip < j {
		c.addRange(sums, skip+1, j)
		j = skip
	}
	c.addRange(sums, i, j)
}

func (w *windows) reset(c *Customer, at int64) {
	p := c.shape.prog
	w.c, w.prog, w.gen, w.layout, w.at = c, p, c.gen, c.layout-1, at
	w.span = sized(w.span, len(p.spans))
	w.accs = sized(w.accs, len(p.spans)*len(p.series))
	w.dist = sized(w.dist, len(p.spans)*len(p.dists))
	w.last = sized(w.last, len(p.dists))
	w.days = sized(w.days, len(p.daily))
	clear(w.span)
	clear(w.dist)
	for i := range w.days {
		w.days[i].ok = false
	}
}

// sized is s with length n; what it holds is left over.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// clearLast makes last times of all values absent.
func (w *windows) clearLast(d, words int) {
	w.last[d] = sized(w.last[d], max(words, 2)+1)
	for v := range w.last[d] {
		w.last[d][v] = noTime
	}
}

// lastOf is the newest time of value v, which may be new.
func (w *windows) lastOf(d int, v uint32) *int64 {
	for int(v) >= len(w.last[d]) {
		w.last[d] = append(w.last[d], noTime)
	}
	return &w.last[d][v]
}

// fillDistinct counts the different values of the spans that end with τ, the shortest first.
func (w *windows) fillDistinct(skip int, s *Scratch) {
	c, p := w.c, w.prog
	if len(p.dists) == 0 {
		return
	}
	count := s.counts(len(p.dists))
	end := -1
	for _, k := range s.order(w.span) {
		x := &w.span[k]
		if x.to != w.at {
			continue
		}
		if end < 0 {
			end = x.hi
		}
		w.seeRange(count, x.lo, end, skip)
		end = x.lo
		copy(w.dist[k*len(p.dists):], count)
	}
	_ = c
}

// seeRange counts the values at positions [lo, hi) that were not seen yet, the newest first.
func (w *windows) seeRange(count []int64, lo, hi, skip int) {
	c := w.c
	for hi > lo {
		b, i := c.locate(hi - 1)
		if b != &c.head && lo <= b.start && hi == b.start+b.n && (skip < b.start || skip >= hi) {
			for d := range b.lists {
				for _, v := range b.lists[d] {
					if t := w.lastOf(d, v.id); *t == noTime {
						*t = v.time
						count[d]++
					}
				}
			}
			hi = b.start
			continue
		}
		b.rows()
		for ; i >= 0 && b.start+i >= lo; i-- {
			if b.start+i == skip {
				continue
			}
			r := &b.row[i]
			for d, x := range w.prog.dists {
				if v := b.value(i, x.col); v != 0 && r.meets(x.filter) {
					if t := w.lastOf(d, v); *t == noTime {
						*t = r.time
						count[d]++
					}
				}
			}
		}
		hi = b.start + i + 1
	}
}

// enter takes row i of block b in, which lies in span k if it does in any: in those that end with τ, or in span k alone.
func (w *windows) enter(b *block, i, k int) {
	r, n := &b.row[i], len(w.prog.series)
	sq := square(r.amount)
	accs := w.accs[k*n : (k+1)*n]
	for _, s := range w.prog.spans[k].series {
		x := &w.prog.series[s]
		if r.meets(x.filter) && (x.col == noColumn || b.value(i, x.col) != 0) {
			accs[s].add(r, sq)
		}
	}
}

// leave takes the row at the left end of span k out.
func (w *windows) leave(b *block, i, k int) {
	r, n := &b.row[i], len(w.prog.series)
	accs := w.accs[k*n : (k+1)*n]
	sq := square(r.amount)
	for _, s := range w.prog.spans[k].series {
		x := &w.prog.series[s]
		if r.meets(x.filter) && (x.col == noColumn || b.value(i, x.col) != 0) {
			accs[s].remove(r, sq)
		}
	}
	if w.span[k].to != w.at {
		return
	}
	for _, d := range w.prog.spans[k].counts {
		x := w.prog.dists[d]
		v := b.value(i, x.col)
		if v == 0 || !r.meets(x.filter) || *w.lastOf(d, v) != r.time || w.again(b, i, d) {
			continue
		}
		w.dist[k*len(w.prog.dists)+d]--
	}
}

// again reports whether a later row of the same time has the same value: it leaves in the same move.
func (w *windows) again(b *block, i, d int) bool {
	x := w.prog.dists[d]
	v, t := b.value(i, x.col), b.row[i].time
	for pos := b.start + i + 1; pos < w.end; pos++ {
		b, i := w.c.locate(pos)
		if b.rows()[i].time != t {
			return false
		}
		if b.row[i].meets(x.filter) && b.value(i, x.col) == v {
			return true
		}
	}
	return false
}

// maxMove is how many events may leave or enter a span one by one; beyond it, filling anew is cheaper.
const maxMove = 256

// move brings the windows' ends to τ, without taking new events in where they end with τ. It reports false where they must be filled.
func (w *windows) move(at int64, s *Scratch) bool {
	c := w.c
	if at < w.at {
		return false
	}
	horizon := c.Horizon()
	w.at = at
	bounds := s.moved(c.shape, at, len(w.span))
	for k := range w.span {
		if w.prog.spans[k].idle {
			continue
		}
		x := &w.span[k]
		y := &bounds[k]
		if ok := y.from >= horizon; ok != x.ok {
			return false
		} else if !ok || y.from < x.from || y.to < x.to {
			if !ok {
				x.from, x.to = y.from, y.to
				continue
			}
			return false
		}
		x.from, x.to = y.from, y.to
		if w.layout != c.layout || x.b == nil {
			x.b, x.i = c.locate(x.lo)
		}
		if x.to != at && !w.moveRight(k) || !w.moveLeft(k) {
			return false
		}
	}
	w.layout = c.layout
	return true
}

// moveLeft lets the events leave that are not behind from any more.
func (w *windows) moveLeft(k int) bool {
	x := &w.span[k]
	for left := 0; x.lo < x.hi; left++ {
		if x.i >= x.b.n {
			x.b, x.i = w.c.locate(x.lo)
		}
		if left > maxMove || !x.b.resident() {
			return false
		}
		if x.b.row[x.i].time > x.from {
			break
		}
		w.leave(x.b, x.i, k)
		x.lo++
		x.i++
	}
	return true
}

// moveRight lets the events enter that a delay has kept out.
func (w *windows) moveRight(k int) bool {
	x := &w.span[k]
	for entered := 0; x.hi < w.end; entered++ {
		b, i := w.c.locate(x.hi)
		if entered > maxMove || !b.resident() {
			return false
		}
		if b.row[i].time > x.to {
			break
		}
		w.enter(b, i, k)
		x.hi++
	}
	return true
}

// admit takes the event at position end in: the newest.
func (w *windows) admit() {
	c, p := w.c, w.prog
	b, i := c.locate(w.end)
	r := &b.row[i]
	w.end++
	for k := range w.span {
		if x := &w.span[k]; x.ok && x.to == w.at {
			if x.hi = w.end; r.time > x.from {
				w.enter(b, i, k)
			} else {
				x.lo = w.end
				x.b = nil
			}
		}
	}
	for d := range p.dists {
		w.occur(b, i, d)
	}
}

// lastOut moves the ends before the newest event, which fill has skipped.
func (w *windows) lastOut() {
	w.end--
	for k := range w.span {
		w.span[k].hi = min(w.span[k].hi, w.end)
	}
}

// admitLate takes the event at pos in, which fill has skipped.
func (w *windows) admitLate(pos int) {
	b, i := w.c.locate(pos)
	t := b.row[i].time
	for k := range w.span {
		if x := &w.span[k]; x.ok && t > x.from && t <= x.to {
			w.enter(b, i, k)
		}
	}
	for d := range w.prog.dists {
		w.occur(b, i, d)
	}
}

// occur counts row i's value in the spans that did not have it.
func (w *windows) occur(b *block, i, d int) {
	x, r := w.prog.dists[d], &b.row[i]
	v := b.value(i, x.col)
	if v == 0 || !r.meets(x.filter) {
		return
	}
	t := w.lastOf(d, v)
	old := *t
	if old >= r.time {
		return
	}
	*t = r.time
	n := len(w.prog.dists)
	for k := range w.span {
		if x := &w.span[k]; x.ok && x.to == w.at && r.time > x.from && old <= x.from {
			w.dist[k*n+d]++
		}
	}
}

// fits reports whether w describes the customer: nothing has changed but what came in.
func (w *windows) fits(c *Customer) bool { return w.c == c && w.prog == c.shape.prog && w.gen == c.gen }

// insert takes in an event that was put in at position pos, before the end.
func (w *windows) insert(pos int) {
	if pos >= w.end {
		return
	}
	b, i := w.c.locate(pos)
	t := b.row[i].time
	w.end++
	for k := range w.span {
		x := &w.span[k]
		if !x.ok {
			continue
		}
		if x.b = nil; t <= x.from {
			x.lo++
		} else if t <= x.to {
			w.enter(b, i, k)
		}
		if t <= x.to {
			x.hi++
		}
	}
	for d := range w.prog.dists {
		w.occur(b, i, d)
	}
	for i := range w.days {
		w.days[i].ok = false
	}
}
