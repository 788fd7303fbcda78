package window

import (
	"slices"
	"sync"
)

// summarize works out what is known of a sealed chunk without its rows, which must be resident.
func (c *Customer) summarize(b *block) {
	p := c.shape.prog
	s := &summary{total: make([]acc, len(p.series)), met: make([]int64, len(p.since)), lists: make([][]value, len(p.dists))}
	b.addRange(s.total, 0, b.n, p)
	for u, x := range p.since {
		s.met[u] = noTime
		for i := b.n - 1; i >= 0 && s.met[u] == noTime; i-- {
			if b.row[i].meets(x.filter) {
				s.met[u] = b.row[i].time
			}
		}
	}
	marks := markPool.Get().(*marks)
	defer markPool.Put(marks)
	for d, x := range p.dists {
		marks.next(len(c.dict.ends))
		list := make([]value, 0, 16)
		for i := b.n - 1; i >= 0; i-- { // the newest occurrence first
			if v := b.value(i, x.col); v != 0 && b.row[i].meets(x.filter) && marks.see(v) {
				list = append(list, value{v, b.row[i].time})
			}
		}
		s.lists[d] = slices.Clip(list)
	}
	b.summary = s
}

var markPool = sync.Pool{New: func() any { return new(marks) }}

// marks is a set of dictionary ids that is emptied at no cost.
type marks struct {
	seen []uint32 // by id: the round that saw it
	now  uint32
}

func (m *marks) next(words int) {
	if len(m.seen) < words+3 {
		m.seen, m.now = make([]uint32, 2*words+16), 0
	}
	if m.now++; m.now == 0 { // the rounds wrapped: old marks would look fresh
		clear(m.seen)
		m.now = 1
	}
}

// see reports whether v is new in this round.
func (m *marks) see(v uint32) bool {
	if m.seen[v] == m.now {
		return false
	}
	m.seen[v] = m.now
	return true
}

// supers are the sums of 64 (limits.Fan) sealed chunks each, by place in the list and series: what a window of millions of events adds up.
type supers struct {
	sums  []acc
	valid []bool
}

// forget drops the sums from the block at index k on: blocks there have changed or moved.
func (s *supers) forget(k int) {
	for i := k / limits.Fan; i < len(s.valid); i++ {
		s.valid[i] = false
	}
}

// super returns the sums of the blocks [limits.Fan·i, limits.Fan·(i+1)), all of which there are and have a summary.
func (c *Customer) super(i int) []acc {
	s, n := &c.supers, len(c.shape.prog.series)
	for len(s.valid) <= i {
		s.valid = append(s.valid, false)
		s.sums = append(s.sums, make([]acc, n)...)
	}
	sums := s.sums[i*n : (i+1)*n]
	if !s.valid[i] {
		clear(sums)
		for _, b := range c.blocks[i*limits.Fan : (i+1)*limits.Fan] {
			for j := range sums {
				sums[j].merge(&b.total[j])
			}
		}
		s.valid[i] = true
	}
	return sums
}

// addRange adds the events at positions [i, j) to the sums, by series.
func (c *Customer) addRange(sums []acc, i, j int) {
	p := c.shape.prog
	if j > c.head.start {
		c.head.addRange(sums, max(0, i-c.head.start), j-c.head.start, p)
		j = c.head.start
	}
	if i >= j {
		return
	}
	for k := c.blockAt(i); k < len(c.blocks) && c.blocks[k].start < j; k++ {
		b := c.blocks[k]
		lo, hi := max(0, i-b.start), min(b.n, j-b.start)
		switch {
		case lo > 0 || hi < b.n:
			b.rows()
			b.addRange(sums, lo, hi, p)
		case k%limits.Fan == 0 && k+limits.Fan <= len(c.blocks) && c.blocks[k+limits.Fan-1].start+c.blocks[k+limits.Fan-1].n <= j:
			for s, a := range c.super(k / limits.Fan) {
				sums[s].merge(&a)
			}
			k += limits.Fan - 1
		default:
			for s := range sums {
				sums[s].merge(&b.total[s])
			}
		}
	}
}
