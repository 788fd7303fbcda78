package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/schemas"
)

const (
	partitions    = 2
	memberTimeout = 10 * time.Second
	topicID       = "simulated"
)

// group is the broker: the log, the group, its transactions, and what they made visible.
type group struct {
	w         *world
	log       [partitions][]*kgo.Record
	start     [partitions]int64 // what was before it, retention has deleted
	end       [partitions]int64
	config    []*kgo.Record
	committed [partitions]pipeline.Place
	visible   [partitions][]*kgo.Record
	txns      map[string]*txn     // by transactional id
	sessions  map[string]*session // by member, the latest one
	owner     [partitions]string  // member; "": nobody
	wanted    [partitions]string
	shift     int                   // which member is to have which partition
	unstable  [partitions]time.Time // since when the next owner has waited
}

// txn is what one transactional id has open.
type txn struct {
	epoch    int
	open     bool
	prepared bool // decided: its markers are on their way
	records  []*kgo.Record
	places   []pipeline.Place
}

func newGroup(w *world) *group {
	g := &group{w: w, txns: map[string]*txn{}, sessions: map[string]*session{}}
	for p := range g.committed {
		g.committed[p] = pipeline.Place{Partition: int32(p), Offset: -1}
	}
	return g
}

func (g *group) txn(id string) *txn {
	if g.txns[id] == nil {
		g.txns[id] = &txn{}
	}
	return g.txns[id]
}

// initID is InitProducerID: what the id has open is aborted, who has it is fenced. A decided transaction is waited for by the caller.
func (g *group) initID(id string) {
	t := g.txn(id)
	t.epoch++
	if t.open && !t.prepared {
		t.open, t.records, t.places = false, nil, nil
	}
}

// prepare decides a transaction; its markers come a while later.
func (g *group) prepare(t *txn, markers time.Duration) {
	t.prepared = true
	records := make([]*kgo.Record, len(t.records))
	for i, r := range t.records {
		c := *r
		c.Key, c.Value = bytes.Clone(r.Key), bytes.Clone(r.Value) // the lane's memory, until the transaction has ended
		records[i] = &c
	}
	places := t.places
	t.records = nil
	g.w.after(markers, func() {
		for _, r := range records {
			g.visible[r.Partition] = append(g.visible[r.Partition], r)
		}
		for _, p := range places {
			if was := &g.committed[p.Partition]; p.Offset <= was.Offset {
				g.w.fault("I26: partition %d: the group goes from offset %d to %d", p.Partition, was.Offset, p.Offset)
			}
			g.committed[p.Partition] = p
		}
		t.open, t.prepared, t.places = false, false, nil
	})
}

// decided is the group's place of a partition, with what is committed and only not yet visible.
func (g *group) decided(p int32) int64 {
	at := g.committed[p].Offset
	for _, t := range g.txns {
		for _, x := range t.places {
			if t.prepared && x.Partition == p {
				at = max(at, x.Offset)
			}
		}
	}
	return at
}

// stable reports whether no transaction holds the partition's offsets open.
func (g *group) stable(p int32) bool {
	for _, t := range g.txns {
		if slices.ContainsFunc(t.places, func(x pipeline.Place) bool { return x.Partition == p }) {
			return false
		}
	}
	return true
}

// balance moves partitions to where they are wanted, when their lanes let them go.
func (g *group) balance() {
	var members []string
	for _, p := range g.w.procs {
		if s := g.sessions[p.name]; s != nil && !s.expelled {
			members = append(members, p.name)
		}
	}
	for p := range int32(partitions) {
		if g.wanted[p] = ""; len(members) > 0 {
			g.wanted[p] = members[(int(p)+g.shift)%len(members)]
		}
	}
	for p := range int32(partitions) {
		from := g.sessions[g.owner[p]]
		to := g.sessions[g.wanted[p]]
		switch {
		case g.owner[p] == g.wanted[p]:
		case g.owner[p] != "":
			if from == nil || !from.blocked && from.living() {
				g.take(p)
			}
		case to == nil || to.blocked || to.expelled || !to.living():
		case !g.stable(p):
			g.takeover(p, to)
		default:
			g.give(p, to)
		}
	}
	for _, p := range g.w.procs {
		if s := g.sessions[p.name]; s != nil && s.expelled && s.living() && !s.blocked && g.w.rnd.IntN(4) == 0 { // it learns of it, and joins again
			for p := range int32(partitions) {
				s.lose(p)
			}
			s.expelled = false
		}
	}
}

func (g *group) give(p int32, to *session) {
	g.owner[p], g.unstable[p] = to.proc.name, time.Time{}
	at := g.committed[p]
	first := at.Offset
	if first < 0 {
		first = g.start[p]
	}
	to.position[p], to.known[p] = first, first
	delete(to.paused, p)
	to.changes = append(to.changes, pipeline.Ownership{Partition: p, Gained: true, Committed: at, Start: g.start[p]})
}

