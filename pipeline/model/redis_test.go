package model

import "slices"

// marker says how far a store reflects the log. The zero marker: never flushed.
type marker struct {
	set    bool
	offset int
	config uint8
	chain  uint64
}

// stored is all that a store holds of one customer; immutable.
type stored struct {
	head   *value // nil: nothing
	chunks []storedChunk
}

type storedChunk struct {
	name
	rows []row
}

func (c *stored) find(n name) []row {
	if c == nil {
		return nil
	}
	for i := range c.chunks {
		if c.chunks[i].name == n {
			return c.chunks[i].rows
		}
	}
	return nil
}

// content is what one server holds at one moment.
type content struct {
	marker    marker
	fid, fc   int // chain token: the flush that wrote last, and how many of its calls are in
	keys      int // that the scripts have made and not deleted; kept in the marker's hash, by every call
	customers [customers]*stored
	damaged   bool // keys have vanished one by one; the model knows, nobody else
}

// count is how many keys there are, as COUNTKEYSINSLOT or DBSIZE tells.
func (c *content) count() int {
	n := 0
	for _, at := range c.customers {
		n += at.count()
	}
	return n
}

// lost reports whether keys have vanished. It stays so until the partition is emptied: the scripts count what they make and delete.
func (c *content) lost() bool { return c.keys != c.count() }

func (c *stored) count() int {
	if c == nil {
		return 0
	}
	if c.head == nil {
		return len(c.chunks)
	}
	return 1 + len(c.chunks)
}

// server is one Redis process. Its writes reach its replica in order, some time later.
type server struct {
	now  content
	lag  []content // the replica's content, and what came after it; the last one is now
	dead bool
}

func newServer(c content) *server { return &server{now: c, lag: []content{c}} }

func (v *server) write(c content) {
	v.now = c
	v.lag = append(v.lag, c)
}

func (v *server) replicate(n int) { v.lag = v.lag[n:] }

// entry is one customer in a call.
type entry struct {
	customer int
	lsn      int
	skipHead bool // another call of the flush carries it
	whole    *value
	delta    *delta
	chunks   []storedChunk
	dead     []name
}

// delta changes a stored head: header overwritten, tail put at length.
type delta struct {
	from, length int
	header       header
	tail         []unit
}

// call is one script call on its way.
type call struct {
	lane    *lane
	on      *server
	fid     int
	idx     int
	last    bool
	base    marker
	next    marker
	entries []entry
	slow    bool // comes when everybody has gone on
	unlink  bool // ablation: a command of its own, outside the script
}

// answer is what the script says; names as the store's Result has them.
type answer string

const (
	answerOK    answer = "OK"
	answerBase  answer = "BASE"  // the stored marker is another
	answerChain answer = "CHAIN" // the call before it is not the last that came
	answerFull  answer = "FULL"  // a delta does not fit what is stored
	answerLost  answer = "LOST"  // there are not the keys that there should be
	answerNone  answer = "no answer"
)

type reply struct {
	answer answer
	now    marker
	full   []int // customers
}

// run is the flush script.
func (s *sim) run(c *call) reply {
	if c.on.dead {
		return reply{answer: answerNone}
	}
	k, ru := c.on.now, s.rules
	if c.unlink {
		return s.unlink(c)
	}
	switch {
	case !ru.flushUncounted && ru.count < countJoining && k.lost():
		return reply{answer: answerLost}
	case !ru.noBase && k.marker != c.base:
		return reply{answer: answerBase, now: k.marker}
	case !ru.noChain && c.idx > 0 && (k.fid != c.fid || k.fc != c.idx):
		return reply{answer: answerChain}
	}
	var full []int
	for i := range c.entries {
		e := &c.entries[i]
		if e.delta != nil && !e.skipHead && !s.behind(&k, e) && !e.fits(k.customers[e.customer], ru) {
			full = append(full, e.customer)
		}
	}
	if full != nil && !ru.fullMoves {
		return reply{answer: answerFull, full: full}
	}
	for i := range c.entries {
		e := &c.entries[i]
		if !s.behind(&k, e) && (!ru.fullMoves || !slices.Contains(full, e.customer)) {
			before := k.customers[e.customer]
			k.customers[e.customer] = e.onto(before, ru)
			k.keys += k.customers[e.customer].count() - before.count()
		}
	}
	k.fid, k.fc = c.fid, c.idx+1
	if c.last {
		k.marker = c.next
	}
	c.on.write(k)
	s.checkStore(c)
	if full != nil {
		return reply{answer: answerFull, full: full}
	}
	return reply{answer: answerOK, now: k.marker}
}

