package model

import (
	"fmt"
	"slices"
)

// random is splitmix64: a step's own generator, seeded by the step.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

func (r *random) n(n int) int { return int(r.next() >> 33 % uint64(n)) }

// sim is one run: the log, the broker, two stores, the lanes, and what is on the way between them.
type sim struct {
	rules  *rules
	rng    random
	calm   bool // no faults any more
	oracle oracle
	kafka  broker
	redis  *server // where a new connection goes
	old    *server // a master that was failed over and still serves
	lanes  [ordinals]*lane
	ghosts []*lane
	net    []*call
	fids   int

	found *violation
	stats stats
	trace *[]string
}

// stats says that a run has met what it is for.
type stats struct {
	committed             int // records
	flushes               int // confirmed
	aborts                int
	failovers, lostWrites int // all, and those that lose something
	wipes                 int
	rebuilds              int
	takeovers, misnamed   int // fences of the last committer, and those that did not make the offsets stable
	full                  int // answers
	missing               int // chunks
	adopted               int // flushes that find another's prefix
	orphans               int // chunks that no head names, seen with a write
	moves, resets         int // key by key, and steps of emptying
}

func (a *stats) add(b *stats) {
	a.committed += b.committed
	a.flushes += b.flushes
	a.aborts += b.aborts
	a.failovers += b.failovers
	a.lostWrites += b.lostWrites
	a.wipes += b.wipes
	a.rebuilds += b.rebuilds
	a.takeovers += b.takeovers
	a.misnamed += b.misnamed
	a.full += b.full
	a.missing += b.missing
	a.adopted += b.adopted
	a.orphans += b.orphans
	a.moves += b.moves
	a.resets += b.resets
}

func newSim(ru *rules) *sim {
	s := &sim{rules: ru, redis: newServer(content{})}
	for i := range s.lanes {
		s.lanes[i] = &lane{ordinal: i}
	}
	return s
}

func (s *sim) say(format string, args ...any) {
	if s.trace != nil {
		*s.trace = append(*s.trace, fmt.Sprintf(format, args...))
	}
}

// fault is true once in n, never once the faults are over.
func (s *sim) fault(n int) bool { return !s.calm && s.rng.n(n) == 0 }

// reconnect takes a lane over to the current master: always from a dead one, sometimes from one that still serves.
func (s *sim) reconnect(l *lane) {
	if l.on != s.redis && (l.on.dead || s.calm || s.rng.n(4) == 0) {
		l.on = s.redis
	}
}

// run does a schedule: one step per number, which decides all that is random in it, so that a step means much the same when others are
// left out. Then the faults end, and everything must come to rest.
func run(ru *rules, schedule []uint64, trace *[]string) *sim {
	s := newSim(ru)
	s.trace = trace
	for _, x := range schedule {
		s.rng = random(x)
		if s.step(); s.found != nil {
			return s
		}
	}
	s.settle()
	s.stats.committed = s.kafka.committed.offset
	return s
}

// happenings are what a step may be, and how often of 200.
var happenings = [...]struct {
	weight int
	do     func(*sim)
}{
	{24, (*sim).produce},
	{6, (*sim).replicate},
	{3, (*sim).failover},
	{2, (*sim).demote},
	{2, (*sim).rebalance},
	{3, func(s *sim) { s.replace(s.rng.n(ordinals)) }},
	{2, func(s *sim) { s.timeout(s.rng.n(ordinals)) }},
	{16, (*sim).completeAll},
	{3, (*sim).endLate},
	{7, (*sim).deliverSlow},
	{30, func(s *sim) { s.deliver(false) }},
	{1, (*sim).move},
	{101, func(s *sim) { s.act(s.pick()) }},
}

func (s *sim) step() {
	p := s.rng.n(200)
	for _, h := range happenings {
		if p -= h.weight; p < 0 {
			h.do(s)
			return
		}
	}
}

// deliverSlow lets some slow calls through at once: often a part of one flush.
func (s *sim) deliverSlow() {
	for range 1 + s.rng.n(3) {
		s.deliver(true)
	}
}

func (s *sim) replicate() {
	if n := len(s.redis.lag); n > 1 {
		s.redis.replicate(1 + s.rng.n(n-1))
	}
}

// demote ends the old master.
func (s *sim) demote() {
	if s.old != nil {
		s.say("the old master is gone")
		s.old.dead, s.old = true, nil
	}
}

func (s *sim) rebalance() {
	s.stall(s.lanes[s.kafka.owner])
	s.kafka.owner = s.rng.n(ordinals)
	s.kafka.generation++
	s.say("rebalance: generation %d, owner %d", s.kafka.generation, s.kafka.owner)
}

// stall holds back what a lane has on the way to the store: what took its place from it may have cut it off there too.
func (s *sim) stall(l *lane) {
	if s.rng.n(2) == 0 {
		for _, c := range s.net {
			c.slow = c.slow || c.lane == l
		}
	}
}

func (s *sim) completeAll() {
	for i := range s.lanes {
		s.complete(i)
	}
}

