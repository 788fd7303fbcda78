package window

import (
	"slices"
	"sort"

	"github.com/streamgauge/streamgauge/schemas"
)

// row is one retained event: 88 bytes.
type row struct {
	time   int64
	amount int64          // 10⁻⁶ of the event's own currency
	sum    schemas.Int128 // base amounts of the counted rows before this one
	id     uint64         // hash of event id and side
	bits   uint64         // bit f: the row meets the configuration's filter f
	count  uint32         // counted rows before this one, mod 2³²
	origin uint32         // hash of the input record's place
	flags  rowFlags
	text   [texts]uint32 // dictionary ids, 0 absent
}

type rowFlags uint8

const (
	rowHasAmount   rowFlags = 1 << iota
	rowHasBase              // amount is in the base currency
	rowCounted              // its state counts
	rowTransaction          // kind transaction, else payment
	rowOut
	rowIn
)

// texts is the number of text fields that a row keeps; direction is a flag instead.
const texts = int(schemas.NumFields) - 1

// base is the row's share of sums.
func (r *row) base() schemas.Int128 {
	if r.flags&(rowCounted|rowHasBase) == rowCounted|rowHasBase {
		return schemas.I128(r.amount)
	}
	return schemas.Int128{}
}

func (r *row) counted() uint32 {
	if r.flags&rowCounted != 0 {
		return 1
	}
	return 0
}

// reservoir is the rows in (time, log) order.
type reservoir struct {
	rows  []row
	sum   schemas.Int128 // of all rows that ever came in; the end of the running sums
	count uint32
	ids   idFilter
	gap   int // dropped rows whose memory may still be held
}

// after returns the index of the first row with time > t.
func (r *reservoir) after(t int64) int {
	n := len(r.rows)
	if n == 0 || r.rows[n-1].time <= t { // in-order traffic
		return n
	}
	return sort.Search(n, func(i int) bool { return r.rows[i].time > t })
}

// insert puts x behind all rows of its time or earlier and returns its index. A late row costs the rows behind it.
func (r *reservoir) insert(x row) int {
	i := r.after(x.time)
	b, c := x.base(), x.counted()
	x.sum, x.count = r.sum, r.count
	if i < len(r.rows) {
		x.sum, x.count = r.rows[i].sum, r.rows[i].count
	}
	r.rows = slices.Insert(r.rows, i, x)
	r.shift(i+1, b, c)
	r.ids.add(x.id, r.rows)
	return i
}

// remove takes row i out again: the undo of insert.
func (r *reservoir) remove(i int) {
	b, c := r.rows[i].base(), r.rows[i].counted()
	r.rows = slices.Delete(r.rows, i, i+1)
	r.shift(i, b.Neg(), -c)
}

// shift adds b and c to the running values from row i to the end.
func (r *reservoir) shift(i int, b schemas.Int128, c uint32) {
	for ; i < len(r.rows); i++ {
		r.rows[i].sum = r.rows[i].sum.Add(b)
		r.rows[i].count += c
	}
	r.sum = r.sum.Add(b)
	r.count += c
}

// recount makes the running values anew, from nothing in front of the first row.
func (r *reservoir) recount() {
	r.sum, r.count = schemas.Int128{}, 0
	for i := range r.rows {
		x := &r.rows[i]
		x.sum, x.count = r.sum, r.count
		r.sum = r.sum.Add(x.base())
		r.count += x.counted()
	}
}

// before returns the running sum and count in front of row i, len(rows) allowed.
func (r *reservoir) before(i int) (schemas.Int128, uint32) {
	if i < len(r.rows) {
		return r.rows[i].sum, r.rows[i].count
	}
	return r.sum, r.count
}

// drop forgets the first n rows. Only when more were dropped than are left, their memory and ids go too and swept is true: a full
// history that drops one row for each that comes in would otherwise move all of them every time.
func (r *reservoir) drop(n int) (swept bool) {
	r.rows = r.rows[n:]
	if r.gap += n; r.gap <= len(r.rows) {
		return false
	}
	r.rows, r.gap = slices.Clone(r.rows), 0
	r.ids.rebuild(r.rows)
	return true
}

// find returns the index of the newest row with this id and a time > horizon, or −1.
func (r *reservoir) find(id uint64, horizon int64) int {
	if !r.ids.mayHold(id, r.rows) {
		return -1
	}
	for i := len(r.rows) - 1; i >= 0 && r.rows[i].time > horizon; i-- {
		if r.rows[i].id == id {
			return i
		}
	}
	return -1
}

// idFilter is an open-addressing set of the rows' id hashes. It may hold ids of rows that are gone (find looks at the rows in any
// case), never the other way round. Below smallRows there is none: a scan is as fast.
type idFilter struct {
	slots []uint64 // 0 empty; a power of two long
	n     int
}

const smallRows = 48

func (f *idFilter) add(id uint64, rows []row) {
	switch {
	case len(rows) <= smallRows:
		f.slots, f.n = nil, 0
	case f.slots == nil || f.n*2 >= len(f.slots):
		f.rebuild(rows)
	default:
		f.put(id)
	}
}

func (f *idFilter) put(id uint64) {
	m := uint64(len(f.slots) - 1)
	for h := id & m; ; h = (h + 1) & m {
		switch f.slots[h] {
		case id | 1<<63:
			return
		case 0:
			f.slots[h] = id | 1<<63 // the top bit tells an id from an empty slot
			f.n++
			return
		}
	}
}

func (f *idFilter) mayHold(id uint64, rows []row) bool {
	if f.slots == nil {
		return len(rows) > 0
	}
	m := uint64(len(f.slots) - 1)
	for h := id & m; f.slots[h] != 0; h = (h + 1) & m {
		if f.slots[h] == id|1<<63 {
			return true
		}
	}
	return false
}

func (f *idFilter) rebuild(rows []row) {
	f.slots, f.n = nil, 0
	if len(rows) <= smallRows {
		return
	}
	n := 256
	for n < 4*len(rows) {
		n *= 2
	}
	f.slots = make([]uint64, n)
	for i := range rows {
		f.put(rows[i].id)
	}
}
