package model

// ordinals are the lanes that may own the partition; each has its own transactional id.
const ordinals = 3

// broker is the group, its committed offset, and the transaction coordinator.
type broker struct {
	generation int
	owner      int   // ordinal
	member     *lane // the incarnation that last joined for the owner: a replaced static member is fenced
	committed  commit
	producers  [ordinals]producer
	outs       [][]uint64 // verdicts visible to a read_committed reader, by offset
	late       []ending   // EndTxn requests that are still on their way: the client sent another copy, or gave up
}

// commit is a committed offset and its metadata.
type commit struct {
	offset int
	by     int // ordinal of the committer
	chain  uint64
}

// producer is what the coordinator knows of one transactional id.
type producer struct {
	epoch int
	txn   *transaction // nil: none
}

// transaction is an ongoing or a decided transaction.
type transaction struct {
	outs    []out
	offsets *commit // nil: none sent yet
	from    int
	decided bool // PREPARE_COMMIT is in the log; offsets and results become visible a moment later, and stay unstable until then
}

type out struct {
	offset  int
	verdict uint64
}

type ending struct{ ordinal, epoch int }

// initProducer is InitProducerID: an open transaction of the id is aborted and its producer fenced. It fails while a decided one is being
// completed (CONCURRENT_TRANSACTIONS).
func (s *sim) initProducer(ordinal int) (epoch int, ok bool) {
	p := &s.kafka.producers[ordinal]
	if p.txn != nil && p.txn.decided {
		return 0, false
	}
	p.txn = nil
	p.epoch++
	return p.epoch, true
}

// unstable reports whether a transaction holds offsets whose fate is open.
func (b *broker) unstable() bool {
	for i := range b.producers {
		if t := b.producers[i].txn; t != nil && t.offsets != nil {
			return true
		}
	}
	return false
}

// endTxn decides a transaction as committed, if the request is of its producer. With transaction.version=1 the epoch is the same for
// transaction after transaction, so that a late copy hits a later one.
func (s *sim) endTxn(e ending) {
	p := &s.kafka.producers[e.ordinal]
	if p.epoch != e.epoch || p.txn == nil || p.txn.decided {
		return
	}
	p.txn.decided = true
	if !s.rules.oneEpoch {
		p.epoch++
	}
}

// complete makes a decided transaction visible.
func (s *sim) complete(ordinal int) {
	p := &s.kafka.producers[ordinal]
	t := p.txn
	if t == nil || !t.decided {
		return
	}
	p.txn = nil
	for _, o := range t.outs {
		for len(s.kafka.outs) <= o.offset {
			s.kafka.outs = append(s.kafka.outs, nil)
		}
		s.kafka.outs[o.offset] = append(s.kafka.outs[o.offset], o.verdict)
		if want := s.oracle.verdicts[o.offset]; o.verdict != want {
			s.violated(wrongVerdict, "offset %d has verdict %x, the log says %x", o.offset, o.verdict, want)
		}
		if len(s.kafka.outs[o.offset]) > 1 {
			s.violated(duplicate, "offset %d has %d verdicts", o.offset, len(s.kafka.outs[o.offset]))
		}
	}
	if t.offsets == nil {
		return
	}
	if t.from != s.kafka.committed.offset {
		s.violated(overlap, "ordinal %d commits %d-%d, the group stands at %d", ordinal, t.from, t.offsets.offset, s.kafka.committed.offset)
	}
	s.kafka.committed = *t.offsets
	for o := t.from; o < t.offsets.offset; o++ {
		if o >= len(s.kafka.outs) || len(s.kafka.outs[o]) == 0 {
			s.violated(lost, "offset %d is committed and has no verdict", o)
		}
	}
}
