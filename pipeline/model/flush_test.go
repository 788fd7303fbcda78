package model

import "slices"

// flight is a flush under way.
type flight struct {
	fid     int
	next    marker
	waiting int // calls not answered with OK
	snaps   [customers]*belief
	dead    [customers][]name
	result  *reply // what ends it
}

// startFlush hands everything dirty to the store, to the marker of the lane's position. The bytes are made here; the calls travel on
// their own, in any order, and none waits for another.
func (s *sim) startFlush(l *lane) {
	if l.flight != nil || l.open != nil || l.pos == l.base.offset {
		return
	}
	s.fids++
	f := &flight{fid: s.fids, next: marker{set: true, offset: l.pos, config: l.config, chain: l.chain}}
	var entries []entry
	for k, h := range l.held {
		if h != nil && h.dirty() {
			entries = append(entries, s.entry(f, k, h))
		}
	}
	calls := s.cut(entries)
	f.waiting = len(calls)
	l.flight = f
	slow := s.fault(4)
	for i, es := range calls {
		s.send(&call{lane: l, slow: slow, fid: f.fid, idx: i, last: i == len(calls)-1, base: l.base, next: f.next, entries: es})
	}
	s.say("lane %d: flush %d from %d to %d in %d calls", l.ordinal, f.fid, l.base.offset, l.pos, len(calls))
}

// entry makes a customer's part of a flush, and the belief that it will be once it is confirmed.
func (s *sim) entry(f *flight, k int, h *held) entry {
	c := h.c
	e := entry{customer: k, lsn: c.lsn}
	for _, d := range c.dir {
		if d.edited > h.stored.sure {
			if d.rows == nil {
				s.violated(memory, "customer %d must be written with chunk %v, which is not in memory", k, d.name)
			}
			e.chunks = append(e.chunks, storedChunk{d.name, d.rows})
		}
	}
	e.dead = s.superseded(h)
	f.dead[k] = e.dead
	b := &belief{lsn: c.lsn, sure: min(c.lsn, f.next.offset), names: names(c.dir)}
	if s.rules.headVouches {
		b.sure = c.lsn
	}
	f.snaps[k] = b
	if s.rules.deltas && !h.whole && h.stored.lsn > 0 && s.rng.n(4) > 0 {
		e.delta = &delta{from: h.stored.lsn, length: h.stored.length, header: c.header()}
		for _, u := range c.tail {
			if u.lsn > h.stored.lsn {
				e.delta.tail = append(e.delta.tail, u)
			}
		}
		b.length = h.stored.length + len(e.delta.tail)
		return e
	}
	e.whole = c.whole()
	b.length = len(e.whole.units)
	return e
}

// superseded are the names that the customer has had since the stored state, without those that live.
func (s *sim) superseded(h *held) []name {
	had := slices.Clone(h.stored.names)
	if !s.rules.believedDead {
		for _, u := range h.c.tail {
			if u.lsn > h.stored.lsn && (u.op == opSeal || u.op == opEdit || u.op == opDrop) {
				had = append(had, u.chunk.name)
			}
		}
	}
	var dead []name
	for _, n := range had {
		lives := func(d chunk) bool { return d.name == n }
		if !slices.ContainsFunc(h.c.dir, lives) && !slices.Contains(dead, n) {
			dead = append(dead, n)
		}
	}
	return dead
}

// cut deals entries out to calls: whole entries, or, where chunks go ahead of their heads, chunks first and heads with deletions after.
func (s *sim) cut(entries []entry) [][]entry {
	ru := s.rules
	var first, then, last []entry
	for _, e := range entries {
		ahead, behind := entry{customer: e.customer, lsn: e.lsn, skipHead: true}, entry{customer: e.customer, lsn: e.lsn, skipHead: true}
		if ru.chunksAhead {
			ahead.chunks, e.chunks = e.chunks, nil
		}
		if ru.deleteAhead {
			ahead.dead, e.dead = e.dead, nil
		}
		if ru.chunksBehind {
			behind.chunks, e.chunks = e.chunks, nil
		}
		if ru.deleteBehind {
			behind.dead, e.dead = e.dead, nil
		}
		if ru.deleteApart {
			e.dead = nil
		}
		if len(ahead.chunks)+len(ahead.dead) > 0 {
			first = append(first, ahead)
		}
		then = append(then, e)
		if len(behind.chunks)+len(behind.dead) > 0 {
			last = append(last, behind)
		}
	}
	per := ru.perCall
	if per == 0 {
		return [][]entry{then}
	}
	var calls [][]entry
	for _, es := range [][]entry{first, then, last} {
		for part := range slices.Chunk(es, per) {
			calls = append(calls, part)
		}
	}
	if calls == nil {
		calls = [][]entry{nil} // only the marker moves
	}
	return calls
}

