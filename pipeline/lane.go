package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
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
	flushes chan flushed // replies of flushes under way, with room for all of them

	underway int // flushes whose reply is still to be taken
	items    itemPool
	arena    []byte // encoded records of the open transaction
}

// LaneConfig is what a lane is made of.
type LaneConfig struct {
	Name       string // among all lanes of the group
	Stage      string
	Chain      []operators.Operator
	Generation int32  // of the topology
	TopicID    string // of topic events: another id is another log
	Monitor    topology.Monitor
	Configs    *Configurations
	Logger     *slog.Logger
	Surroundings
}

// NewLane makes a lane that has no partition yet.
func NewLane(c LaneConfig) *Lane { return &Lane{LaneConfig: c} }

// partition is what the lane keeps of one partition of events.
type partition struct {
	number    int32
	state     *operators.State
	pos       int64        // offset of the next record to judge; all below is committed
	base      store.Marker // what the store is believed to hold
	flushing  bool
	replaying bool      // the store must stand still: what it holds beyond base may be of a later configuration
	retryAt   time.Time // a failed flush waits until then
	dirtied   time.Time // when the oldest unflushed record was committed
}

// errPoisoned ends a session: whether its last transaction was committed is not known here.
var errPoisoned = errors.New("transaction outcome unknown")

// errRegressed is a store that holds less than it confirmed: a failover lost a suffix, or somebody emptied it.
var errRegressed = errors.New("window store went back")

// HaltError is a log or a store that the lane must not go on from; somebody has to look.
type HaltError struct {
	Topic     string
	Partition int32
	Reason    string
}

func (e *HaltError) Error() string {
	return fmt.Sprintf("topic %s partition %d halted: %s", e.Topic, e.Partition, e.Reason)
}

// halt is a HaltError of topic events.
func halt(partition int32, format string, args ...any) error {
	return &HaltError{Topic: schemas.Events.Name, Partition: partition, Reason: fmt.Sprintf(format, args...)}
}

// Run works until ctx ends or the lane must halt. A poisoned session is replaced by a new one under the same names.
func (l *Lane) Run(ctx context.Context) error {
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
	l.session, l.parts, l.flushes, l.underway = s, map[int32]*partition{}, make(chan flushed, 4096), 0
	l.arena = nil           // a client that was given up may still read the old one
	defer l.forgetFlushes() // the next session reads the store after the last flush of this one
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
	polled, pollErr := l.session.Poll(ctx, l.pollWait(), l.Monitor.MaxPoll)
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
		return h
	}
	if len(polled.Parts) > 0 {
		if err := l.transact(ctx, polled.Parts); err != nil {
			return err
		}
	}
	l.startFlushes(ctx, false)
	return nil
}

// pollWait is short while a flush is due or under way, so that its reply and its time are not missed.
func (l *Lane) pollWait() time.Duration {
	for _, p := range l.parts {
		if p.flushing || !p.level() {
			return max(time.Duration(l.Monitor.FlushEvery)/4, time.Millisecond)
		}
	}
	return time.Second
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
		p, err := l.recover(ctx, o.Partition, o.Committed.Offset)
		if err != nil {
			return err
		}
		l.parts[o.Partition] = p
	}
	return nil
}

// transact judges the polled records in one transaction.
func (l *Lane) transact(ctx context.Context, polled []Records) error {
	batches, err := l.decode(ctx, polled)
	if err != nil {
		return err
	}
	if err := l.session.Begin(); err != nil {
		return fmt.Errorf("%w: begin: %w", errPoisoned, err)
	}
	for _, b := range batches {
		b.part.state.Begin()
	}
	judged := l.judge(ctx, batches)
	committed, err := l.end(ctx, batches, judged == nil)
	l.arena = l.arena[:0]
	switch {
	case err != nil && !errors.Is(err, ErrUnwritten) && !errors.Is(err, ErrRefused):
		return fmt.Errorf("%w: end: %w", errPoisoned, err)
	case !committed:
		for _, b := range batches {
			b.part.state.Rollback()
		}
		return l.aborted(ctx, batches, errors.Join(judged, err))
	}
	for _, b := range batches {
		p := b.part
		if p.level() {
			p.dirtied = l.Clock.Now()
		}
		p.state.Commit()
		p.pos = b.next
	}
	return nil
}

// end ends the open transaction with what the batches have come to, or with nothing.
func (l *Lane) end(ctx context.Context, batches []*batch, commit bool) (committed bool, err error) {
	if !commit {
		return false, l.session.Abort(ctx)
	}
	places := make([]Place, len(batches))
	for i, b := range batches {
		places[i] = Place{Partition: b.part.number, Offset: b.next}
	}
	return l.session.Commit(ctx, places)
}

// aborted decides how it goes on after an abort for a reason, or for none that the lane knows of.
func (l *Lane) aborted(ctx context.Context, batches []*batch, reason error) error {
	switch {
	case reason == nil:
		return l.confirmAborted(ctx, batches)
	case !retriable(reason):
		return reason
	}
	l.Logger.Warn("transaction aborted, its records come again", "reason", reason)
	l.Clock.Sleep(ctx, firstPause)
	return nil
}

// confirmAborted asks the group whether a commit that came to nothing really did. Mostly a rebalance made an abort of it; but a broker
// may answer EndTxn with UNKNOWN_SERVER_ERROR and have applied it, and the client calls that an abort too.
func (l *Lane) confirmAborted(ctx context.Context, batches []*batch) error {
	places, err := l.session.Committed(ctx)
	if err != nil {
		return fmt.Errorf("%w: commit not confirmed, and neither its abort: %w", errPoisoned, err)
	}
	for _, b := range batches {
		if at := max(places[b.part.number].Offset, 0); at != b.part.pos {
			return fmt.Errorf("%w: partition %d stands at offset %d, this lane was told that it stayed at %d", errPoisoned, b.part.number, at, b.part.pos)
		}
	}
	l.Logger.Info("transaction aborted by a rebalance, its records come again")
	return nil
}

// retriable is an error after which the records come again. A halt, a mistake of ours and a record that no broker will ever take are
// not: the same would happen for ever.
func retriable(err error) bool {
	var halt *HaltError
	return !errors.As(err, &halt) && !errors.Is(err, errBug) && !errors.Is(err, ErrRefused)
}

// errBug marks what only a mistake of ours can cause.
var errBug = errors.New("BUG")
