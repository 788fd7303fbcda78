package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/topology"
)

// Lane is one goroutine of stage monitor: a transactional session and the partitions that the group gave it. It shares no mutable
// state with other lanes.
//
// Delivery: every record of events has exactly one fact, and every assessed one exactly one CloudEvent, visible once to a
// read_committed reader, whatever dies when. Results, facts, rejections and the offsets commit in one Kafka transaction. The windows
// in memory follow the commit: an aborted transaction is undone, an unconfirmed one (any error of ending it) ends the session and all
// its state, and what was committed is read back from Kafka. The window store follows behind, and is never believed without its marker.
type Lane struct {
	LaneConfig

	session Session
	parts   map[int32]*partition
	replies chan func(context.Context) error // what work beside the lane came to, with room for all of it

	underway int // replies still to be taken
	items    itemPool
	chains   chainer
	pace     pace
	chunks   []operators.ChunkRef // of supply, reused
	arena    []byte               // encoded records of the open transaction
}

// LaneConfig is what a lane is made of.
type LaneConfig struct {
	Name       string // among all lanes of the group
	Stage      string
	Chain      []operators.Operator
	Generation int32  // of the topology
	Partitions int32  // of topic events
	TopicID    string // of topic events: another id is another log
	Committer  string // the session's transactional id
	Monitor    topology.Monitor
	Memory     int // bytes that the lane's windows may take
	Configs    *Configurations
	Halts      *Halts // shared by the lanes of a process
	Logger     *slog.Logger
	Surroundings
}

// NewLane makes a lane that has no partition yet.
func NewLane(c LaneConfig) *Lane { return &Lane{LaneConfig: c} }

// partition is what the lane keeps of one partition of events.
type partition struct {
	number int32
	place  Place // committed when the group gave it
	start  int64 // where it begins to be judged if the group never committed it

	state  *operators.State // nil until it is rebuilt
	pos    int64            // offset of the next record to judge; all below is committed
	chain  Chain            // over [from, pos)
	from   int64
	base   store.Marker // what the store is believed to hold
	flying []operators.Saved

	replace   bool // the next flush begins the partition anew: the store has lost some of it
	flushing  bool
	replaying bool      // the store must stand still: what it holds beyond base may be of a later configuration
	retryAt   time.Time // a failed flush waits until then
	dirtied   time.Time // when the oldest unflushed record was committed

	waiting waiting    // for the window store; its records are kept back
	halted  *HaltError // its records are kept back until somebody has looked
	saidAt  time.Time  // when that was last said
}

// judging reports whether records of the partition can be taken.
func (p *partition) judging() bool { return p.state != nil && !p.waiting.on && p.halted == nil }

// errPoisoned ends a session: whether its last transaction was committed is not known here.
var errPoisoned = errors.New("transaction outcome unknown")

// errStoreAway is a window store that does not answer.
var errStoreAway = errors.New("window store does not answer")

// errRegressed is a store that holds less than it confirmed: a failover lost a suffix, or somebody emptied it.
var errRegressed = errors.New("window store went back")

// Run works until ctx ends or the lane must halt. A poisoned session is replaced by a new one under the same names.
func (l *Lane) Run(ctx context.Context) error {
	var fences fences
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		began := l.Clock.Now()
		err := l.runSession(ctx)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errPoisoned):
			if l.Clock.Now().Sub(began) > sessionTimeout {
				pause = firstPause
			}
			l.Logger.Warn("session ends and begins anew, its state is read back", "reason", err)
			l.Clock.Sleep(ctx, pause)
		case errors.Is(err, errFenced) && !fences.again(l.Clock.Now()):
			l.Logger.Warn("session ends and begins anew: another one joined under its name, or a join of an earlier one came late", "reason", err)
			l.Clock.Sleep(ctx, pause)
		case err != nil:
			return fmt.Errorf("lane %s: %w", l.Name, err)
		}
	}
	return nil
}

// Pauses between attempts at what failed.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 2 * time.Second
)

func (l *Lane) runSession(ctx context.Context) error {
	s, err := l.Join(ctx)
	if err != nil {
		return err
	}
	l.session, l.parts, l.replies, l.underway = s, map[int32]*partition{}, make(chan func(context.Context) error, 4096), 0
	l.pace = newPace(l.Monitor.MaxPoll)
	l.arena = nil           // a client that was given up may still read the old one
	defer l.forgetReplies() // the next session reads the store after the last flush of this one
	defer l.Halts.forget(l)
	defer s.Close()
	for ctx.Err() == nil {
		if err := l.turn(ctx); err != nil {
			return err
		}
	}
	l.flushAll(ctx)
	return nil
}

// turn is one round: what the group gave or took, one poll, one transaction.
func (l *Lane) turn(ctx context.Context) error {
	if rest := l.pace.rest(l.Clock.Now()); rest > 0 {
		l.Clock.Sleep(ctx, rest)
	}
	polled, pollErr := l.session.Poll(ctx, l.pollWait(), l.pace.limit)
	defer l.session.Allow()
	if err := l.takeOwnership(ctx); err != nil { // before the replies: one of a partition that is gone decides nothing
		return err
	}
	if err := l.takeReplies(ctx); err != nil {
		return err
	}
	if pollErr != nil {
		return pollErr
	}
	for _, h := range polled.Halted {
		if p := l.parts[h.Partition]; p != nil {
			l.halt(p, h)
		}
	}
	if err := l.transact(ctx, polled.Parts); err != nil {
		return err
	}
	if err := l.tend(ctx); err != nil {
		return err
	}
	l.startFlushes(ctx, false)
	l.evict()
	return l.Halts.verdict(l)
}

// pollWait is short while a flush or a probe is due or under way, so that its reply and its time are not missed.
func (l *Lane) pollWait() time.Duration {
	if l.underway > 0 {
		return max(time.Duration(l.Monitor.FlushEvery)/4, time.Millisecond)
	}
	longest := time.Second
	for _, p := range l.parts {
		switch {
		case p.waiting.on:
			longest = min(longest, max(p.waiting.until.Sub(l.Clock.Now()), time.Millisecond))
		case p.state != nil && !p.level():
			longest = min(longest, max(time.Duration(l.Monitor.FlushEvery)/4, time.Millisecond))
		}
	}
	return longest
}

// sorted are the lane's partitions by number: nothing that happens may depend on the order of a map.
func (l *Lane) sorted() []*partition {
	out := make([]*partition, 0, len(l.parts))
	for _, p := range l.parts {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *partition) int { return int(a.number - b.number) })
	return out
}

// evict gives back what the partitions take beyond the lane's memory, each an equal share, as far as the window store holds it.
func (l *Lane) evict() {
	for _, p := range l.sorted() {
		if p.state != nil && p.state.Bytes() > l.Memory/len(l.parts) {
			p.state.Evict(l.Memory / len(l.parts))
		}
	}
}

func (l *Lane) takeOwnership(ctx context.Context) error {
	for _, o := range l.session.Owned() {
		if p := l.parts[o.Partition]; p != nil {
			l.startFlush(ctx, p) // a planned move: the next owner has nothing to replay, or finds this behind its back, as an earlier flush
		}
		delete(l.parts, o.Partition) // also of a gained one: what was kept from an earlier time is not current
		if !o.Gained {
			continue
		}
		p := &partition{number: o.Partition, place: o.Committed, start: o.Start}
		l.parts[o.Partition] = p
		if err := l.open(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// errBug marks what only a mistake of ours can cause.
var errBug = errors.New("BUG")