// send puts a call on its way. The pool may go over to another server between two calls of one flush; a slow flush comes in parts.
func (s *sim) send(c *call) {
	s.reconnect(c.lane)
	c.on = c.lane.on
	s.net = append(s.net, c)
}

// deliver runs a call that is on its way, mostly the first of its kind, perhaps not for the last time; and perhaps its answer is lost.
func (s *sim) deliver(slow bool) {
	some := slices.DeleteFunc(slices.Clone(s.net), func(c *call) bool { return c.slow != slow && !s.calm })
	if len(some) == 0 {
		return
	}
	c := some[0]
	if s.fault(4) {
		c = some[s.rng.n(len(some))]
	}
	if c.slow = s.fault(12); !c.slow { // else the client has sent it twice
		s.net = slices.DeleteFunc(s.net, func(o *call) bool { return o == c })
	}
	r := s.run(c)
	s.say("flush %d call %d of lane %d: %s, marker %d", c.fid, c.idx, c.lane.ordinal, r.answer, c.on.now.marker.offset)
	f := c.lane.flight
	if f == nil || f.fid != c.fid || f.result != nil || s.fault(12) {
		return
	}
	if r.answer == answerOK {
		if f.waiting--; f.waiting > 0 {
			return
		}
	}
	f.result = &r
}

// takeReply decides by the store's answer what a flush did.
func (s *sim) takeReply(l *lane) {
	f := l.flight
	if f.result == nil {
		onTheWay := func(c *call) bool { return c.fid == f.fid }
		if s.fault(3) || s.calm && !slices.ContainsFunc(s.net, onTheWay) {
			s.say("lane %d: flush %d is not answered in time", l.ordinal, f.fid)
			s.failed(l)
		}
		return
	}
	r := *f.result
	switch r.answer {
	case answerOK:
		s.confirmed(l, f)
	case answerBase:
		switch now := r.now; {
		case now.offset < l.base.offset:
			s.restart(l, "the store went back")
		case now.offset > l.limit():
			s.poison(l, "another owner is ahead")
		case l.mode == replaying:
			s.restart(l, "the marker moved under the replay")
		default: // somebody wrote a valid prefix: what is not known to be in it goes again
			l.flight, l.base = nil, now
			s.stats.adopted++
		}
	case answerFull:
		s.stats.full++
		for _, k := range r.full {
			l.held[k].whole = true
		}
		l.flight = nil
	case answerLost:
		s.restart(l, "keys are lost")
	case answerChain, answerNone:
		s.failed(l)
	}
}

// failed is a flush of which nothing is known: it goes again, as another one.
func (s *sim) failed(l *lane) {
	l.flight = nil
	if l.mode == replaying {
		s.restart(l, "a flush of the replay is not confirmed")
	}
}

func (s *sim) confirmed(l *lane, f *flight) {
	l.flight, l.base = nil, f.next
	s.stats.flushes++
	var apart []entry
	for k, b := range f.snaps {
		if b == nil {
			continue
		}
		h := l.held[k]
		h.stored, h.redo, h.whole = *b, false, false
		if len(f.dead[k]) > 0 {
			apart = append(apart, entry{customer: k, skipHead: true, dead: f.dead[k]})
		}
	}
	if s.rules.deleteApart && apart != nil {
		s.send(&call{lane: l, slow: s.fault(4), unlink: true, entries: apart})
	}
}
