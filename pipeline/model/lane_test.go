package model

import "slices"

type mode uint8

const (
	idle mode = iota // owns nothing, holds nothing
	joining
	replaying
	live
)

// lane is one incarnation of a lane: a process with memory, under the transactional id of its ordinal.
type lane struct {
	ordinal    int
	ghost      bool // another incarnation has its ordinal; it does not know
	mode       mode
	named      bool // has asked for its producer id
	epoch      int
	generation int
	on         *server

	pos    int    // offset of the next record; all below is committed, as far as this lane knows
	target int    // replaying: the committed offset
	config uint8  // in force at pos
	chain  uint64 // of the log up to pos
	base   marker // what the store is believed to hold
	held   [customers]*held
	open   *open
	flight *flight
	tried  bool    // a takeover, since it joined
	early  *commit // ablation: the committed offset as read before the fence
}

// held is a customer in memory.
type held struct {
	c      *customer // nil: unknown so far
	stored belief
	redo   bool // a replay has touched it: it goes into the next flush, changed or not
	whole  bool // the store has answered FULL
}

// belief is what a lane believes the store to hold of a customer: from a load, or from a flush that was confirmed as a whole.
type belief struct {
	lsn, length int
	sure        int // LSN up to which a marker vouches: a head may be loaded ahead of its marker, and a failover may take it back
	names       []name
}

func (h *held) dirty() bool { return h.redo || h.c != nil && h.c.lsn > h.stored.lsn }

// open is the lane's open transaction.
type open struct {
	from, to int
	outs     []out
	before   [customers]*customer
	touched  [customers]bool
	config   uint8 // at to
	chain    uint64
	sent     bool // offsets
}

func names(dir []chunk) []name {
	out := make([]name, len(dir))
	for i := range dir {
		out[i] = dir[i].name
	}
	return out
}

// restart drops what the lane holds of the partition; the session stays.
func (s *sim) restart(l *lane, why string) {
	s.say("lane %d: rebuild: %s", l.ordinal, why)
	s.stats.rebuilds++
	l.held, l.flight, l.mode = [customers]*held{}, nil, joining
}

// poison gives the session up with everything in it. The next one asks for a producer id, which ends what this one left open.
func (s *sim) poison(l *lane, why string) {
	s.say("lane %d: poisoned: %s", l.ordinal, why)
	l.held, l.flight, l.open, l.early = [customers]*held{}, nil, nil, nil
	l.named, l.mode = false, joining
}

// join takes one step on the way to owning the partition.
func (s *sim) join(l *lane) {
	if l.ghost || s.kafka.owner != l.ordinal {
		l.mode = idle
		return
	}
	l.mode = joining
	if !l.named {
		if l.epoch, l.named = s.initProducer(l.ordinal); l.named {
			s.say("lane %d: producer epoch %d", l.ordinal, l.epoch)
		}
		return
	}
	l.generation, s.kafka.member = s.kafka.generation, l
	c, ok := s.fetchOffsets(l)
	if !ok {
		return
	}
	l.on = s.redis
	if s.old != nil && s.fault(4) {
		l.on = s.old
	}
	m := l.on.now.marker
	l.target, l.base, l.pos, l.config, l.chain, l.mode = c.offset, m, m.offset, m.config, m.chain, replaying
	switch {
	case m.offset > c.offset:
		s.violated(ahead, "lane %d finds marker %d, the group committed %d", l.ordinal, m.offset, c.offset)
	case !m.set && s.rules.lossIsFresh && c.offset > 0:
		l.pos, l.config, l.chain = c.offset, s.oracle.config(c.offset), c.chain
	}
	if s.rules.currentConfig {
		l.config = s.oracle.config(c.offset)
	}
	s.say("lane %d: joins generation %d, committed %d, marker %d", l.ordinal, l.generation, c.offset, m.offset)
}

// fetchOffsets is OffsetFetch with RequireStable, and the takeover of what is unstable.
func (s *sim) fetchOffsets(l *lane) (commit, bool) {
	c := s.kafka.committed
	if !s.kafka.unstable() {
		if l.early != nil {
			c = *l.early
		}
		l.tried, l.early = false, nil
		return c, true
	}
	if s.rules.noFence {
		return c, true
	}
	if s.rules.fetchBeforeFence && l.early == nil {
		l.early = &c
	}
	if l.tried || c.offset == 0 || c.by == l.ordinal || s.rng.n(2) == 0 {
		return c, false // tried already, or no committer is named, or it is this lane, fenced already: the transaction's timeout helps
	}
	if _, ok := s.initProducer(c.by); ok {
		s.say("lane %d: fences ordinal %d", l.ordinal, c.by)
		s.stats.takeovers++
		l.tried = true
		if s.kafka.unstable() {
			s.stats.misnamed++
		}
	}
	return c, false
}

// limit is the offset behind which nothing may be stored while this lane is the owner.
func (l *lane) limit() int {
	if l.mode == replaying {
		return l.target
	}
	return l.pos
}

