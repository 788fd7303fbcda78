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
	if s.rules.count != countNever && l.on.now.lost() {
		s.reset(l)
		return
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

// read is one atomic read: the marker, the count of keys, a customer.
func (s *sim) read(l *lane, k int) (m marker, at *stored, ok bool) {
	s.reconnect(l)
	if l.on.dead {
		return m, nil, false
	}
	counted := s.rules.count == countAlways || s.rules.count == countMissing && l.on.now.customers[k] == nil
	if counted && l.on.now.lost() {
		s.restart(l, "keys are lost")
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
