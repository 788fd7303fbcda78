package window

import (
	"fmt"
	"slices"
	"sort"
)

// reservoir is a customer's events in (time, log) order: sealed chunks, and a head that takes what comes. A position counts events from
// the first that the customer ever held in this process; it stays when older ones leave, and moves when one is put in before it.
type reservoir struct {
	blocks []*block // sealed; ascending
	head   block
	gen    uint64 // counts changes other than events put behind or between the others
	layout uint64 // counts changes of which block holds a position
	ids    idTable
	supers supers
}

// begin and end are the positions of the first event and behind the last.
func (r *reservoir) begin() int {
	if len(r.blocks) > 0 {
		return r.blocks[0].start
	}
	return r.head.start
}

func (r *reservoir) end() int { return r.head.start + r.head.n }

// locate returns the block that holds position pos, and the row's index in it; end() is in the head.
func (r *reservoir) locate(pos int) (*block, int) {
	if pos >= r.head.start {
		return &r.head, pos - r.head.start
	}
	i := r.blockAt(pos)
	return r.blocks[i], pos - r.blocks[i].start
}

// blockAt is the index of the sealed block that holds pos.
func (r *reservoir) blockAt(pos int) int {
	return sort.Search(len(r.blocks), func(i int) bool { return r.blocks[i].start > pos }) - 1
}

// rowAt is the row at pos, which must be resident.
func (r *reservoir) rowAt(pos int) *row {
	b, i := r.locate(pos)
	return &b.rows()[i]
}

// rows returns the resident rows.
func (b *block) rows() []row {
	if !b.resident() {
		panic(fmt.Sprintf("BUG: chunk %d.%d is read and was not supplied: ask Missing first", b.seq, b.version))
	}
	return b.row
}

// after returns the position of the first event with time > t.
func (r *reservoir) after(t int64) int {
	if len(r.blocks) == 0 || r.blocks[len(r.blocks)-1].last <= t {
		return r.head.start + r.head.after(t)
	}
	i := sort.Search(len(r.blocks), func(i int) bool { return r.blocks[i].last > t })
	b := r.blocks[i]
	if b.first > t {
		return b.start
	}
	b.rows()
	return b.start + b.after(t)
}

// insert puts x behind all events of its time or earlier. The caller has noted the block where it is a sealed one (see edit).
func (c *Customer) insert(x row) (pos int) {
	pos = c.after(x.time)
	if pos >= c.head.start {
		c.head.insert(pos-c.head.start, x)
		c.head.ids.add(x.id, c.head.row)
		return pos
	}
	k := c.blockAt(pos)
	b := c.edit(k)
	b.insert(pos-b.start, x)
	b.first, b.last = b.row[0].time, b.row[b.n-1].time
	c.shift(k+1, 1)
	c.ids.add(x.id, b.seq)
	return pos
}

// shift moves the positions of blocks from index k on.
func (c *Customer) shift(k, by int) {
	for _, b := range c.blocks[k:] {
		b.start += by
	}
	c.head.start += by
	c.layout++
}

// edit returns the sealed block k for a change of its rows. Its name becomes that of the next version. In a transaction the former block
// is kept as it was.
func (c *Customer) edit(k int) *block {
	old := c.blocks[k]
	b := *old
	if c.journal != nil {
		b.row, b.texts, b.stated = slices.Clone(old.row), slices.Clone(old.texts), slices.Clone(old.stated)
		b.minis, b.valid = nil, 0
		c.journal.add(undo{customer: c, kind: undoBlock, place: k, block: old})
	}
	b.rows()
	b.version++
	b.stored, b.summary = false, nil
	c.store.whole = true
	c.blocks[k] = &b
	c.supers.forget(k)
	c.layout++
	return &b
}

// settle works out what an edit has changed, and splits a block that has grown to twice its size.
func (c *Customer) settle(pos int) {
	if pos >= c.head.start {
		c.seal()
		return
	}
	k := c.blockAt(pos)
	b := c.blocks[k]
	if b.n >= 2*limits.Chunk {
		c.split(k)
		c.summarize(c.blocks[k+1])
	}
	c.summarize(c.blocks[k])
}

// seal makes a chunk of the older half of a full head. Only visible events fill it: when the others are forgotten must not matter.
func (c *Customer) seal() {
	if c.head.n < 2*limits.Chunk {
		return
	}
	if h := c.Horizon(); c.head.row[0].time <= h {
		if c.head.n-c.head.after(h) < 2*limits.Chunk {
			return
		}
		c.Trim()
	}
	b := c.head.cut(limits.Chunk)
	b.seq = c.seq
	c.seq++
	c.blocks = append(c.blocks, b)
	c.countFresh()
	c.summarize(b)
	for i := range b.row {
		c.ids.add(b.row[i].id, b.seq)
	}
	c.head.ids.rebuild(c.head.row)
	c.store.whole = true
	c.layout++
	c.journal.add(undo{customer: c, kind: undoSeal})
}

// countFresh counts the head's rows that the store does not have, after some have left it.
func (c *Customer) countFresh() {
	c.fresh = 0
	for i := range c.head.row {
		if c.head.row[i].flags&rowFresh != 0 {
			c.fresh++
		}
	}
}

