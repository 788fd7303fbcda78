package model

import "slices"

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
