package window

import (
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// Adopt switches the customer to the next configuration; versions must be adopted in the log's order, none left out. The switch is
// the same whether old rows are still held or not: everything that the old configuration's horizon hides goes first.
func (c *Customer) Adopt(s *Shape) {
	c.noteWhole()
	c.trim(true)
	c.store.whole = true
	old, p := c.shape, s.compile()
	if s.Retention != old.Retention && c.watermark != noTime {
		c.knownFrom = max(c.knownFrom, c.watermark-min(s.Retention, old.Retention))
	}
	rebased := s.Base != old.Base && c.watermark != noTime
	if rebased {
		c.baseFrom = c.watermark // what is retained was compared with the other one
	}
	from := make([]int64, len(s.Columns))
	for k, col := range s.Columns {
		was := slices.Index(old.Columns, col)
		switch {
		case was >= 0:
			from[k] = c.colFrom[was]
		case col == Column{Field: schemas.FieldDirection}:
			from[k] = noTime // every row has its side
		default:
			from[k] = c.watermark
		}
	}
	c.colFrom, c.shape = from, s
	c.adoptSince(s, p, rebased)
	c.derive()
	c.gen++
	c.layout++
	c.supers = supers{}
	for k, b := range c.blocks {
		x := *b // a journal may keep the old one
		if x.summary = nil; x.resident() {
			c.remap(&x, old)
			c.summarize(&x)
		}
		c.blocks[k] = &x
	}
	c.remap(&c.head, old)
}

// remap brings a block's rows from another shape's columns to those of the customer's, into memory of their own; what is not known as of
// a row's time is absent.
func (c *Customer) remap(b *block, old *Shape) {
	p := c.shape.prog
	texts := make([]uint32, b.n*p.stored)
	b.row = slices.Clone(b.row)
	for k, col := range c.shape.Columns {
		to, was := p.text[k], slices.Index(old.Columns, col)
		if to < 0 || was < 0 {
			continue
		}
		for i := range b.row {
			if b.row[i].time > c.colFrom[k] {
				texts[i*p.stored+to] = b.texts[i*b.width+old.prog.text[was]]
			}
		}
	}
	b.texts, b.width, b.minis, b.valid = texts, p.stored, nil, 0
	for i := range b.row {
		if b.row[i].time <= c.baseFrom {
			b.row[i].flags &^= rowHasBase
		}
		b.row[i].bits = c.classify(b, i)
	}
}

// adoptSince carries the since conditions over; a new one may have been met unseen by what has left, and by what is retained where it
// reads a column that is not known of it.
func (c *Customer) adoptSince(s *Shape, p *program, rebased bool) {
	left := make([]leftTime, len(p.since))
	for j, u := range p.since {
		left[j] = leftTime{key: u.key, time: noTime, blind: c.gone}
		if i := slices.IndexFunc(c.left, func(l leftTime) bool { return l.key == u.key }); i >= 0 {
			left[j] = c.left[i]
		}
		if u.filter != All {
			if rebased { // it may read the amount, which was in another currency
				left[j].time = noTime
			}
			left[j].blind = max(left[j].blind, c.baseFrom)
			for _, col := range s.Filters[u.filter].Columns {
				left[j].blind = max(left[j].blind, c.colFrom[col])
			}
		}
	}
	c.left = left
}

// Trim forgets the events that the horizon hides, of sealed chunks only whole ones, and keeps of them what since still needs. No answer
// depends on when it runs.
func (c *Customer) Trim() {
	h := c.Horizon()
	if len(c.blocks) > 0 && c.blocks[0].last <= h || len(c.blocks) == 0 && c.head.n > 0 && c.head.row[0].time <= h {
		c.noteWhole()
		c.trim(false)
	}
}

// trim is Trim; exact takes invisible events out of a chunk that also holds visible ones.
func (c *Customer) trim(exact bool) {
	h := c.Horizon()
	pos := c.begin()
	for _, b := range c.blocks {
		if b.last > h || b.summary == nil {
			break
		}
		pos = b.start + b.n
	}
	if exact || pos == c.head.start {
		pos = c.after(h)
	}
	if pos == c.begin() {
		return
	}
	left := slices.Clone(c.left) // a journal may share the old one
	for j, u := range c.shape.prog.since {
		left[j].time = max(left[j].time, c.backwardTime(j, u.series, c.begin(), pos))
	}
	c.left = left
	for i := range max(0, pos-c.head.start) { // a store that never had them cannot see them leave
		c.store.whole = c.store.whole || c.head.row[i].flags&rowFresh != 0
	}
	c.store.whole = c.store.whole || len(c.restated) > 0
	b, i := c.locate(pos - 1)
	if b == &c.head || i < b.n-1 {
		c.gone = max(c.gone, b.row[i].time)
	} else {
		c.gone = max(c.gone, b.last)
	}
	c.drop(pos)
	c.sweepDictionary()
}

// sweepDictionary rebuilds the dictionary where most of it is no longer used. Customers with sealed chunks keep theirs: not all of its
// use is in memory.
func (c *Customer) sweepDictionary() {
	if len(c.dict.ends) <= smallDictionary || len(c.blocks) > 0 {
		return
	}
	used, number := c.words()
	if 2*len(used) > len(c.dict.ends) {
		return
	}
	var d dictionary
	for _, v := range used {
		d.add(c.dict.value(v))
	}
	c.dict, c.store.whole = d, true
	c.gen++
	for i, v := range c.head.texts {
		c.head.texts[i] = number[v]
	}
	c.head.stated = slices.Clone(c.head.stated)
	for i := range c.head.stated {
		c.head.stated[i].text = number[c.head.stated[i].text]
	}
}

// words lists the dictionary ids that the head uses, in order of first use; number is the place of each id in it, from 1.
func (c *Customer) words() (used, number []uint32) {
	number = make([]uint32, len(c.dict.ends)+1)
	use := func(v uint32) {
		if v != 0 && number[v] == 0 {
			used = append(used, v)
			number[v] = uint32(len(used))
		}
	}
	for _, v := range c.head.texts {
		use(v)
	}
	for i := range c.head.stated {
		use(c.head.stated[i].text)
	}
	return used, number
}