// believed judges the marker that came with a read.
func (s *sim) believed(l *lane, m marker) bool {
	switch {
	case s.rules.noReadCheck:
	case l.mode == replaying && m != l.base && !s.rules.replayOverMoved:
		s.restart(l, "the marker moved under the replay")
		return false
	case m.offset < l.base.offset:
		s.restart(l, "the store went back")
		return false
	case m.offset > l.limit():
		s.poison(l, "another owner is ahead")
		return false
	}
	return true
}

// read is one atomic read: the marker, a customer.
func (s *sim) read(l *lane, k int) (m marker, at *stored, ok bool) {
	s.reconnect(l)
	if l.on.dead {
		return m, nil, false
	}
	m = l.on.now.marker
	return m, l.on.now.customers[k], s.believed(l, m)
}

// load brings a head into memory.
func (s *sim) load(l *lane, k int) bool {
	m, at, ok := s.read(l, k)
	if !ok {
		return false
	}
	h := &held{}
	l.held[k] = h
	if at == nil || at.head == nil {
		return true
	}
	c, ok := at.head.open()
	if !ok {
		s.violated(corrupt, "lane %d cannot read customer %d", l.ordinal, k)
		return false
	}
	if c.lsn > max(l.limit(), m.offset) && !s.rules.noReadCheck {
		s.poison(l, "a customer is ahead: another owner")
		return false
	}
	h.c = c
	h.stored = belief{lsn: c.lsn, length: len(at.head.units), sure: min(c.lsn, m.offset), names: names(c.dir)}
	if s.rules.headVouches {
		h.stored.sure = c.lsn
	}
	s.say("lane %d: loads customer %d at LSN %d, marker %d", l.ordinal, k, c.lsn, m.offset)
	return true
}

// loadChunk brings a chunk into memory.
func (s *sim) loadChunk(l *lane, k int, n name, into ...*customer) bool {
	_, at, ok := s.read(l, k)
	if !ok {
		return false
	}
	rows := at.find(n)
	if rows == nil {
		s.stats.missing++
		if !s.rules.missingIsEmpty {
			s.restart(l, "a chunk is missing")
			return false
		}
		rows = []row{}
	}
	for _, c := range into {
		for i := range c.dir {
			if c.dir[i].name == n {
				c.dir[i].rows = rows
			}
		}
	}
	s.say("lane %d: loads chunk %v of customer %d", l.ordinal, n, k)
	return true
}

// foldHeld folds a record of a customer whose newest state is c. Reads may end the turn: ok is false then, and nothing has changed.
func (s *sim) foldHeld(l *lane, c *customer, r record, offset int, config uint8, judge bool) (next *customer, v uint64, ok bool) {
	h := l.held[r.customer]
	fresh := func(n name) bool { return slices.Contains(h.stored.names, n) }
	for {
		next, miss := fold(c, r, offset, config, s.rules, fresh)
		if miss == nil && judge {
			v, miss = next.verdict(r)
		}
		if miss == nil {
			return next, v, true
		}
		into := []*customer{next, c, h.c}
		into = slices.DeleteFunc(into, func(c *customer) bool { return c == nil })
		if !s.loadChunk(l, r.customer, *miss, into...) || s.rng.n(2) == 0 {
			return nil, 0, false
		}
	}
}

// judge takes up to three records through a transaction of its own, up to the produced results.
func (s *sim) judge(l *lane) {
	p := &s.kafka.producers[l.ordinal]
	if l.pos >= len(s.oracle.log) || p.epoch == l.epoch && p.txn != nil {
		return // nothing to do, or the last transaction is still being completed
	}
	t := &open{from: l.pos, to: min(l.pos+1+s.rng.n(3), len(s.oracle.log)), config: l.config, chain: l.chain}
	var now [customers]*customer
	for o := t.from; o < t.to; o++ {
		r := s.oracle.log[o]
		t.chain = link(t.chain, o, r)
		if r.kind == control {
			t.config = r.config
			t.outs = append(t.outs, out{o, mix(uint64(r.config))})
			continue
		}
		k := r.customer
		if l.held[k] == nil && (!s.load(l, k) || s.rng.n(2) == 0) {
			return
		}
		if !t.touched[k] {
			t.touched[k], t.before[k], now[k] = true, l.held[k].c, l.held[k].c
		}
		c, v, ok := s.foldHeld(l, now[k], r, o, t.config, true)
		if !ok {
			return
		}
		now[k] = c
		t.outs = append(t.outs, out{o, v})
	}
	if p.epoch != l.epoch {
		s.poison(l, "fenced at the first record")
		return
	}
	for k := range now {
		if t.touched[k] {
			l.held[k].c = now[k]
		}
	}
	p.txn = &transaction{outs: t.outs, from: t.from}
	l.open = t
	s.say("lane %d: judges %d-%d", l.ordinal, t.from, t.to-1)
}

