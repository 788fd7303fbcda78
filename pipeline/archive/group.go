package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errFenced says that the group has given the partition to somebody else, or is about to: stop without a further word.
var errFenced = errors.New("no longer the owner of the partition")

// commitTimeout bounds one commit. A commit is never cancelled earlier: one that is cut off may arrive late, behind the next owner's.
const commitTimeout = 10 * time.Second

// fetchWait bounds how long a broker holds a fetch that finds nothing. A partition that is resumed behind it waits as long: with the
// default of 5 s a log that is behind is stored at a fifth of its speed.
const fetchWait = 100 * time.Millisecond

// clientOpts are the client's settings: what the protocol needs stands behind what the caller gave, and so above it.
func (a *archive) clientOpts(ctx context.Context) []kgo.Opt {
	return append(append([]kgo.Opt{}, a.cfg.Kafka...),
		kgo.ConsumerGroup(a.cfg.Group),
		kgo.ServerSideBalancer(), // KIP-848, without InstanceID: the two together wait for the broker's timeout after a crash
		kgo.ConsumeTopics(a.cfg.Topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // the default would go on behind a gap in silence
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), // else records of a lost assignment could reach the next one of the same partition
		kgo.MetadataMinAge(20*time.Millisecond),
		kgo.FetchMaxWait(fetchWait),
		kgo.ProducerLinger(0),
		kgo.OnOffsetsFetched(func(_ context.Context, client *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
			return a.assign(ctx, client, resp)
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { a.release(lost[a.cfg.Topic], nil) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			a.release(lost[a.cfg.Topic], errFenced)
		}),
	)
}

// assign starts an assignment for every partition whose committed offset has come. Records follow only after it returned. Assignments
// live within ctx.
func (a *archive) assign(ctx context.Context, client *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			if t.Topic != a.cfg.Topic {
				continue
			}
			for _, c := range t.Partitions {
				if c.ErrorCode != 0 {
					continue // the client asks again, or reports it as a fetch error
				}
				metadata := ""
				if c.Metadata != nil {
					metadata = *c.Metadata
				}
				p, err := a.newAssignment(client, c.Partition, c.Offset, c.LeaderEpoch, metadata)
				if err != nil {
					a.failed(err)
					return err
				}
				a.start(ctx, p)
			}
		}
	}
	return nil
}

func (a *archive) newAssignment(client *kgo.Client, partition int32, offset int64, epoch int32, metadata string) (*assignment, error) {
	n, pending, err := parseIntent(offset, metadata)
	if err != nil {
		return nil, fmt.Errorf("group %s partition %d offset %d: %w; commit the offset without metadata to go on, if you know what is in the table",
			a.cfg.Group, partition, offset, err)
	}
	if pending && n.Topic != a.topic {
		return nil, fmt.Errorf("group %s partition %d offset %d: committed for topic id %s, but %s has %s: the topic was made anew;"+
			" delete the group's offsets and give the topology a new generation", a.cfg.Group, partition, offset, n.Topic, a.cfg.Topic, a.topic)
	}
	p := &assignment{archive: a, client: client, partition: partition, next: offset, epoch: epoch, settled: true, fresh: offset < 0, done: make(chan struct{})}
	p.queue = newQueue(client, a.cfg.Topic, partition, a.cfg.MaxBytes)
	if pending {
		p.pending = n.End
	}
	return p, nil
}

// start lets p run. An assignment of the same partition that is still there ends first: its successor begins at what was committed.
func (a *archive) start(ctx context.Context, p *assignment) {
	a.release([]int32{p.partition}, errFenced)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	ctx, p.cancel = context.WithCancelCause(ctx)
	a.owned[p.partition] = p
	p.queue.open()
	go func() {
		defer close(p.done)
		if err := p.run(ctx); err != nil {
			a.failed(err)
		}
	}()
}

// release ends the assignments of partitions, of none where the client has none to name, and waits for it. Why is errFenced where they
// belong to somebody else already: then nothing more is inserted or committed.
func (a *archive) release(partitions []int32, why error) {
	a.mu.Lock()
	var ending []*assignment
	for _, n := range partitions {
		if p := a.owned[n]; p != nil {
			ending = append(ending, p)
			delete(a.owned, n)
		}
	}
	a.mu.Unlock()
	for _, p := range ending {
		p.cancel(why)
	}
	for _, p := range ending {
		<-p.done
	}
}