// endLate lets a late copy of an EndTxn arrive.
func (s *sim) endLate() {
	if n := len(s.kafka.late); n > 0 {
		i := s.rng.n(n)
		s.endTxn(s.kafka.late[i])
		s.kafka.late = slices.Delete(s.kafka.late, i, i+1)
	}
}

// produce appends a record: mostly an event in order, some late, some retractions, a few configurations.
func (s *sim) produce() {
	o := len(s.oracle.log)
	r := record{kind: event, customer: s.rng.n(customers), look: s.rng.n(1 << 10)}
	now := int64(o) * 4
	rows := s.oracle.at(r.customer, o).rows
	switch p := s.rng.n(20); {
	case p == 0:
		r = record{kind: control, config: s.oracle.config(o) + 1, key: now}
	case p < 7 && len(rows) > 0:
		r.kind, r.key, r.counted = state, rows[s.rng.n(len(rows))].key, s.rng.n(3) == 0
	case p < 14 && len(rows) > 0:
		at := rows[s.rng.n(len(rows))].key >> 20
		r.key = (at+int64(s.rng.n(3))-1)<<20 | int64(o)
	default:
		r.key = now<<20 | int64(o)
	}
	s.oracle.append(r, !s.rules.noSeal)
	s.say("log %d: %s", o, r)
}

// failover makes the replica master, with what it has; the old one goes on serving for a while.
func (s *sim) failover() {
	c := s.redis.lag[0]
	s.stats.failovers++
	if len(s.redis.lag) > 1 {
		s.stats.lostWrites++
	}
	if s.rng.n(25) == 0 {
		c = content{}
		s.stats.wipes++
	}
	if s.old != nil {
		s.old.dead = true
	}
	s.old, s.redis = s.redis, newServer(c)
	s.say("failover: from marker %d to %d", s.old.now.marker.offset, c.marker.offset)
}

// replace starts an ordinal anew: the old incarnation is dead, or stands still for a while and does not know.
func (s *sim) replace(i int) {
	l := s.lanes[i]
	s.stall(l)
	if s.rng.n(2) == 0 {
		l.ghost = true
		if s.ghosts = append(s.ghosts, l); len(s.ghosts) > 2 {
			s.ghosts = slices.Delete(s.ghosts, 0, 1)
		}
	}
	s.say("lane %d: killed; a new one starts, the old one lives on: %v", i, l.ghost)
	s.lanes[i] = &lane{ordinal: i}
	if s.rng.n(2) == 0 {
		s.kafka.generation++ // else its static membership brings the partition back without a rebalance
	}
}

// timeout is the coordinator's abort of a transaction that stays open.
func (s *sim) timeout(i int) {
	p := &s.kafka.producers[i]
	if p.txn != nil && !p.txn.decided {
		s.say("the transaction of ordinal %d times out", i)
		p.txn = nil
		p.epoch++
	}
}

// pick is mostly the owner.
func (s *sim) pick() *lane {
	switch p := s.rng.n(10); {
	case p < 7:
		return s.lanes[s.kafka.owner]
	case p < 8 && len(s.ghosts) > 0:
		return s.ghosts[s.rng.n(len(s.ghosts))]
	default:
		return s.lanes[s.rng.n(ordinals)]
	}
}

// act is a lane's next step.
func (s *sim) act(l *lane) {
	p := s.rng.n(20)
	switch {
	case l.mode == idle || l.mode == joining:
		s.join(l)
	case l.open == nil && l.flight != nil && p < 6:
		s.takeReply(l)
	case l.mode == replaying && p < 17:
		s.replay(l)
	case l.mode == replaying:
		s.startFlush(l)
	case l.generation != s.kafka.generation && p < 10:
		s.revoked(l)
	case l.open != nil && p == 19:
		s.abort(l, "a record was refused")
	case l.open != nil && l.open.sent:
		s.end(l)
	case l.open != nil:
		s.sendOffsets(l)
	case p < 12:
		s.judge(l)
	case p < 15:
		s.startFlush(l)
	default:
		s.forget(l)
	}
}

// revoked is a lane that learns of a rebalance. It flushes once more, so that the next owner need not replay; that may come late.
func (s *sim) revoked(l *lane) {
	if l.open != nil {
		if s.abort(l, "a rebalance"); l.mode != live {
			return
		}
	}
	s.startFlush(l)
	l.held, l.flight, l.mode = [customers]*held{}, nil, idle
	s.say("lane %d: is told of generation %d", l.ordinal, s.kafka.generation)
}

// settle lets the lanes work without faults until the log is judged and stored.
func (s *sim) settle() {
	s.calm, s.ghosts, s.rng = true, nil, 1
	for i := range s.lanes {
		s.timeout(i)
	}
	s.say("the faults are over")
	s.produce() // a lane with nothing to do would not notice that its last flush went to a master that is no more
	for range 400 {
		if s.found != nil {
			return
		}
		for i := range s.lanes {
			s.complete(i)
			s.act(s.lanes[i])
			s.act(s.lanes[s.kafka.owner])
		}
		for len(s.net) > 0 {
			s.deliver(false)
		}
		if end := len(s.oracle.log); s.kafka.committed.offset == end && s.redis.now.marker.offset == end && s.lanes[s.kafka.owner].mode == live {
			break
		}
	}
	s.checkEnd()
}
