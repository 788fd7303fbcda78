package model

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
