package window

import (
	"github.com/streamgauge/streamgauge/schemas"
)

// All is the class bit of an aggregate without a filter: every counted event.
const All = -1

// None is the skip of an aggregate that leaves no row out.
const None = -1

// meets reports whether the row belongs to class bit; All is every counted row.
func (r *row) meets(bit int) bool {
	if bit < 0 {
		return r.flags&rowCounted != 0
	}
	return r.bits>>uint(bit)&1 != 0
}

// Span returns the rows [i, j) with time in (from, to].
func (c *Customer) Span(from, to int64) (i, j int) { return c.after(from), c.after(to) }

// Count is the number of rows in [i, j) of class bit, without row skip.
func (c *Customer) Count(i, j, bit, skip int) int64 {
	n := int64(0)
	if bit == All {
		_, a := c.before(i)
		_, b := c.before(j)
		n = int64(b - a)
	} else {
		for k := i; k < j; k++ {
			n += int64(c.rows[k].bits >> uint(bit) & 1)
		}
	}
	if skip >= i && skip < j && c.rows[skip].meets(bit) {
		n--
	}
	return n
}

// Sum is the exact sum of base amounts, and n how many rows had one.
func (c *Customer) Sum(i, j, bit, skip int) (sum schemas.Int128, n int64) {
	for k := i; k < j; k++ {
		if r := &c.rows[k]; k != skip && r.flags&rowHasBase != 0 && r.meets(bit) {
			sum = sum.Add(schemas.I128(r.amount))
			n++
		}
	}
	return sum, n
}

// Total is Sum's first result, for unfiltered windows without looking at the rows.
func (c *Customer) Total(i, j, bit, skip int) schemas.Int128 {
	if bit != All {
		s, _ := c.Sum(i, j, bit, skip)
		return s
	}
	a, _ := c.before(i)
	b, _ := c.before(j)
	s := b.Sub(a)
	if skip >= i && skip < j {
		s = s.Sub(c.rows[skip].base())
	}
	return s
}

// Extremes are the smallest and largest base amount; ok is false where no row has one.
func (c *Customer) Extremes(i, j, bit, skip int) (lo, hi int64, ok bool) {
	for k := i; k < j; k++ {
		r := &c.rows[k]
		if k == skip || r.flags&rowHasBase == 0 || !r.meets(bit) {
			continue
		}
		if !ok {
			lo, hi, ok = r.amount, r.amount, true
			continue
		}
		lo, hi = min(lo, r.amount), max(hi, r.amount)
	}
	return lo, hi, ok
}

// MaxDistinct bounds an exact distinct count; beyond it the answer is refused (DESIGN, part 1 of the rule language: cap).
const MaxDistinct = 65_536

// Marks is scratch for Distinct, reused between calls.
type Marks struct {
	seen []uint32 // by dictionary id: the round that saw it
	now  uint32
}

// Distinct is the number of different values of field among the rows that have one; ok is false beyond MaxDistinct.
func (c *Customer) Distinct(i, j, bit, skip int, f schemas.Field, m *Marks) (n int64, ok bool) {
	if f == schemas.FieldDirection {
		return c.distinctSides(i, j, bit, skip), true
	}
	if len(m.seen) <= len(c.dict.values) {
		m.seen, m.now = make([]uint32, 2*len(c.dict.values)+16), 0
	}
	if m.now++; m.now == 0 { // the rounds wrapped: old marks would look fresh
		clear(m.seen)
		m.now = 1
	}
	for k := i; k < j; k++ {
		r := &c.rows[k]
		v := r.text[f-1]
		if v == 0 || k == skip || m.seen[v] == m.now || !r.meets(bit) {
			continue
		}
		m.seen[v] = m.now
		n++
	}
	return n, n <= MaxDistinct
}

func (c *Customer) distinctSides(i, j, bit, skip int) int64 {
	var seen rowFlags
	for k := i; k < j; k++ {
		if k != skip && c.rows[k].meets(bit) {
			seen |= c.rows[k].flags & (rowOut | rowIn)
		}
	}
	return int64(seen&rowOut/rowOut + seen&rowIn/rowIn)
}

// Since returns the time of the latest event before row place, in (time, log) order, that meets since condition s of the shape (an
// index); place is that of the last Fold. found is false where none does; complete is false where an event that left could be the answer:
// one that left before the condition was known, or, after retention grew, one older than the newest that met it.
func (c *Customer) Since(s, place int) (t int64, found, complete bool) {
	at, bit, l := c.rows[place].time, c.shape.Since[s].Bit, c.left[s]
	t = noTime
	for k := place - 1; k >= 0; k-- {
		if c.rows[k].meets(bit) {
			t = c.rows[k].time
			break
		}
	}
	if l.time <= at {
		t = max(t, l.time)
	} else {
		l.blind = l.time
	}
	switch {
	case t < min(l.blind, at):
		return 0, false, false
	case t == noTime:
		return 0, false, true
	}
	return t, true, true
}