// take takes a partition from who has it.
func (g *group) take(p int32) {
	if s := g.sessions[g.owner[p]]; s != nil {
		s.lose(p)
	}
	g.owner[p] = ""
}

// takeover is what the session of a new owner does that finds offsets unstable.
func (g *group) takeover(p int32, to *session) {
	if g.unstable[p].IsZero() {
		g.unstable[p] = g.w.now
	}
	if g.w.now.Sub(g.unstable[p]) < 300*time.Millisecond {
		return
	}
	for id, t := range g.txns {
		if id != to.proc.name && t.open && !t.prepared && slices.ContainsFunc(t.places, func(x pipeline.Place) bool { return x.Partition == p }) {
			g.initID(id)
		}
	}
}

// expel is a session timeout: the member's partitions go to others; it learns of that later.
func (g *group) expel(name string) {
	if s := g.sessions[name]; s != nil {
		s.expelled = true
	}
	for p := range g.owner {
		if g.owner[p] == name {
			g.owner[p] = ""
		}
	}
}

// session is the pipeline's Session.
type session struct {
	g        *group
	proc     *process
	life     int // the process's, when it joined
	ctx      context.Context
	epoch    int
	position map[int32]int64
	known    map[int32]int64 // where an abort goes back to
	paused   map[int32]bool
	changes  []pipeline.Ownership
	blocked  bool // between Poll and Allow
	expelled bool
	closed   bool
}

// living reports whether the process that joined still has the session.
func (s *session) living() bool {
	return !s.closed && s.proc.alive && s.proc.life == s.life && !s.proc.frozen.After(s.g.w.now)
}

var errFenced = errors.New("fenced")

func (g *group) join(ctx context.Context, p *process) (pipeline.Session, error) {
	g.w.pause()
	t := g.txn(p.name)
	g.initID(p.name)
	epoch := t.epoch
	g.w.until(func() bool { return !t.prepared })
	s := &session{g: g, proc: p, life: p.life, ctx: ctx, epoch: epoch, position: map[int32]int64{}, known: map[int32]int64{}, paused: map[int32]bool{}}
	g.sessions[p.name] = s // a static member: the partitions of the one before are its own
	for i := range g.owner {
		if g.owner[i] == p.name {
			g.owner[i] = ""
		}
	}
	return s, nil
}

func (s *session) lose(p int32) {
	if _, has := s.position[p]; !has {
		return
	}
	delete(s.position, p)
	delete(s.known, p)
	s.changes = append(s.changes, pipeline.Ownership{Partition: p})
}

func (s *session) Poll(ctx context.Context, wait time.Duration, limit int) (out pipeline.Polled, err error) {
	w := s.g.w
	w.park(w.now.Add(wait), func() bool { return ctx.Err() != nil || len(s.changes) > 0 || s.readable() })
	s.blocked = true
	for p := range int32(partitions) {
		at, has := s.position[p]
		if !has || s.paused[p] {
			continue
		}
		var rs []*kgo.Record
		for _, r := range s.g.log[p] {
			if r.Offset >= at && len(rs) < limit {
				rs = append(rs, r)
				s.position[p] = r.Offset + 1
			}
		}
		if limit -= len(rs); len(rs) > 0 {
			out.Parts = append(out.Parts, pipeline.Records{Partition: p, Records: rs})
		}
	}
	return out, nil
}

func (s *session) readable() bool {
	for p, at := range s.position {
		if !s.paused[p] && at < s.g.end[p] {
			return true
		}
	}
	return false
}

func (s *session) Allow() { s.blocked = false }

func (s *session) Owned() []pipeline.Ownership {
	s.g.w.at("K1") // polled
	out := s.changes
	s.changes = nil
	return out
}

func (s *session) Pause(p int32) { s.paused[p] = true }

func (s *session) Resume(p int32, offset int64) {
	delete(s.paused, p)
	if _, has := s.position[p]; has {
		s.position[p], s.known[p] = offset, offset
	}
}

func (s *session) Begin() error {
	t := s.g.txn(s.proc.name)
	s.g.w.until(func() bool { return !t.prepared || t.epoch != s.epoch })
	if t.epoch != s.epoch {
		return errFenced
	}
	t.open, t.records, t.places = true, nil, nil
	s.proc.produced = 0
	return nil
}

func (s *session) Produce(r *kgo.Record) {
	switch s.proc.produced++; s.proc.produced {
	case 1:
		s.g.w.at("K2") // judged, nothing written
	case 2:
		s.g.w.at("K3")
	}
	if t := s.g.txn(s.proc.name); t.epoch == s.epoch {
		t.records = append(t.records, r)
	}
}

