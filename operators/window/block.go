package window

import (
	"slices"
	"sort"

	"github.com/streamgauge/streamgauge/schemas"
)

// block is a stretch of a customer's events in (time, log) order: the head, or one sealed chunk.
type block struct {
	row    []row
	texts  []uint32 // dictionary ids, 0 absent; width for each row
	width  int
	stated []stated // states that changes gave to rows of the block, by id
	start  int      // position of the first row
	n      int      // rows; len(row) where they are resident

	ids   idFilter // of the head
	minis []acc    // sums of each miniRows rows, by mini then series; the first valid minis hold
	valid int

	// Of sealed chunks only:
	seq         uint64
	version     uint32 // edits since it was sealed
	first, last int64  // times
	stored      bool   // the store holds this version
	*summary           // nil: not worked out yet under the present shape
}

// summary is what is known of a sealed chunk whose rows are not resident.
type summary struct {
	total []acc     // by series
	met   []int64   // by since condition: newest time at which a row meets it, or noTime
	lists [][]value // by dist: its values, each with its newest time
}

// value is a value of a column and the newest time at which it occurs in a block.
type value struct {
	id   uint32
	time int64
}

// resident says whether the rows are in memory.
func (b *block) resident() bool { return len(b.row) == b.n }

// text returns the stored columns of row i.
func (b *block) text(i int) []uint32 { return b.texts[i*b.width : (i+1)*b.width] }

// after returns the index of the first row with time > t.
func (b *block) after(t int64) int {
	n := len(b.row)
	if n == 0 || b.row[n-1].time <= t { // in-order traffic
		return n
	}
	return sort.Search(n, func(i int) bool { return b.row[i].time > t })
}

// insert puts x at index i with absent columns. Memory grows by an eighth: customers with a hundred events are many.
func (b *block) insert(i int, x row) {
	if len(b.row) == cap(b.row) || len(b.texts)+b.width > cap(b.texts) {
		c := len(b.row) + max(4, len(b.row)/8)
		b.row = append(make([]row, 0, c), b.row...)
		b.texts = append(make([]uint32, 0, c*b.width), b.texts...)
	}
	n := len(b.row)
	b.row = b.row[:n+1]
	b.texts = b.texts[:(n+1)*b.width]
	if i < n {
		copy(b.row[i+1:], b.row[i:])
		copy(b.texts[(i+1)*b.width:], b.texts[i*b.width:])
	}
	b.row[i] = x
	clear(b.text(i))
	b.n++
	b.valid = min(b.valid, i/miniRows)
}

// remove takes row i out again: the undo of insert.
func (b *block) remove(i int) {
	b.row = slices.Delete(b.row, i, i+1)
	b.texts = slices.Delete(b.texts, i*b.width, (i+1)*b.width)
	b.n--
	b.valid = min(b.valid, i/miniRows)
}

// side, then stored texts, are the columns by which rows are told apart.
const (
	noColumn  = -1 // every row
	direction = -2 // the row's side
)

// value is the id of column col in row i, 0 where it is absent; ids tell values of one column apart.
func (b *block) value(i, col int) uint32 {
	if col >= 0 {
		return b.texts[i*b.width+col]
	}
	return uint32(b.row[i].side())
}

// meets reports whether row i belongs to a series.
func (b *block) meets(i int, s series) bool {
	return b.row[i].meets(s.filter) && (s.col == noColumn || b.value(i, s.col) != 0)
}

// miniRows is how many rows share one entry of block.minis: a window's border costs the sums of at most so many rows at each end.
const miniRows = 32

// mini returns the sums of mini m, all of whose rows there are.
func (b *block) mini(m int, p *program) []acc {
	n := len(p.series)
	if b.valid <= m {
		if need := (b.n / miniRows) * n; len(b.minis) < need {
			b.minis = slices.Grow(b.minis, need-len(b.minis))[:need]
		}
		for ; b.valid <= m; b.valid++ {
			sums := b.minis[b.valid*n : (b.valid+1)*n]
			clear(sums)
			b.addRows(sums, b.valid*miniRows, (b.valid+1)*miniRows, p)
		}
	}
	return b.minis[m*n : (m+1)*n]
}

// addRows adds the rows [i, j) to the sums, by series.
func (b *block) addRows(sums []acc, i, j int, p *program) {
	for ; i < j; i++ {
		r := &b.row[i]
		sq := square(r.amount)
		for s := range p.series {
			x := &p.series[s]
			if r.meets(x.filter) && (x.col == noColumn || b.value(i, x.col) != 0) {
				sums[s].add(r, sq)
			}
		}
	}
}

// addRange adds the rows [i, j) to the sums, minis at once.
func (b *block) addRange(sums []acc, i, j int, p *program) {
	m, end := (i+miniRows-1)/miniRows, j/miniRows
	if m >= end || b.n < 2*miniRows {
		b.addRows(sums, i, j, p)
		return
	}
	b.addRows(sums, i, m*miniRows, p)
	for ; m < end; m++ {
		for s, a := range b.mini(m, p) {
			sums[s].merge(&a)
		}
	}
	b.addRows(sums, end*miniRows, j, p)
}

// acc is what some events add up to.
type acc struct {
	n      int64 // events
	m      int64 // of them with a base amount
	sum    schemas.Int128
	sq     u192
	lo, hi int64 // extremes; meaningless where m is 0
	stale  bool  // lo and hi are to be looked up again: one of them has left
}

func (a *acc) add(r *row, sq u192) {
	a.n++
	if r.flags&rowHasBase == 0 {
		return
	}
	if a.m++; a.m == 1 {
		a.lo, a.hi, a.stale = r.amount, r.amount, false
	}
	a.lo, a.hi = min(a.lo, r.amount), max(a.hi, r.amount)
	a.sum = a.sum.Add(schemas.I128(r.amount))
	a.sq = a.sq.add(sq)
}

func (a *acc) remove(r *row, sq u192) {
	a.n--
	if r.flags&rowHasBase == 0 {
		return
	}
	a.m--
	a.sum = a.sum.Sub(schemas.I128(r.amount))
	a.sq = a.sq.sub(sq)
	a.stale = a.stale || r.amount == a.lo || r.amount == a.hi
}

func (a *acc) merge(b *acc) {
	a.n += b.n
	if b.m == 0 {
		return
	}
	if a.m == 0 {
		a.lo, a.hi = b.lo, b.hi
	}
	a.m += b.m
	a.lo, a.hi = min(a.lo, b.lo), max(a.hi, b.hi)
	a.sum = a.sum.Add(b.sum)
	a.sq = a.sq.add(b.sq)
}
