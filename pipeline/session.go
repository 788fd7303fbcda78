package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// session is one lane's member of the monitor group and its producer, whose transactions carry results, facts and offsets together.
// It is kgo's GroupTransactSession behind what the lane needs of it, so that another form can take its place. After an error of end it
// must be closed and made again under the same transactional id: the commit may have been applied, and going on writes a batch twice.
type session struct {
	gts    *kgo.GroupTransactSession
	cancel context.CancelFunc // ends whatever the client still waits for

	mu      sync.Mutex
	changes []ownership // since the lane last asked
}

// ownership is one change of what the lane owns.
type ownership struct {
	partition int32
	gained    bool
	committed int64 // of a gained partition: the group's committed offset, −1 for none
}

// newSession joins the group as a static member: a restarted process has its partitions back at once. It asks for its producer id before
// anything else: that fences its predecessor and ends what it left open. Left to the first batch, it would wait for offsets that stay
// unstable until that very transaction times out.
func newSession(ctx context.Context, env *Env, stage *topology.Stage, name string) (*session, error) {
	s := &session{}
	own, cancel := context.WithCancel(context.Background()) // of the client's own requests; close ends it
	// Control records are kept for their offsets: a partition whose last record is a marker is committed behind it, else retention may
	// delete up to the end of the log and the committed offset is out of range for ever.
	gts, err := kgo.NewGroupTransactSession(append(SessionOpts(env, stage, name),
		kgo.WithContext(own), kgo.KeepControlRecords(), kgo.OnOffsetsFetched(s.gained), kgo.OnPartitionsRevoked(s.lost), kgo.OnPartitionsLost(s.lost))...)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("kafka: %s: %w", name, err)
	}
	s.gts, s.cancel = gts, cancel
	ctx, done := context.WithTimeout(ctx, requestTimeout+txnTimeout)
	defer done()
	if _, _, err := gts.Client().ProducerID(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("%w: %s: producer id: %w", errPoisoned, name, err)
	}
	return s, nil
}

// SessionOpts are the client options of a lane's session, all but its callbacks. The bench gives them to the plain passthrough that the
// monitor is measured beside, so that the two differ in nothing but the work.
func SessionOpts(env *Env, stage *topology.Stage, name string) []kgo.Opt {
	return append(env.kafkaOpts(name),
		kgo.ConsumerGroup(stage.Group),
		kgo.ConsumeTopics(schemas.Events.Name),
		kgo.TransactionalID("streamgauge-"+name),
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

// gained runs when the committed offsets of newly assigned partitions are known, before any of their records is polled.
func (s *session) gained(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode == 0 { // the client deals with the others
					s.changes = append(s.changes, ownership{partition: p.Partition, gained: true, committed: p.Offset})
				}
			}
		}
	}
	return nil
}

func (s *session) lost(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ps := range parts {
		for _, p := range ps {
			s.changes = append(s.changes, ownership{partition: p})
		}
	}
}

// owned takes the changes of ownership since the last call, in order.
func (s *session) owned() []ownership {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.changes
	s.changes = nil
	return out
}

// poll waits at most wait for records; rebalances are blocked from here until allow.
func (s *session) poll(ctx context.Context, wait time.Duration, limit int) kgo.Fetches {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return s.gts.PollRecords(ctx, limit)
}

func (s *session) allow() { s.gts.AllowRebalance() }

func (s *session) begin() error { return s.gts.Begin() }

// end commits or aborts the open transaction. committed is false without an error where a rebalance or a broker made an abort of it:
// the consumer is rewound and the same records come again. An error is final for the session.
func (s *session) end(ctx context.Context, commit bool) (committed bool, err error) {
	// The last transaction of a lane that is told to stop still ends, if that is quick.
	ctx, cancel := outlive(ctx, requestTimeout+txnTimeout)
	defer cancel()
	return s.gts.End(ctx, kgo.TransactionEndTry(commit))
}

// written waits until every record of the open transaction is acknowledged, or one has failed. A lane that is told to stop gives up what
// is not acknowledged stopTimeout later, and with it the session: the client would keep the records for as long as no broker answers.
func (s *session) written(ctx context.Context, produced *kgo.FirstErrPromise) error {
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
	return produced.Err()
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

// close gives the client up. Everything that matters was ended or committed before.
func (s *session) close() {
	defer s.cancel()
	defer time.AfterFunc(closeTimeout, s.cancel).Stop()
	s.gts.CloseAllowingRebalance()
}
