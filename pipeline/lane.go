package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// lane is one goroutine of stage monitor: a transactional session and the partitions that the group gave it. It shares no mutable
// state with other lanes.
//
// Delivery: every record of events has exactly one fact, and every assessed one exactly one CloudEvent, visible once to a
// read_committed reader, whatever dies when. Results, facts, rejections and the offsets commit in one Kafka transaction. The windows
// in memory follow the commit: an aborted transaction is undone, an unconfirmed one (any error of End) ends the session and all its
// state, and what was committed is read back from Kafka. The window store follows behind, and is never believed without its marker.
type lane struct {
	env     *Env
	name    string
	stage   *topology.Stage
	configs *configurations
	store   store.Store
	topicID string
	log     *slog.Logger

	session *session
	parts   map[int32]*partition
	flushes chan flushed // replies of flushes under way, with room for all of them
	flying  sync.WaitGroup

	underway int // flushes whose reply is still to be taken
	items    itemPool
	arena    []byte // encoded records of the open transaction
}

// partition is what the lane keeps of one partition of events.
type partition struct {
	number    int32
	state     *operators.State
	pos       int64        // offset of the next record to judge; all below is committed
	base      store.Marker // what the store is believed to hold
	replace   bool         // the next flush begins the partition anew: the store has lost some of it
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

// run works until ctx ends or the lane must halt. A poisoned session is replaced by a new one under the same names.
func (l *lane) run(ctx context.Context) error {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		began := time.Now()
		err := l.runSession(ctx)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errPoisoned):
			if time.Since(began) > sessionTimeout {
				pause = firstPause
			}
			l.log.Warn("session ends and begins anew, its state is read back", "reason", err)
			wait(ctx, pause)
		case err != nil:
			return fmt.Errorf("lane %s: %w", l.name, err)
		}
	}
	return nil
}

// Pauses between attempts at what failed.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 2 * time.Second
)

// wait sleeps for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (l *lane) runSession(ctx context.Context) error {
	s, err := newSession(ctx, l.env, l.stage, l.name)
	if err != nil {
		return err
	}
	l.session, l.parts, l.flushes, l.underway = s, map[int32]*partition{}, make(chan flushed, 4096), 0
	l.arena = nil         // a client that was given up may still read the old one
	defer l.flying.Wait() // the next session reads the store after the last flush of this one
	defer s.close()
	for ctx.Err() == nil {
		if err := l.turn(ctx); err != nil {
			return err
		}
	}
	l.flushAll(ctx)
	return nil
}

// turn is one round: what the group gave or took, one poll, one transaction.
func (l *lane) turn(ctx context.Context) error {
	fetches := l.session.poll(ctx, l.pollWait(), l.env.Config.Monitor.MaxPoll)
	defer l.session.allow()
	if err := l.takeOwnership(ctx); err != nil { // before the replies: one of a partition that is gone decides nothing
		return err
	}
	if err := l.takeReplies(ctx); err != nil {
		return err
	}
	if err := fetchError(ctx, l.log, fetches); err != nil {
		return err
	}
	for _, e := range inflated(fetches) {
		return halt(e.Partition, "offsets %d-%d are one batch of more than %d bytes, which intake never writes. Find out who did; the group goes on behind it once it has committed offset %d", e.Offset, e.NextOffset-1, maxInflated, e.NextOffset)
	}
	if fetches.NumRecords() > 0 {
		if err := l.transact(ctx, fetches); err != nil {
			return err
		}
	}
	l.startFlushes(ctx, false)
	return nil
}

// pollWait is short while a flush is due or under way, so that its reply and its time are not missed.
func (l *lane) pollWait() time.Duration {
	for _, p := range l.parts {
		if p.flushing || !p.level() {
			return max(time.Duration(l.env.Config.Monitor.FlushEvery)/4, time.Millisecond)
		}
	}
	return time.Second
}

func (l *lane) takeOwnership(ctx context.Context) error {
	for _, o := range l.session.owned() {
		if p := l.parts[o.partition]; p != nil {
			l.startFlush(ctx, p) // a planned move: the next owner has nothing to replay, or finds this behind its back, as an earlier flush
		}
		delete(l.parts, o.partition) // also of a gained one: what was kept from an earlier time is not current
		if !o.gained {
			continue
		}
		p, err := l.recover(ctx, o.partition, o.committed)
		if err != nil {
			return err
		}
		l.parts[o.partition] = p
	}
	return nil
}

// transact judges the polled records in one transaction.
func (l *lane) transact(ctx context.Context, fetches kgo.Fetches) error {
	batches, err := l.decode(ctx, fetches)
	if err != nil {
		return err
	}
	if err := l.session.begin(); err != nil {
		return fmt.Errorf("%w: begin: %w", errPoisoned, err)
	}
	for _, b := range batches {
		b.part.state.Begin()
	}
	produced := kgo.AbortingFirstErrPromise(l.session.gts.Client())
	if err = l.judge(ctx, batches, produced); err == nil {
		err = l.session.written(ctx, produced)
	}
	committed, endErr := l.session.end(ctx, err == nil)
	l.arena = l.arena[:0]
	switch {
	case endErr != nil:
		return fmt.Errorf("%w: end: %w", errPoisoned, endErr)
	case !committed:
		for _, b := range batches {
			b.part.state.Rollback()
		}
		if err == nil {
			return l.confirmAborted(ctx, batches)
		}
		if !retriable(err) {
			return err
		}
		l.log.Warn("transaction aborted, its records come again", "reason", err)
		wait(ctx, firstPause)
		return nil
	}
	for _, b := range batches {
		p := b.part
		if p.level() {
			p.dirtied = time.Now()
		}
		p.state.Commit()
		p.pos = b.next
	}
	return nil
}

// confirmAborted asks the group whether a commit that came to nothing really did. Mostly a rebalance made an abort of it; but a broker
// may answer EndTxn with UNKNOWN_SERVER_ERROR and have applied it, and the client calls that an abort too.
func (l *lane) confirmAborted(ctx context.Context, batches []*batch) error {
	ctx, cancel := outlive(ctx, requestTimeout)
	defer cancel()
	offsets, err := kadm.NewClient(l.session.gts.Client()).FetchOffsets(kadm.RequireStable(ctx), l.stage.Group)
	if err != nil {
		return fmt.Errorf("%w: commit not confirmed, and neither its abort: %w", errPoisoned, err)
	}
	for _, b := range batches {
		at := int64(0)
		if o, ok := offsets.Lookup(schemas.Events.Name, b.part.number); ok {
			if o.Err != nil {
				return fmt.Errorf("%w: commit not confirmed, and neither its abort: %w", errPoisoned, o.Err)
			}
			at = max(o.At, 0)
		}
		if at != b.part.pos {
			return fmt.Errorf("%w: partition %d stands at offset %d, this lane was told that it stayed at %d", errPoisoned, b.part.number, at, b.part.pos)
		}
	}
	l.log.Info("transaction aborted by a rebalance, its records come again")
	return nil
}

// retriable is an error after which the records come again. A halt, a mistake of ours and a record that no broker will ever take are
// not: the same would happen for ever.
func retriable(err error) bool {
	var halt *HaltError
	return !errors.As(err, &halt) && !errors.Is(err, errBug) && !errors.Is(err, kerr.MessageTooLarge) && !isRefused(err)
}

// errBug marks what only a mistake of ours can cause.
var errBug = errors.New("BUG")
