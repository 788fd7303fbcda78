package window

import (
	"slices"
	"sort"
	"sync"

	"github.com/streamgauge/streamgauge/schemas"
)

// row is one retained event: 40 bytes, and 4 for each stored column beside it.
type row struct {
	time   int64
	amount int64  // 10⁻⁶ of the event's own currency
	id     uint64 // hash of event id and side
	bits   uint64 // bit f: the row meets the configuration's filter f
	origin uint32 // hash of the input record's place
	flags  rowFlags
}

type rowFlags uint8

const (
	rowHasAmount   rowFlags = 1 << iota
	rowHasBase              // amount is in the base currency
	rowCounted              // its state counts
	rowTransaction          // kind transaction, else payment
	rowOut
	rowIn
	rowStated // a stateChange has given it another state than it came with: there is a stated entry
)

func (r *row) kind() schemas.Kind {
	if r.flags&rowTransaction != 0 {
		return schemas.KindTransaction
	}
	return schemas.KindPayment
}

func (r *row) side() schemas.Side {
	switch {
	case r.flags&rowOut != 0:
		return schemas.SideOut
	case r.flags&rowIn != 0:
		return schemas.SideIn
	}
	return schemas.SideNone
}

// meets reports whether the row belongs to a filter; All is every counted row.
func (r *row) meets(filter int) bool {
	if filter < 0 {
		return r.flags&rowCounted != 0
	}
	return r.bits>>uint(filter)&1 != 0
}

// rows is the retained events in (time, log) order.
type rows struct {
	row    []row
	texts  []uint32 // dictionary ids, 0 absent; width for each row
	width  int
	stated []stated // by id
}

// stated is the state that a stateChange gave an event.
type stated struct {
	id   uint64
	at   int64
	text uint32 // dictionary id
}

func (r *rows) n() int { return len(r.row) }

// text returns the stored columns of row i.
func (r *rows) text(i int) []uint32 { return r.texts[i*r.width : (i+1)*r.width] }

// after returns the index of the first row with time > t.
func (r *rows) after(t int64) int {
	n := len(r.row)
	if n == 0 || r.row[n-1].time <= t { // in-order traffic
		return n
	}
	return sort.Search(n, func(i int) bool { return r.row[i].time > t })
}

// insert puts x behind all rows of its time or earlier and returns its index; its columns are absent.
func (r *rows) insert(x row) int {
	i := r.after(x.time)
	r.row = slices.Insert(r.row, i, x)
	r.texts = slices.Insert(r.texts, i*r.width, make([]uint32, r.width)...)
	return i
}

// remove takes row i out again: the undo of insert.
func (r *rows) remove(i int) {
	r.row = slices.Delete(r.row, i, i+1)
	r.texts = slices.Delete(r.texts, i*r.width, (i+1)*r.width)
}

// find returns the index of the newest row with this id and a time > horizon, or −1.
func (r *rows) find(id uint64, horizon int64) int {
	for i := len(r.row) - 1; i >= 0 && r.row[i].time > horizon; i-- {
		if r.row[i].id == id {
			return i
		}
	}
	return -1
}

// pasts keeps what filters read out of the garbage collector's way: a call through a function value moves it to the heap.
var pasts = sync.Pool{New: func() any { return new(schemas.Past) }}

// classify decides the class bits of row i.
func (c *Customer) classify(i int) (bits uint64) {
	if len(c.shape.Filters) == 0 {
		return 0
	}
	p := pasts.Get().(*schemas.Past)
	defer pasts.Put(p)
	c.past(i, p)
	for f := range c.shape.Filters {
		if c.shape.Filters[f].Match(p) {
			bits |= 1 << f
		}
	}
	return bits
}

// past fills p from row i; p shares the dictionary's texts.
func (c *Customer) past(i int, p *schemas.Past) {
	r := &c.row[i]
	attrs := p.Attributes[:0]
	*p = schemas.Past{Time: r.time, Amount: r.amount, HasAmount: r.flags&rowHasBase != 0, Counted: r.flags&rowCounted != 0, Kind: r.kind()}
	if s := r.side(); s != schemas.SideNone {
		p.Set(schemas.FieldDirection, s.String())
	}
	text := c.text(i)
	for k, col := range c.shape.Columns {
		j := c.shape.prog.text[k]
		if j < 0 || text[j] == 0 {
			continue
		}
		if v := c.dict.value(text[j]); col.Attr != "" {
			attrs = append(attrs, schemas.Attribute{Name: col.Attr, Value: v})
		} else {
			p.Set(col.Field, v)
		}
	}
	p.Attributes = attrs
}