// close ends every assignment in peace; none starts afterwards.
func (a *archive) close() {
	a.mu.Lock()
	a.closed = true
	all := slices.Collect(maps.Keys(a.owned))
	a.mu.Unlock()
	a.release(all, nil)
}

// commit records offset as the group's, with an intent or none, and waits for the answer. It fails with errFenced where this member has
// lost the partition; after any other error nothing is known and the same commit may be tried again.
func (p *assignment) commit(ctx context.Context, offset int64, n *intent) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	metadata := ""
	if n != nil {
		metadata = n.String()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				req.Topics[i].Partitions[j].Metadata = &metadata
			}
		}
		return nil
	})
	var answer error
	p.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{p.archive.cfg.Topic: {p.partition: {Epoch: p.epoch, Offset: offset}}},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			answer = commitError(resp, err)
		})
	if answer != nil {
		return fmt.Errorf("commit partition %d offset %d: %w", p.partition, offset, answer)
	}
	return nil
}

func commitError(resp *kmsg.OffsetCommitResponse, err error) error {
	if err == nil {
		err = errors.New("no answer for the partition")
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				err = kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	for _, fenced := range []error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.FencedMemberEpoch, kerr.FencedInstanceID} {
		if errors.Is(err, fenced) {
			return fmt.Errorf("%w: %w", errFenced, err)
		}
	}
	return err
}

// fetchError tells what a fetch error means: nil where the client goes on by itself.
func (a *archive) fetchError(e kgo.FetchError) error {
	var loss *kgo.ErrDataLoss
	switch {
	case errors.Is(e.Err, kerr.OffsetOutOfRange), errors.As(e.Err, &loss):
		return fmt.Errorf("%s partition %d: facts that are not in the table yet are gone from the log (retention is shorter than the archive was away,"+
			" or the log was cut): commit an offset that is there to go on without them: %w", e.Topic, e.Partition, e.Err)
	case errors.Is(e.Err, kerr.UnknownTopicID), errors.Is(e.Err, kerr.InconsistentTopicID):
		return fmt.Errorf("%s partition %d: the topic was made anew: %w", e.Topic, e.Partition, e.Err)
	case kerr.IsRetriable(e.Err), isGroupSession(e.Err):
		return nil
	}
	return fmt.Errorf("%s partition %d: %w", e.Topic, e.Partition, e.Err)
}

func isGroupSession(err error) bool {
	var session *kgo.ErrGroupSession
	return errors.As(err, &session)
}

// queue is what was polled for one partition and is not in a block yet. It takes whatever comes; above its limit it pauses the
// partition's fetches until half of it has been used.
type queue struct {
	pause, resume func()
	limit         int // bytes

	mu      sync.Mutex
	records []*kgo.Record
	bytes   int
	paused  bool
	filled  chan struct{} // holds one signal while there may be records
}

func newQueue(client *kgo.Client, topic string, partition int32, limit int) *queue {
	ps := map[string][]int32{topic: {partition}}
	return &queue{limit: limit, filled: make(chan struct{}, 1),
		pause: func() { client.PauseFetchPartitions(ps) }, resume: func() { client.ResumeFetchPartitions(ps) }}
}

// open undoes a pause that an earlier assignment of the partition has left.
func (q *queue) open() { q.resume() }

func (q *queue) push(records []*kgo.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.records = append(q.records, records...)
	for _, r := range records {
		q.bytes += size(r)
	}
	if q.bytes > q.limit && !q.paused {
		q.paused = true
		q.pause()
	}
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// pop moves records to into as long as more says so. more sees each record once it is the next.
func (q *queue) pop(into []*kgo.Record, more func(*kgo.Record) bool) []*kgo.Record {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.records) && more(q.records[n]) {
		q.bytes -= size(q.records[n])
		n++
	}
	into = append(into, q.records[:n]...)
	q.records = append([]*kgo.Record(nil), q.records[n:]...)
	if q.paused && q.bytes < q.limit/2 {
		q.paused = false
		q.resume()
	}
	return into
}

func size(r *kgo.Record) int { return len(r.Key) + len(r.Value) }