// unseal puts the newest chunk back into the head: the undo of seal.
func (c *Customer) unseal() {
	b := c.blocks[len(c.blocks)-1]
	c.blocks = c.blocks[:len(c.blocks)-1]
	c.supers.forget(len(c.blocks))
	c.head.row = slices.Insert(c.head.row, 0, b.row...)
	c.head.texts = slices.Insert(c.head.texts, 0, b.texts...)
	c.head.stated = mergeStated(c.head.stated, b.stated)
	c.head.start, c.head.n, c.head.valid = b.start, len(c.head.row), 0
	c.head.ids.rebuild(c.head.row)
	c.layout++
}

// cut takes the first n rows off into a block of their own.
func (b *block) cut(n int) *block {
	x := &block{row: slices.Clone(b.row[:n]), texts: slices.Clone(b.texts[:n*b.width]), width: b.width, start: b.start, n: n}
	x.first, x.last = x.row[0].time, x.row[n-1].time
	kept := copy(b.row, b.row[n:])
	b.row = b.row[:kept]
	b.texts = b.texts[:copy(b.texts, b.texts[n*b.width:])]
	x.stated, b.stated = parted(b.stated, x.row)
	b.start, b.n, b.valid = b.start+n, kept, 0
	return x
}

// parted divides stated entries into those of the rows and the others.
func parted(all []stated, rows []row) (in, out []stated) {
	for _, s := range all {
		if slices.ContainsFunc(rows, func(r row) bool { return r.id == s.id }) {
			in = append(in, s)
		} else {
			out = append(out, s)
		}
	}
	return in, out
}

// split makes two blocks of block k; the older half keeps the name.
func (c *Customer) split(k int) {
	b := c.blocks[k]
	half := b.cut(b.n / 2) // the first half, with b's storage left to the second
	half.seq, half.version = b.seq, b.version
	b.seq, b.version = c.seq, 0
	b.first = b.row[0].time
	c.seq++
	c.blocks[k] = half
	c.blocks = slices.Insert(c.blocks, k+1, b)
	c.supers.forget(k)
	for i := range b.row {
		c.ids.add(b.row[i].id, b.seq)
	}
	c.layout++
	c.journal.add(undo{customer: c, kind: undoSplit, place: k})
}

// find returns the position of the newest visible event with this id, or −1.
func (c *Customer) find(id uint64) int {
	horizon := c.Horizon()
	if i := c.head.find(id, horizon); i >= 0 {
		return c.head.start + i
	}
	best := -1
	c.ids.each(id, func(seq uint32) {
		for k := len(c.blocks) - 1; k >= 0; k-- {
			b := c.blocks[k]
			if uint32(b.seq)&seqMask != seq || b.start+b.n <= best || b.last <= horizon {
				continue
			}
			b.rows()
			if i := b.find(id, horizon); i >= 0 {
				best = max(best, b.start+i)
			}
		}
	})
	return best
}

// find returns the index of the newest row with this id and a time > horizon, or −1.
func (b *block) find(id uint64, horizon int64) int {
	if !b.ids.mayHold(id) {
		return -1
	}
	for i := len(b.row) - 1; i >= 0 && b.row[i].time > horizon; i-- {
		if b.row[i].id == id {
			return i
		}
	}
	return -1
}

// drop forgets the events before pos.
func (c *Customer) drop(pos int) {
	k := 0
	for k < len(c.blocks) && c.blocks[k].start+c.blocks[k].n <= pos {
		k++
	}
	if k > 0 {
		c.blocks = slices.Delete(c.blocks, 0, k)
		c.supers.forget(0)
		c.ids.sweep(c.blocks)
		c.layout++
	}
	if len(c.blocks) > 0 && c.blocks[0].start < pos {
		c.cutChunk(pos)
	}
	if n := pos - c.head.start; len(c.blocks) == 0 && n > 0 {
		b := &c.head
		for _, r := range b.row[:n] {
			if i, ok := findStated(b.stated, r.id); ok && r.flags&rowStated != 0 {
				b.stated = slices.Delete(slices.Clone(b.stated), i, i+1)
			}
		}
		b.row, b.texts = b.row[n:], b.texts[n*b.width:]
		if c.gap += n; c.gap > len(b.row) { // a full history drops one for each that comes: not all are moved every time
			b.row, b.texts, c.gap = slices.Clone(b.row), slices.Clone(b.texts), 0
			b.ids.rebuild(b.row)
		}
		b.start, b.n, b.valid = b.start+n, len(b.row), 0
		c.countFresh()
		c.layout++
	}
}

// cutChunk takes the events before pos out of the oldest chunk.
func (c *Customer) cutChunk(pos int) {
	b := c.edit(0)
	n := pos - b.start
	rest := &block{row: b.row, texts: b.texts, width: b.width, stated: b.stated, start: b.start, n: b.n}
	rest.cut(n)
	b.row, b.texts, b.stated, b.start, b.n = rest.row, rest.texts, rest.stated, rest.start, rest.n
	b.minis, b.valid, b.first = nil, 0, b.row[0].time
	c.summarize(b)
}

// restart works out the blocks' positions from index k on, after an undo.
func (c *Customer) restart(k int) {
	at := c.blocks[k].start
	for _, b := range c.blocks[k:] {
		b.start = at
		at += b.n
	}
	c.head.start = at
	c.layout++
}
