package window

import (
	"fmt"
	"slices"
)

// missingAtOnce bounds the chunks that one Missing names only to be looked through.
const missingAtOnce = 64

// Missing appends the names of sealed chunks that must be supplied before an event at this time and with this id hash is looked up,
// folded and measured, its state is set, or the customer adopts a configuration (with any time and id). It is asked again until it names none: what a chunk holds decides what else is needed. After
// Decode and Adopt all chunks are asked for once, a few at a time; Release may be called in between.
func (c *Customer) Missing(names []ChunkName, at int64, id uint64) []ChunkName {
	if len(c.blocks) == 0 {
		return names
	}
	from := len(names)
	for _, b := range c.blocks {
		if b.summary == nil && len(names) < from+missingAtOnce {
			names = append(names, b.name())
		}
	}
	if len(names) > from {
		return names
	}
	m := missing{c: c, names: names}
	c.ids.each(id, func(seq uint32) {
		for _, b := range c.blocks {
			if uint32(b.seq&seqMask) == seq {
				m.want(b)
			}
		}
	})
	m.time(c.Horizon())
	if k := c.firstBehind(at); k < len(c.blocks) {
		m.want(c.blocks[k]) // it is put in there
	}
	wm := max(at, c.watermark)
	horizon := max(wm-c.shape.Retention, c.floor) // once the event is in
	if over := c.end() + 1 - limits.Events; over > c.begin() && over <= c.head.start {
		b := c.blocks[c.blockAt(over-1)]
		if m.want(b); b.resident() {
			horizon = max(horizon, b.row[over-1-b.start].time)
		}
	}
	m.time(horizon)
	m.measured(wm, horizon)
	if at < wm {
		m.measured(at, horizon)
	}
	return m.names
}

// missing collects the chunks that are needed and not there.
type missing struct {
	c     *Customer
	names []ChunkName
}

func (m *missing) want(b *block) {
	if !b.resident() && !slices.Contains(m.names, b.name()) {
		m.names = append(m.names, b.name())
	}
}

// time wants the chunk in the middle of which a time falls.
func (m *missing) time(t int64) {
	for k := m.c.firstBehind(t); k < len(m.c.blocks) && m.c.blocks[k].first <= t; k++ {
		m.want(m.c.blocks[k])
		break
	}
}

// firstBehind is the index of the first chunk with an event behind t.
func (c *Customer) firstBehind(t int64) int {
	k, _ := slices.BinarySearchFunc(c.blocks, t, func(b *block, t int64) int {
		if b.last > t {
			return 1
		}
		return -1
	})
	return k
}

// measured wants what the windows at τ = at look at.
func (m *missing) measured(at, horizon int64) {
	c, p := m.c, m.c.shape.prog
	for k := range p.spans {
		from, to := c.shape.Bounds(k, at)
		if from < horizon {
			continue
		}
		m.time(from)
		m.time(to)
		m.ends(&p.spans[k], from, to)
	}
	for i := range p.slow {
		if from, to := c.shape.Bounds(p.slow[i].like.Span, at); from >= horizon {
			m.all(from, to)
		}
	}
	for i := range p.daily {
		g := &p.daily[i]
		from, to := c.shape.Bounds(g.like.Span, at)
		if from < horizon {
			continue
		}
		if g.slow {
			m.all(from, to)
		}
		for n := range int(c.shape.Spans[g.like.Span].Length / dayMillis) {
			m.time(localStart(to+1, p.zone, Day, n) - 1)
		}
	}
}

// all wants every chunk with an event in (from, to].
func (m *missing) all(from, to int64) {
	for k := m.c.firstBehind(from); k < len(m.c.blocks) && m.c.blocks[k].first <= to; k++ {
		m.want(m.c.blocks[k])
	}
}

// ends wants the chunks that hold a span's first and last events of the series that ask for them.
func (m *missing) ends(plan *spanPlan, from, to int64) {
	for half := range 2 {
		for i := range plan.sums[half] {
			g := &plan.sums[half][i]
			if g.first >= 0 || g.firstText >= 0 {
				m.first(g.series, from, g.firstText < 0)
			}
			if g.last >= 0 || g.lastText >= 0 {
				m.last(g.series, to, g.lastText < 0)
			}
		}
	}
}

