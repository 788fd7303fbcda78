package window

import (
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// Adopt switches the customer to the next configuration; versions must be adopted in the log's order, none left out. The switch is
// the same whether old rows are still held or not: everything that the old configuration's horizon hides goes first.
func (c *Customer) Adopt(s *Shape) {
	c.noteAll()
	c.trim()
	old, p := c.shape, s.compile()
	if s.Retention != old.Retention && c.watermark != noTime {
		c.knownFrom = max(c.knownFrom, c.watermark-min(s.Retention, old.Retention))
	}
	if s.Base != old.Base {
		c.forgetBase()
	}
	c.remap(s, p)
	c.adoptSince(s, p)
	c.shape = s
	for i := range c.row {
		c.row[i].bits = c.classify(i)
	}
}

// forgetBase makes the retained amounts no data: they were compared with another base currency, and their own is not retained.
func (c *Customer) forgetBase() {
	for i := range c.row {
		c.row[i].flags &^= rowHasBase
	}
	c.baseFrom = c.watermark
}

// remap brings the rows' columns to those of the next configuration; one that was not retained is known from the watermark on.
func (c *Customer) remap(s *Shape, p *program) {
	from := make([]int64, len(s.Columns))
	move := make([]int, p.stored) // by new stored column: the old one, or −1
	for k, col := range s.Columns {
		was := slices.Index(c.shape.Columns, col)
		switch {
		case was >= 0:
			from[k] = c.colFrom[was]
		case col == Column{Field: schemas.FieldDirection}:
			from[k] = noTime // every row has its side
		default:
			from[k] = c.watermark
		}
		if j := p.text[k]; j >= 0 {
			move[j] = -1
			if was >= 0 {
				move[j] = c.shape.prog.text[was]
			}
		}
	}
	texts := make([]uint32, len(c.row)*p.stored)
	for i := range c.row {
		for j, m := range move {
			if m >= 0 {
				texts[i*p.stored+j] = c.text(i)[m]
			}
		}
	}
	c.texts, c.width, c.colFrom = texts, p.stored, from
	c.restate(s, p)
}

// restate fills a state column that comes anew from the states that changes gave.
func (c *Customer) restate(s *Shape, p *program) {
	state := Column{Field: schemas.FieldState}
	k := slices.Index(s.Columns, state)
	if k < 0 || slices.Contains(c.shape.Columns, state) {
		return
	}
	for i := range c.row {
		if at := c.statedAt(c.row[i].id); c.row[i].flags&rowStated != 0 && at != nil {
			c.text(i)[p.text[k]] = at.text
		}
	}
}

// adoptSince carries the since conditions over; a new one may have been met unseen by what has left, and by what is retained where it
// reads a column that is not known of it.
func (c *Customer) adoptSince(s *Shape, p *program) {
	left := make([]leftTime, len(p.since))
	for j, u := range p.since {
		left[j] = leftTime{key: u.key, time: noTime, blind: c.gone}
		if i := slices.IndexFunc(c.left, func(l leftTime) bool { return l.key == u.key }); i >= 0 {
			left[j] = c.left[i]
		}
		if u.filter != All {
			left[j].blind = max(left[j].blind, c.baseFrom)
			for _, col := range s.Filters[u.filter].Columns {
				left[j].blind = max(left[j].blind, c.colFrom[col])
			}
		}
	}
	c.left = left
}

// Trim forgets the rows that the horizon hides and keeps of them what since still needs. No answer depends on when it runs.
func (c *Customer) Trim() {
	if len(c.row) > 0 && c.row[0].time <= c.Horizon() {
		c.noteAll()
		c.trim()
	}
}

func (c *Customer) trim() {
	n := c.after(c.Horizon())
	if n == 0 {
		return
	}
	left := slices.Clone(c.left) // a journal may share the old one
	for j, s := range c.shape.prog.since {
		for i := range c.row[:n] {
			if c.row[i].meets(s.filter) {
				left[j].time = max(left[j].time, c.row[i].time)
			}
		}
	}
	c.left, c.gone = left, max(c.gone, c.row[n-1].time)
	for i := range c.row[:n] {
		if c.row[i].flags&rowStated != 0 {
			c.stated = slices.DeleteFunc(slices.Clone(c.stated), func(s stated) bool { return s.id == c.row[i].id })
		}
	}
	c.row, c.texts = slices.Clone(c.row[n:]), slices.Clone(c.texts[n*c.width:])
	c.sweepDictionary()
}

// sweepDictionary rebuilds the dictionary where most of it is no longer used.
func (c *Customer) sweepDictionary() {
	if len(c.dict.values) <= smallDictionary {
		return
	}
	used, number := c.words()
	if 2*len(used) > len(c.dict.values) {
		return
	}
	values := make([]string, len(used))
	for i, v := range used {
		values[i] = c.dict.value(v)
	}
	c.dict = dictionary{values: values}
	c.dict.reindex()
	for i, v := range c.texts {
		c.texts[i] = number[v]
	}
	c.stated = slices.Clone(c.stated)
	for i := range c.stated {
		c.stated[i].text = number[c.stated[i].text]
	}
}

// words lists the dictionary ids in use, in order of first use; number is the place of each id in it, from 1.
func (c *Customer) words() (used, number []uint32) {
	number = make([]uint32, len(c.dict.values)+1)
	use := func(v uint32) {
		if v != 0 && number[v] == 0 {
			used = append(used, v)
			number[v] = uint32(len(used))
		}
	}
	for _, v := range c.texts {
		use(v)
	}
	for i := range c.stated {
		use(c.stated[i].text)
	}
	return used, number
}

// noteAll notes everything for an undo.
func (c *Customer) noteAll() {
	if c.journal == nil {
		return
	}
	w := &wholeUndo{rows: c.rows, dict: dictionary{values: slices.Clone(c.dict.values)}, shape: c.shape}
	w.rows.row, w.rows.texts = slices.Clone(c.row), slices.Clone(c.texts)
	w.dict.reindex()
	c.journal.add(undo{customer: c, kind: undoAdopt, whole: w, save: c.header})
}