func (s *session) rewind() {
	for p, at := range s.known {
		s.position[p] = at
	}
}

func (s *session) abort(t *txn) error {
	if t.epoch != s.epoch {
		return errFenced
	}
	t.open, t.records, t.places = false, nil, nil
	s.rewind()
	return nil
}

func (s *session) Abort(context.Context) error {
	s.g.w.pause()
	return s.abort(s.g.txn(s.proc.name))
}

func (s *session) Commit(_ context.Context, places []pipeline.Place) (bool, error) {
	w, t, fate := s.g.w, s.g.txn(s.proc.name), s.proc.takeFate()
	w.pause() // records are written
	w.at("K4")
	if slices.ContainsFunc(t.records, isControl) {
		defer w.at("K16") // the transaction in which the configuration switches is decided, or not
	}
	switch {
	case t.epoch != s.epoch:
		return false, errFenced
	case fate.write:
		return false, errors.Join(pipeline.ErrUnwritten, s.abort(t))
	case s.expelled || fate.abort:
		return false, s.abort(t)
	}
	t.places = slices.Clone(places) // TxnOffsetCommit
	for _, p := range places {
		if s.g.owner[p.Partition] != s.proc.name {
			w.fault("a member that does not have partition %d sends its offset", p.Partition)
		}
	}
	w.pause()
	w.at("K5")
	if t.epoch != s.epoch {
		return false, errFenced
	}
	if fate.lost {
		w.pause()
		return false, errors.New("EndTxn was not sent, or did not arrive")
	}
	s.g.prepare(t, fate.markers)
	w.at("K6")
	w.pause() // the answer is on its way
	switch {
	case fate.deaf:
		return false, errors.New("EndTxn was applied, its answer lost")
	case fate.lie:
		s.rewind()
		return false, nil
	}
	for _, p := range places {
		if _, has := s.known[p.Partition]; has {
			s.known[p.Partition] = s.position[p.Partition]
		}
	}
	s.proc.committed = true
	return true, nil
}

func (s *session) Committed(context.Context) (map[int32]pipeline.Place, error) {
	g, out := s.g, map[int32]pipeline.Place{}
	g.w.until(func() bool { return g.stable(0) && g.stable(1) || g.txn(s.proc.name).epoch != s.epoch })
	for p, at := range g.committed {
		out[int32(p)] = at
	}
	return out, nil
}

func (s *session) Close() {
	s.closed = true
	s.changes = nil
}

// source is the pipeline's Log.
type source struct {
	g    *group
	proc *process // nil: read at one go
}

func (l source) Bounds(_ context.Context, topic string) ([]pipeline.Bound, error) {
	if topic == schemas.Configurations.Name {
		return []pipeline.Bound{{Start: 0, End: int64(len(l.g.config))}}, nil
	}
	var out []pipeline.Bound
	for p := range int32(partitions) {
		switch topic {
		case schemas.Facts.Name:
			out = append(out, pipeline.Bound{Partition: p, Start: 0, End: int64(len(l.g.visible[p]))})
		default:
			out = append(out, pipeline.Bound{Partition: p, Start: l.g.start[p], End: l.g.end[p]})
		}
	}
	return out, nil
}

// facts are the visible records of a partition of topic facts.
func (g *group) facts(p int32) (out []*kgo.Record) {
	for i, r := range g.visible[p] {
		if r.Topic == schemas.Facts.Name {
			c := *r
			c.Offset = int64(i)
			out = append(out, &c)
		}
	}
	return out
}

func (l source) Read(_ context.Context, topic string, p int32, from, to int64, fn func(*kgo.Record) error) error {
	var rs []*kgo.Record
	switch topic {
	case schemas.Configurations.Name:
		rs = l.g.config
	case schemas.Facts.Name:
		rs = l.g.facts(p)
	default:
		if rs = l.g.log[p]; from < l.g.start[p] && from < to {
			return pipeline.ErrBehindLog
		}
	}
	for _, r := range rs {
		if r.Offset < from || r.Offset >= to {
			continue
		}
		if l.proc != nil && l.g.w.rnd.IntN(3) == 0 {
			l.g.w.pause()
			if l.proc.takeReadFault() {
				return fmt.Errorf("partition %d: reading was cut at offset %d", p, r.Offset)
			}
		}
		if l.proc != nil && topic == schemas.Events.Name {
			l.g.w.at("K11")
		}
		if l.proc != nil && topic == schemas.Facts.Name {
			l.g.w.at("K12")
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// isControl reports whether a fact is of a control record.
func isControl(r *kgo.Record) bool {
	var f schemas.Fact
	return r.Topic == schemas.Facts.Name && schemas.Facts.Codec.Decode(r.Value, &f) == nil && f.Event.Kind == schemas.KindControl
}