// first wants the chunks that may hold the first event behind from: up to one that is there and holds one for sure, with another beside
// it that may be left out.
func (m *missing) first(s int, from int64, amount bool) {
	c := m.c
	for k, found := c.firstBehind(from), 0; k < len(c.blocks) && found < 2; k++ {
		b := c.blocks[k]
		if !b.total[s].has(amount) {
			continue
		}
		if m.want(b); b.first > from || !b.resident() {
			found += int(min(2, b.total[s].n))
			continue
		}
		for i := b.after(from); i < b.n && found < 2; i++ {
			if b.hit(i, c.shape.prog.series[s], amount) {
				found++
			}
		}
	}
}

// last is first from the other end.
func (m *missing) last(s int, to int64, amount bool) {
	c := m.c
	for k, found := len(c.blocks)-1, 0; k >= 0 && found < 2; k-- {
		b := c.blocks[k]
		if b.first > to || !b.total[s].has(amount) {
			continue
		}
		if m.want(b); b.last <= to || !b.resident() {
			found += int(min(2, b.total[s].n))
			continue
		}
		for i := b.after(to) - 1; i >= 0 && found < 2; i-- {
			if b.hit(i, c.shape.prog.series[s], amount) {
				found++
			}
		}
	}
}

// Sealed reports whether the customer has sealed chunks: only then can any be missing.
func (c *Customer) Sealed() bool { return len(c.blocks) > 0 }

// Supply gives the customer a chunk that Missing named. A chunk that it does not name any more is passed over. Fails with what is wrong
// on any other bytes.
func (c *Customer) Supply(name ChunkName, value []byte) error {
	k := slices.IndexFunc(c.blocks, func(b *block) bool { return b.name() == name })
	if k < 0 || c.blocks[k].resident() {
		return nil
	}
	b := c.blocks[k]
	if err := c.decodeChunk(b, value); err != nil {
		return fmt.Errorf("stored chunk %d.%d: %w", name.Seq, name.Version, err)
	}
	for i := range b.row {
		b.row[i].bits = c.classify(b, i)
	}
	if b.summary == nil {
		c.summarize(b)
		for i := range b.row {
			c.ids.add(b.row[i].id, b.seq)
		}
	}
	return nil
}

// Release drops the rows of chunks that the store has and that the windows' ends at the watermark do not need. Between transactions only.
func (c *Customer) Release() {
	if len(c.blocks) == 0 {
		return
	}
	need := map[*block]bool{}
	for k := range c.shape.Spans {
		from, to := c.shape.Bounds(k, c.watermark)
		for _, t := range [...]int64{from, to} {
			if i := c.firstBehind(t); i < len(c.blocks) && c.blocks[i].first <= t {
				need[c.blocks[i]] = true
			}
		}
	}
	for _, b := range c.blocks {
		if b.stored && b.summary != nil && !need[b] {
			b.row, b.texts, b.stated, b.minis, b.valid = nil, nil, nil, nil, 0
		}
	}
	c.layout++
}

// Bytes is about how much memory the customer holds.
func (c *Customer) Bytes() int {
	n := 600 + len(c.team) + len(c.id) + c.head.bytes() + cap(c.dict.bytes) + 4*cap(c.dict.ends) + 4*cap(c.dict.index) +
		8*cap(c.ids.slots) + accBytes*cap(c.supers.sums) + 8*cap(c.colFrom) + 24*cap(c.left) + 4*cap(c.store.words)
	for _, b := range c.blocks {
		n += b.bytes() + 200
		if b.summary != nil {
			n += accBytes*cap(b.total) + 8*cap(b.met)
			for _, l := range b.lists {
				n += 16*cap(l) + 24
			}
		}
	}
	for i := range c.held {
		n += 64 + len(c.held[i].Record)
	}
	return n
}

const (
	rowBytes = 40
	accBytes = 88
)

func (b *block) bytes() int {
	return rowBytes*cap(b.row) + 4*cap(b.texts) + accBytes*cap(b.minis) + 24*cap(b.stated) + cap(b.ids.slots)
}
