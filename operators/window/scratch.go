package window

import (
	"github.com/streamgauge/streamgauge/schemas"
)

// Scratch is memory that Measure uses again from call to call, and the windows of the customers that were measured last. One lane has
// one; its size is bounded.
type Scratch struct {
	past, this schemas.Past
	prog       *program
	calendar   []calendar
	span       []spanState
	late       windows // of a late event: filled for it alone
	pool       []*windows
	clock      uint64
	acc        []acc
	count      []int64
	sorted     []int
	values     marks
	starts     []int64 // of the local days before daysBefore
	daysBefore int64
}

// poolSize is how many customers are followed from event to event: some kB each. The windows of others are filled at each event.
const poolSize = 64

// calendar remembers where a calendar span began: until next, it begins there.
type calendar struct{ start, next int64 }

func (s *Scratch) prepare(p *program) {
	if s.prog != p {
		s.prog = p
		s.calendar = sized(s.calendar, len(p.spans))
		clear(s.calendar)
		s.starts = s.starts[:0]
	}
}

// bounds writes each span's (from, to] at τ.
func (s *Scratch) bounds(shape *Shape, at int64, out []spanState) {
	for k := range shape.Spans {
		x := &shape.Spans[k]
		switch x.Unit {
		case NoUnit:
			out[k].from, out[k].to = at-x.Delay-x.Length, at-x.Delay
			continue
		case Daily:
			c := s.unit(k, at, Day)
			out[k].to = c.start - 1
			out[k].from = s.dayStart(int(x.Length/dayMillis), c.start) - 1
		default:
			out[k].from, out[k].to = s.unit(k, at, x.Unit).start-1, at
		}
	}
}

func (s *Scratch) moved(shape *Shape, at int64, n int) []spanState {
	s.span = sized(s.span, n)
	s.bounds(shape, at, s.span)
	return s.span
}

// unit is the calendar unit that at lies in.
func (s *Scratch) unit(k int, at int64, unit Unit) calendar {
	c := &s.calendar[k]
	if at < c.start || at >= c.next || c.next == 0 {
		c.start = localStart(at, s.prog.zone, unit, 0)
		c.next = localNext(c.start, s.prog.zone, unit)
	}
	return *c
}

// dayStart is the start of the local day n days before the one that starts at today.
func (s *Scratch) dayStart(n int, today int64) int64 {
	if len(s.starts) == 0 || s.daysBefore != today {
		s.daysBefore, s.starts = today, append(s.starts[:0], today)
	}
	for len(s.starts) <= n {
		s.starts = append(s.starts, localStart(today, s.prog.zone, Day, len(s.starts)))
	}
	return s.starts[n]
}

// sums is room for n sums, all zero.
func (s *Scratch) sums(n int) []acc {
	s.acc = sized(s.acc, n)
	clear(s.acc)
	return s.acc
}

func (s *Scratch) counts(n int) []int64 {
	s.count = sized(s.count, n)
	clear(s.count)
	return s.count
}

// order lists the spans that hold, equal right ends side by side, the shorter first.
func (s *Scratch) order(span []spanState) []int {
	s.sorted = s.sorted[:0]
	for k := range span {
		if !span[k].ok {
			continue
		}
		s.sorted = append(s.sorted, k)
		for i := len(s.sorted) - 1; i > 0; i-- {
			a, b := &span[s.sorted[i-1]], &span[s.sorted[i]]
			if a.to > b.to || a.to == b.to && a.from >= b.from {
				break
			}
			s.sorted[i-1], s.sorted[i] = s.sorted[i], s.sorted[i-1]
		}
	}
	return s.sorted
}

// follow gives the customer windows of the pool: its own, or those that were used longest ago. Customers with sealed chunks keep theirs
// before others: filling them costs more.
func (s *Scratch) follow(c *Customer) *windows {
	s.clock++
	if w := c.windows; w != nil && w.c == c {
		w.used = s.clock
		return w
	}
	var w *windows
	if len(s.pool) < poolSize {
		w = &windows{}
		s.pool = append(s.pool, w)
	} else {
		w = s.pool[0]
		for _, x := range s.pool[1:] {
			if x.rank() < w.rank() {
				w = x
			}
		}
		w.c.windows = nil
	}
	w.c, w.prog, w.used = c, nil, s.clock
	c.windows = w
	return w
}

func (w *windows) rank() uint64 {
	if len(w.c.blocks) > 0 {
		return w.used + 64*poolSize
	}
	return w.used
}