// sendOffsets is TxnOffsetCommit, which the group takes from its own generation and member only.
func (s *sim) sendOffsets(l *lane) {
	p := &s.kafka.producers[l.ordinal]
	switch {
	case p.epoch != l.epoch || p.txn == nil:
		s.poison(l, "fenced at its offsets")
	case l.generation != s.kafka.generation || s.kafka.member != l:
		s.abort(l, "the group has gone on")
	default:
		p.txn.offsets = &commit{offset: l.open.to, by: l.ordinal, chain: l.open.chain}
		l.open.sent = true
		s.say("lane %d: sends offset %d", l.ordinal, l.open.to)
	}
}

// end is EndTxn(commit), its answer, and what may happen to both.
func (s *sim) end(l *lane) {
	p := &s.kafka.producers[l.ordinal]
	e := ending{l.ordinal, l.epoch}
	handled, answered := true, true
	if s.fault(4) {
		switch s.rng.n(4) {
		case 0:
			answered = false
		case 1:
			handled, answered = false, false
		case 2:
			handled, answered = false, false
			s.kafka.late = append(s.kafka.late, e)
		case 3: // sent twice: the first copy comes later
			s.kafka.late = append(s.kafka.late, e)
		}
	}
	if handled && (p.epoch != l.epoch || p.txn == nil) {
		s.poison(l, "fenced at EndTxn")
		return
	}
	if handled {
		s.endTxn(e)
	}
	s.say("lane %d: ends %d-%d: handled %v, answered %v", l.ordinal, l.open.from, l.open.to-1, handled, answered)
	switch {
	case answered:
		l.epoch = p.epoch
		l.pos, l.config, l.chain, l.open = l.open.to, l.open.config, l.open.chain, nil
		s.checkMemory(l)
	case s.rules.goOn:
		s.abort(l, "no answer: taken as not committed")
	default:
		s.poison(l, "unknown outcome")
	}
}

// abort ends the open transaction and undoes it in memory.
func (s *sim) abort(l *lane, why string) {
	p := &s.kafka.producers[l.ordinal]
	if p.epoch != l.epoch && !s.rules.goOn {
		s.poison(l, "fenced at its abort")
		return
	}
	if p.txn != nil && !p.txn.decided {
		p.txn = nil
		if !s.rules.oneEpoch {
			p.epoch++
		}
	}
	l.epoch = p.epoch
	t := l.open
	l.open = nil
	s.stats.aborts++
	s.say("lane %d: aborts %d-%d: %s", l.ordinal, t.from, t.to-1, why)
	if s.rules.noUndo {
		return
	}
	for k, h := range l.held {
		if t.touched[k] {
			h.c = t.before[k]
		}
	}
	s.checkMemory(l)
}

// replay folds up to three committed records, without verdicts: they are out.
func (s *sim) replay(l *lane) {
	if l.flight != nil {
		return // a flush in the middle of a replay is waited for
	}
	for range 1 + s.rng.n(2) {
		if l.pos >= l.target {
			s.replayed(l)
			return
		}
		r := s.oracle.log[l.pos]
		if r.kind == control {
			if !s.rules.currentConfig {
				l.config = r.config
			}
		} else if !s.replayRecord(l, r) {
			return
		}
		l.chain = link(l.chain, l.pos, r)
		l.pos++
	}
}

func (s *sim) replayRecord(l *lane, r record) bool {
	k := r.customer
	if l.held[k] == nil && (!s.load(l, k) || s.rng.n(2) == 0) {
		return false
	}
	h := l.held[k]
	if c := h.c; c != nil {
		for i := range c.dir { // what no marker vouches for is written again, so it must be here
			if d := &c.dir[i]; d.edited > h.stored.sure && d.rows == nil && (!s.loadChunk(l, k, d.name, c) || s.rng.n(2) == 0) {
				return false
			}
		}
	}
	if h.c == nil || h.c.lsn <= l.pos || s.rules.noLSNOnReplay {
		c, _, ok := s.foldHeld(l, h.c, r, l.pos, l.config, false)
		if !ok {
			return false
		}
		h.c = c
	}
	if !s.rules.noReplayDirty {
		h.redo = true
	}
	return true
}

func (s *sim) replayed(l *lane) {
	l.mode = live
	s.say("lane %d: is live at %d", l.ordinal, l.pos)
	if want := s.oracle.chain(l.pos); l.chain != want {
		s.violated(chainDiffers, "lane %d has replayed another input up to %d", l.ordinal, l.pos)
	}
	s.checkMemory(l)
}

// forget evicts a clean customer, or releases chunks that are surely stored.
func (s *sim) forget(l *lane) {
	k := s.rng.n(customers)
	h := l.held[k]
	switch {
	case h == nil:
	case !h.dirty() && s.rng.n(2) == 0:
		l.held[k] = nil
	case h.c != nil:
		c := *h.c
		c.dir = slices.Clone(c.dir)
		for i := range c.dir {
			if c.dir[i].edited <= h.stored.sure {
				c.dir[i].rows = nil
			}
		}
		h.c = &c
	}
}
