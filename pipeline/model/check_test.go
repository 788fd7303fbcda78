package model

import (
	"fmt"
	"slices"
)

// breach is which invariant of engine.md 4.11 does not hold.
type breach string

const (
	wrongVerdict breach = "wrong verdict"  // I2
	duplicate    breach = "two verdicts"   // I1
	lost         breach = "no verdict"     // I1
	overlap      breach = "overlap"        // I13: a commit begins elsewhere than the last one ended
	ahead        breach = "marker ahead"   // I4
	uncommitted  breach = "uncommitted"    // I7: a stored LSN > committed
	corrupt      breach = "corrupt value"  // I5, I14: not the log's value at its own LSN
	dangling     breach = "dangling chunk" // I14: a stored head names a chunk that is not stored
	orphaned     breach = "orphaned chunk" // a chunk that no head names; only where the variant promises none
	stale        breach = "stale value"    // I6: a value older than its last touch below the marker
	memory       breach = "memory"         // I8: memory is not the log's value at the lane's position
	chainDiffers breach = "chain"          // I11, I12: a replay has read another input
	stuck        breach = "stuck"          // faults are over, and the partition does not reach the log's end
)

// violation is the first breach of a run.
type violation struct {
	breach breach
	text   string
}

func (s *sim) violated(b breach, format string, args ...any) {
	if s.found == nil {
		s.found = &violation{b, fmt.Sprintf(format, args...)}
		s.say("VIOLATION %s: %s", b, s.found.text)
	}
}

// decided is the committed offset, or that of a transaction which is being completed.
func (s *sim) decided() int {
	c := s.kafka.committed.offset
	for i := range s.kafka.producers {
		if t := s.kafka.producers[i].txn; t != nil && t.decided && t.offsets != nil {
			c = max(c, t.offsets.offset)
		}
	}
	return c
}

// checkStore looks at what a call has written, before anybody can read it.
func (s *sim) checkStore(c *call) {
	k := &c.on.now
	committed := s.decided()
	if k.marker.offset > committed {
		s.violated(ahead, "marker %d, committed %d", k.marker.offset, committed)
		return
	}
	for i := range c.entries {
		s.checkStored(k, c.entries[i].customer, committed)
	}
	if !c.last || k.damaged {
		return
	}
	for n := range customers {
		need, has := s.oracle.at(n, k.marker.offset).lsn, 0
		if at := k.customers[n]; at != nil && at.head != nil {
			has = at.head.lsn
		}
		if has < need {
			s.violated(stale, "customer %d is stored at LSN %d, marker %d needs %d", n, has, k.marker.offset, need)
		}
	}
}

// checkStored puts head and chunks together and compares them with the log's value at the head's LSN.
func (s *sim) checkStored(k *content, n, committed int) {
	at := k.customers[n]
	if at == nil || at.head == nil {
		return
	}
	c, ok := at.head.open()
	switch {
	case !ok:
		s.violated(corrupt, "customer %d: the units of its head make no customer", n)
		return
	case c.lsn > committed:
		s.violated(uncommitted, "customer %d is stored at LSN %d, committed %d", n, c.lsn, committed)
		return
	}
	want := s.oracle.at(n, c.lsn)
	hash := uint64(c.lsn)<<8 + uint64(c.config)
	for _, d := range c.dir {
		rows := at.find(d.name)
		if rows == nil && k.damaged {
			return // a read of it finds out
		}
		if rows == nil {
			s.violated(dangling, "customer %d at LSN %d names chunk %v, which is not stored", n, c.lsn, d.name)
			return
		}
		for _, w := range rows {
			hash = mix(hash + w.mix())
		}
	}
	for _, w := range c.rows {
		hash = mix(hash + w.mix())
	}
	if c.lsn != want.lsn || hash != want.hash {
		s.violated(corrupt, "customer %d at LSN %d is not what the log makes of it", n, c.lsn)
		return
	}
	for _, held := range at.chunks {
		lives := func(d chunk) bool { return d.name == held.name }
		if !slices.ContainsFunc(c.dir, lives) {
			s.stats.orphans++ // costs memory, never a verdict
		}
	}
}

// checkMemory compares what a lane holds with the log at its position.
func (s *sim) checkMemory(l *lane) {
	for k, h := range l.held {
		if h == nil || h.c == nil {
			continue
		}
		want := s.oracle.at(k, l.pos)
		n, sum := len(h.c.rows), uint64(0)
		for _, w := range h.c.rows {
			sum += w.mix()
		}
		for _, d := range h.c.dir {
			n, sum = n+d.n, sum+d.sum
		}
		wanted := uint64(0)
		for _, w := range want.rows {
			wanted += w.mix()
		}
		if h.c.lsn != want.lsn || h.c.config != want.config || n != len(want.rows) || sum != wanted {
			s.violated(memory, "lane %d at %d holds customer %d at LSN %d with %d rows; the log makes LSN %d, %d rows", l.ordinal, l.pos, k, h.c.lsn, n, want.lsn, len(want.rows))
			return
		}
	}
}

// checkEnd is after the faults: everything judged, everything stored.
func (s *sim) checkEnd() {
	end := len(s.oracle.log)
	m := s.redis.now.marker
	if s.kafka.committed.offset != end || m.offset != end {
		s.violated(stuck, "the log ends at %d; committed %d, marker %d", end, s.kafka.committed.offset, m.offset)
		return
	}
	if end > 0 && m.chain != s.oracle.chain(end) {
		s.violated(chainDiffers, "the marker's chain is of another input")
	}
	for k := range customers {
		s.checkStored(&s.redis.now, k, end)
	}
	if s.redis.now.damaged {
		return // the owner has all in memory; whoever comes next finds out
	}
	for k := range customers {
		if want := s.oracle.at(k, end).lsn; want > 0 && (s.redis.now.customers[k] == nil || s.redis.now.customers[k].head.lsn != want) {
			s.violated(stale, "customer %d is not stored at its last LSN %d", k, want)
		}
	}
}
