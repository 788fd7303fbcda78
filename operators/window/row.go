package window

import (
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
	rowFresh  // of a row of the head: the store does not have it

	rowStored = rowFresh - 1 // what is stored
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

// pasts keeps what filters read out of the garbage collector's way: a call through a function value moves it to the heap.
var pasts = sync.Pool{New: func() any { return new(schemas.Past) }}

// classify decides the class bits of row i of b.
func (c *Customer) classify(b *block, i int) (bits uint64) {
	if len(c.shape.Filters) == 0 {
		return 0
	}
	p := pasts.Get().(*schemas.Past)
	defer pasts.Put(p)
	c.past(b, i, p)
	for f := range c.shape.Filters {
		if c.shape.Filters[f].Match(p) {
			bits |= 1 << f
		}
	}
	return bits
}

// past fills p from row i of b; p shares the dictionary's texts.
func (c *Customer) past(b *block, i int, p *schemas.Past) {
	r := &b.row[i]
	attrs := p.Attributes[:0]
	*p = schemas.Past{Time: r.time, Amount: r.amount, HasAmount: r.flags&rowHasBase != 0, Counted: r.flags&rowCounted != 0, Kind: r.kind()}
	if s := r.side(); s != schemas.SideNone {
		p.Set(schemas.FieldDirection, s.String())
	}
	text := b.text(i)
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
