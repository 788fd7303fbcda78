package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// groupSession is the Session that kgo's GroupTransactSession makes.
type groupSession struct {
	gts       *kgo.GroupTransactSession
	group     string
	committer string // transactional id
	log       *slog.Logger
	cancel    context.CancelFunc // ends whatever the client still waits for

	lane     context.Context      //nolint:containedctx // ends when the lane is told to stop: what it still waits for then is given up
	produced *kgo.FirstErrPromise // of the open transaction

	mu      sync.Mutex
	admin   *kadm.Client            // for the client's own callbacks
	fetched map[int32]Place         // what the group committed of partitions that are being gained
	changes []Ownership             // since the lane last asked
	revoked bool                    // a partition was taken since the last transaction ended
	wake    context.CancelCauseFunc // ends the poll that waits
}

// newSession joins the group, for as long as ctx lasts, as a static member: a restarted process has its partitions back at once. It asks for its producer id before
// anything else: that fences its predecessor and ends what it left open. Left to the first batch, it would wait for offsets that stay
// unstable until that very transaction times out.
func newSession(ctx context.Context, env *Env, stage *topology.Stage, name string) (*groupSession, error) {
	s := &groupSession{group: stage.Group, committer: transactionalID(name), log: env.Log.With("stage", stage.Name, "lane", name), lane: ctx}
	own, cancel := context.WithCancel(context.Background()) // of the client's own requests; close ends it
	// Control records are kept for their offsets: a partition whose last record is a marker is committed behind it, else retention may
	// delete up to the end of the log and the committed offset is out of range for ever.
	gts, err := kgo.NewGroupTransactSession(append(SessionOpts(env, stage, name),
		kgo.WithContext(own), kgo.KeepControlRecords(), kgo.OnPartitionsAssigned(s.assigned), kgo.OnOffsetsFetched(s.offsetsFetched), kgo.AdjustFetchOffsetsFn(s.gained), kgo.OnPartitionsRevoked(s.lost), kgo.OnPartitionsLost(s.lost))...)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("kafka: %s: %w", name, err)
	}
	s.gts, s.cancel = gts, cancel
	asking, done := context.WithTimeout(ctx, requestTimeout+txnTimeout)
	defer done()
	if _, _, err := gts.Client().ProducerID(asking); err != nil {
		s.Close()
		return nil, fmt.Errorf("%w: %s: producer id: %w", errPoisoned, name, err)
	}
	return s, nil
}

// transactionalID is a lane's: stable, so that its successor under the same names ends what it left open.
func transactionalID(lane string) string { return "streamgauge-" + lane }

// SessionOpts are the client options of a lane's session, all but its callbacks. The bench gives them to the plain passthrough that the
// monitor is measured beside, so that the two differ in nothing but the work.
func SessionOpts(env *Env, stage *topology.Stage, name string) []kgo.Opt {
	return append(env.kafkaOpts(name),
		kgo.ConsumerGroup(stage.Group),
		kgo.ConsumeTopics(schemas.Events.Name),
		kgo.TransactionalID(transactionalID(name)),
		kgo.InstanceID("streamgauge-"+name),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.BlockRebalanceOnPoll(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionTimeout(txnTimeout),
		kgo.ConcurrentTransactionsBackoff(concurrentBackoff),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.FetchMaxWait(500*time.Millisecond),
	)
}

// offsetsFetched runs when the committed offsets of newly assigned partitions are known; gained follows.
func (s *groupSession) offsetsFetched(_ context.Context, cl *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admin, s.fetched = kadm.NewClient(cl), map[int32]Place{}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode == 0 { // the client deals with the others
					s.fetched[p.Partition] = placeOf(p.Partition, p.Offset, p.Metadata)
				}
			}
		}
	}
	return nil
}

// gained runs before any record of newly assigned partitions is polled. One that was never committed gets the log's first offset to begin
// at, in so many words: left to the client, an abort would go back to offset 0, which retention may have deleted.
func (s *groupSession) gained(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	s.mu.Lock()
	admin, fetched := s.admin, s.fetched
	s.mu.Unlock()
	gained := make([]Ownership, 0, len(fetched))
	var starts kadm.ListedOffsets
	for p, place := range fetched {
		o := Ownership{Partition: p, Gained: true, Committed: place}
		if place.Offset < 0 {
			if starts == nil {
				var err error
				if starts, err = admin.ListStartOffsets(ctx, schemas.Events.Name); err != nil {
					return nil, fmt.Errorf("topic %s: start offsets: %w", schemas.Events.Name, err)
				}
			}
			start, ok := starts.Lookup(schemas.Events.Name, p)
			if !ok || start.Err != nil {
				return nil, fmt.Errorf("topic %s partition %d: start offset: %w", schemas.Events.Name, p, start.Err)
			}
			o.Start = start.Offset
			offsets[schemas.Events.Name][p] = kgo.NewOffset().At(start.Offset)
		}
		gained = append(gained, o)
	}
	slices.SortFunc(gained, func(a, b Ownership) int { return int(a.Partition - b.Partition) })
	s.change(gained...)
	return offsets, nil
}