// behind is the LSN guard: what is stored is newer than the entry, head, chunks and deletions alike.
func (s *sim) behind(k *content, e *entry) bool {
	at := k.customers[e.customer]
	return !s.rules.noLSNOnWrite && at != nil && at.head != nil && at.head.lsn > e.lsn
}

// fits reports whether a delta may be put on what is stored.
func (e *entry) fits(at *stored, ru *rules) bool {
	if ru.blindDelta {
		return true
	}
	if at == nil || at.head == nil {
		return false
	}
	return (ru.noDeltaLSN || at.head.lsn == e.delta.from) && (ru.noDeltaLength || len(at.head.units) == e.delta.length)
}

// onto returns what is stored once the entry is written.
func (e *entry) onto(at *stored, ru *rules) *stored {
	out := &stored{}
	if at != nil {
		*out = *at
	}
	if len(e.chunks)+len(e.dead) > 0 {
		held := make([]storedChunk, 0, len(out.chunks)+len(e.chunks))
		for _, c := range out.chunks {
			named := func(n storedChunk) bool { return n.name == c.name }
			if !slices.Contains(e.dead, c.name) && !slices.ContainsFunc(e.chunks, named) {
				held = append(held, c)
			}
		}
		out.chunks = append(held, e.chunks...)
	}
	switch {
	case e.skipHead:
	case e.whole != nil:
		out.head = e.whole
	case e.delta != nil:
		out.head = e.delta.onto(out.head)
	}
	return out
}

// onto is SETRANGE of the header and SETRANGE of the tail: a hole is filled, what lies behind the tail stays.
func (d *delta) onto(v *value) *value {
	if v == nil {
		v = &value{}
	}
	out := &value{header: d.header, units: make([]unit, d.length, d.length+len(d.tail))}
	copy(out.units, v.units)
	out.units = append(out.units, d.tail...)
	if len(v.units) > len(out.units) {
		out.units = append(out.units, v.units[len(out.units):]...)
	}
	return out
}

// unlink is the ablation that deletes chunks by commands outside the script.
func (s *sim) unlink(c *call) reply {
	k := c.on.now
	for i := range c.entries {
		e := &c.entries[i]
		before := k.customers[e.customer]
		k.customers[e.customer] = e.onto(before, s.rules)
		k.keys += k.customers[e.customer].count() - before.count()
	}
	c.on.write(k)
	s.checkStore(c)
	return reply{answer: answerOK}
}

// reset takes one step of emptying a partition whose keys are not all there: the marker first, so that nobody believes the rest. Every
// step takes the chain token away too, or a flush would go on behind it.
func (s *sim) reset(l *lane) {
	k := l.on.now
	s.stats.resets++
	s.say("lane %d: keys are lost: %d of %d, marker %d", l.ordinal, k.count(), k.keys, k.marker.offset)
	if !k.marker.set {
		if n := slices.IndexFunc(k.customers[:], func(at *stored) bool { return at != nil }); n >= 0 {
			k.customers[n] = nil
		}
	}
	k.marker, k.fid, k.fc, k.keys = marker{}, 0, 0, 0
	k.damaged = k.count() > 0
	l.on.write(k)
}

// move takes the partition to another server key by key, and that one fails over in the middle: some keys arrive, some are nowhere.
func (s *sim) move() {
	if s.rng.n(4) > 0 {
		return
	}
	k := s.redis.now
	n := s.rng.n(customers)
	switch at := k.customers[n]; {
	case s.rng.n(4) == 0:
		k.marker, k.fid, k.fc, k.keys = marker{}, 0, 0, 0
	case at == nil:
		return
	case s.rng.n(2) == 0 && len(at.chunks) > 0:
		k.customers[n] = &stored{head: at.head, chunks: slices.Delete(slices.Clone(at.chunks), 0, 1)}
	default:
		k.customers[n] = nil
	}
	k.damaged = true
	if s.old != nil {
		s.old.dead = true
	}
	s.redis.dead, s.old, s.redis = true, nil, newServer(k)
	s.stats.moves++
	s.say("the slot is moved, not all of it arrives: marker %d, %d keys of %d", k.marker.offset, k.count(), k.keys)
}