// change notes changes of ownership, and wakes the lane: it shall take them before the group makes the next one.
func (s *groupSession) change(changes ...Ownership) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, changes...)
	if s.wake != nil {
		s.wake(errOwnership)
	}
}

var errOwnership = errors.New("ownership changed")

func placeOf(partition int32, offset int64, metadata *string) Place {
	p := Place{Partition: partition, Offset: offset}
	if metadata != nil {
		p.Metadata = *metadata
	}
	return p
}

// lost runs when the group takes partitions. The client keeps a paused one paused, even when it comes back.
func (s *groupSession) lost(_ context.Context, cl *kgo.Client, parts map[string][]int32) {
	cl.ResumeFetchPartitions(parts)
	var changes []Ownership
	for _, ps := range parts {
		for _, p := range ps {
			changes = append(changes, Ownership{Partition: p})
		}
	}
	s.mu.Lock()
	s.revoked = true
	s.mu.Unlock()
	s.change(changes...)
}

// Owned implements Consumer.
func (s *groupSession) Owned() []Ownership {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.changes
	s.changes = nil
	return out
}

// Poll implements Consumer.
func (s *groupSession) Poll(ctx context.Context, wait time.Duration, limit int) (out Polled, err error) {
	if err := s.rearm(ctx); err != nil {
		return out, err
	}
	timed, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	polling, wake := context.WithCancelCause(timed)
	defer wake(nil)
	s.mu.Lock()
	s.wake = wake
	if len(s.changes) > 0 {
		wake(errOwnership)
	}
	s.mu.Unlock()
	fetches := s.gts.PollRecords(polling, limit)
	if out.Halted, err = fetchErrors(ctx, s.log, fetches); err != nil {
		return out, err
	}
	for _, e := range inflated(fetches) {
		out.Halted = append(out.Halted, &HaltError{Topic: e.Topic, Partition: e.Partition, Reason: fmt.Sprintf("offsets %d-%d are one batch of more than %d bytes, which intake never writes. Find out who did; the group goes on behind it once it has committed offset %d", e.Offset, e.NextOffset-1, maxInflated, e.NextOffset)})
	}
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		for i := range out.Parts {
			if p := &out.Parts[i]; p.Partition == f.Partition {
				p.Records = append(p.Records[:len(p.Records):len(p.Records)], f.Records...)
				return
			}
		}
		out.Parts = append(out.Parts, Records{Partition: f.Partition, Records: f.Records})
	})
	return out, nil
}

// rearm makes the client tell of the next revoke: after one it is silent until a transaction ends, and an idle lane begins none. There
// is none open here, and everything polled was committed, rewound or is paused, so this end only forgets.
func (s *groupSession) rearm(ctx context.Context) error {
	s.mu.Lock()
	revoked := s.revoked
	s.revoked = false
	s.mu.Unlock()
	if !revoked {
		return nil
	}
	if err := s.Abort(ctx); err != nil {
		return fmt.Errorf("%w: after a revoke: %w", errPoisoned, err)
	}
	return nil
}

// Allow implements Consumer.
func (s *groupSession) Allow() { s.gts.AllowRebalance() }

// Pause implements Consumer. The client drops what it has fetched of the partition.
func (s *groupSession) Pause(partition int32) {
	s.gts.Client().PauseFetchPartitions(map[string][]int32{schemas.Events.Name: {partition}})
}

// Resume implements Consumer. It also tells the client where an abort goes back to: one that never committed has no such place.
func (s *groupSession) Resume(partition int32, offset int64) {
	s.gts.Client().SetOffsets(map[string]map[int32]kgo.EpochOffset{schemas.Events.Name: {partition: {Epoch: -1, Offset: offset}}})
	s.gts.Client().ResumeFetchPartitions(map[string][]int32{schemas.Events.Name: {partition}})
}

// Begin implements Producer.
func (s *groupSession) Begin() error {
	s.produced = kgo.AbortingFirstErrPromise(s.gts.Client())
	return s.gts.Begin()
}

// Produce implements Producer.
func (s *groupSession) Produce(r *kgo.Record) { s.gts.Produce(s.lane, r, s.produced.Promise()) }

// Commit implements Producer.
func (s *groupSession) Commit(ctx context.Context, places []Place) (committed bool, err error) {
	if err := s.written(ctx); err != nil {
		kind := ErrUnwritten
		if errors.Is(err, kerr.MessageTooLarge) || isRefused(err) {
			kind = ErrRefused
		}
		if endErr := s.Abort(ctx); endErr != nil {
			return false, endErr
		}
		return false, fmt.Errorf("%w: %w", kind, err)
	}
	// The last transaction of a lane that is told to stop still ends, if that is quick.
	ctx, cancel := outlive(ctx, requestTimeout+txnTimeout)
	defer cancel()
	return s.gts.End(kgo.PreTxnCommitFnContext(ctx, func(req *kmsg.TxnOffsetCommitRequest) error { return setPlaces(req, places) }), kgo.TryCommit)
}

// setPlaces makes the client's request say what the lane has judged, which can be less than what was polled.
func setPlaces(req *kmsg.TxnOffsetCommitRequest, places []Place) error {
	set := 0
	for i := range req.Topics {
		t := &req.Topics[i]
		kept := t.Partitions[:0]
		for _, p := range t.Partitions {
			for _, at := range places {
				if at.Partition != p.Partition {
					continue
				}
				if at.Offset != p.Offset {
					p.LeaderEpoch = -1 // that of a later record
				}
				p.Offset, p.Metadata = at.Offset, &at.Metadata
				kept = append(kept, p)
				set++
			}
		}
		t.Partitions = kept
	}
	if set != len(places) {
		return fmt.Errorf("%w: %d places to commit, the client polled records of %d of them", errBug, len(places), set)
	}
	return nil
}

// Abort implements Producer.
func (s *groupSession) Abort(ctx context.Context) error {
	ctx, cancel := outlive(ctx, requestTimeout+txnTimeout)
	defer cancel()
	_, err := s.gts.End(ctx, kgo.TryAbort)
	return err
}

// Committed implements Session.
func (s *groupSession) Committed(ctx context.Context) (map[int32]Place, error) {
	ctx, cancel := outlive(ctx, requestTimeout)
	defer cancel()
	offsets, err := kadm.NewClient(s.gts.Client()).FetchOffsets(kadm.RequireStable(ctx), s.group)
	if err != nil {
		return nil, fmt.Errorf("committed offsets of group %s: %w", s.group, err)
	}
	out := map[int32]Place{}
	for p, o := range offsets[schemas.Events.Name] {
		if o.Err != nil {
			return nil, fmt.Errorf("committed offsets of group %s: partition %d: %w", s.group, p, o.Err)
		}
		out[p] = Place{Partition: p, Offset: o.At, Metadata: o.Metadata}
	}
	return out, nil
}

// written waits until every record of the open transaction is acknowledged, or one has failed. A lane that is told to stop gives up what
// is not acknowledged stopTimeout later, and with it the session: the client would keep the records for as long as no broker answers.
func (s *groupSession) written(ctx context.Context) error {
	done := make(chan struct{})
	defer close(done)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(stopTimeout):
			s.gts.Client().UnsafeAbortBufferedRecords()
		case <-done:
		}
	})
	defer stop()
	return s.produced.Err()
}

// stopTimeout is how long a lane that is told to stop goes on with what it has begun. Ending a transaction takes milliseconds; what takes
// longer is a broker that is away, or a rebalance that waits for lanes which have stopped already, and its records come again.
const stopTimeout = 2 * time.Second

// outlive is a context of at most d that ends stopTimeout after ctx does.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	stop := context.AfterFunc(ctx, func() {
		wait(longer, stopTimeout)
		cancel()
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// closeTimeout bounds the close: an orderly one takes milliseconds. What takes longer is a rebalance that was under way: the answer to
// JoinGroup comes when every member has joined, and lanes that stop together have not, for static members leave no group (10 to 70 s).
const closeTimeout = 500 * time.Millisecond

// Close implements Session. Everything that matters was ended or committed before.
func (s *groupSession) Close() {
	defer s.cancel()
	defer time.AfterFunc(closeTimeout, s.cancel).Stop()
	s.gts.CloseAllowingRebalance()
}
