package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamgauge/streamgauge/schemas"
)

// A lane that dies between sending its offsets and ending the transaction leaves them unstable: whoever gets its partitions waits until
// the brokers abort that transaction, 8 s after it began and up to 10 s more until they look. A successor under the same names ends it by
// asking for its producer id. Another one learns the name here, from what the last commit said of itself, and asks for that id in its
// place: the transaction is aborted at once, and a predecessor that is not dead but slow is fenced.

const (
	// takeoverGrace is how long a transaction must have been open. A planned move leaves offsets unstable too, for the milliseconds until
	// the brokers have written the markers; ending that lane's next transaction would cost a live session.
	takeoverGrace = 300 * time.Millisecond
	takeoverPause = 25 * time.Millisecond
	// takeoverTimeout bounds the whole attempt; the client waits for stable offsets afterwards, as long as it takes.
	takeoverTimeout = 5 * time.Second
)

// assigned runs when the group has given partitions and before the client asks for their committed offsets.
func (s *groupSession) assigned(ctx context.Context, cl *kgo.Client, parts map[string][]int32) {
	if len(parts[schemas.Events.Name]) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, takeoverTimeout)
	defer cancel()
	t := &takeover{cl: cl, group: s.group, own: s.committer, partitions: parts[schemas.Events.Name], seen: map[string]openTransaction{}}
	for began := time.Now(); ctx.Err() == nil; wait(ctx, takeoverPause) {
		unstable, err := t.unstable(ctx)
		switch {
		case err != nil:
			s.log.Warn("takeover: committed offsets cannot be read, trying on", "error", err)
			continue
		case len(unstable) == 0:
			return
		}
		committers, err := t.committers(ctx, unstable)
		if err != nil {
			s.log.Warn("takeover: who committed last cannot be read, trying on", "error", err)
			continue
		}
		if t.watch(ctx, committers); time.Since(began) < takeoverGrace {
			continue
		}
		for _, id := range t.stuck(committers) {
			if err := t.end(ctx, id); err != nil {
				s.log.Warn("takeover: a predecessor's open transaction cannot be ended, trying on", "transactional_id", id, "error", err)
				continue
			}
			s.log.Warn("takeover: a predecessor's open transaction is ended", "transactional_id", id, "partitions", unstable)
			delete(t.seen, id)
		}
	}
}

// takeover is one attempt.
type takeover struct {
	cl         *kgo.Client
	group, own string
	partitions []int32
	seen       map[string]openTransaction // by transactional id, as first seen
}

// openTransaction tells one transaction of an id from its next: brokers raise the epoch with each, older ones show when it began.
type openTransaction struct {
	producer int64
	epoch    int16
	began    int64
	since    time.Time
}

// unstable are the partitions whose committed offsets a transaction holds open.
func (t *takeover) unstable(ctx context.Context) (out []int32, err error) {
	places, err := t.fetch(ctx, true)
	for p, code := range places {
		switch err := kerr.ErrorForCode(code.ErrorCode); {
		case errors.Is(err, kerr.UnstableOffsetCommit):
			out = append(out, p)
		case err != nil:
			return nil, fmt.Errorf("partition %d: %w", p, err)
		}
	}
	slices.Sort(out)
	return out, err
}

// committers are the transactional ids that the last commits of partitions name, without our own: that one's open transactions ended
// when this session began.
func (t *takeover) committers(ctx context.Context, unstable []int32) (ids []string, err error) {
	places, err := t.fetch(ctx, false)
	if err != nil {
		return nil, err
	}
	for _, p := range unstable {
		if places[p].Metadata == nil {
			continue
		}
		n, err := parseNote(*places[p].Metadata)
		if err != nil || n == nil || n.Committer == t.own || slices.Contains(ids, n.Committer) {
			continue // recover says what is wrong with it
		}
		ids = append(ids, n.Committer)
	}
	return ids, nil
}

// fetch asks the group for its committed offsets.
func (t *takeover) fetch(ctx context.Context, stable bool) (map[int32]kmsg.OffsetFetchResponseGroupTopicPartition, error) {
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.Partitions = schemas.Events.Name, t.partitions
	known, err := kadm.NewClient(t.cl).ListTopics(ctx, schemas.Events.Name)
	if err != nil {
		return nil, err
	}
	topic.TopicID = known[schemas.Events.Name].ID
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group, group.Topics = t.group, append(group.Topics, topic)
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable, req.Groups = stable, append(req.Groups, group)
	resp, err := req.RequestWith(ctx, t.cl)
	if err != nil {
		return nil, err
	}
	out := map[int32]kmsg.OffsetFetchResponseGroupTopicPartition{}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return nil, err
		}
		for _, rt := range g.Topics {
			for _, p := range rt.Partitions {
				out[p.Partition] = p
			}
		}
	}
	return out, nil
}

// watch notes which transactions the ids have open now.
func (t *takeover) watch(ctx context.Context, ids []string) {
	described, err := kadm.NewClient(t.cl).DescribeTransactions(ctx, ids...)
	if err != nil {
		return // the next round sees it
	}
	for _, id := range ids {
		d, ok := described[id]
		if !ok || d.Err != nil || d.State != "Ongoing" {
			delete(t.seen, id)
			continue
		}
		now := openTransaction{producer: d.ProducerID, epoch: d.ProducerEpoch, began: d.StartTimestamp, since: time.Now()}
		if was, ok := t.seen[id]; !ok || was.producer != now.producer || was.epoch != now.epoch || was.began != now.began {
			t.seen[id] = now
		}
	}
}

// stuck are the ids that have had one and the same transaction open for takeoverGrace.
func (t *takeover) stuck(ids []string) (out []string) {
	for _, id := range ids {
		if open, ok := t.seen[id]; ok && time.Since(open.since) >= takeoverGrace {
			out = append(out, id)
		}
	}
	return out
}

// end asks for an id's producer id, which aborts its open transaction and fences who has it.
func (t *takeover) end(ctx context.Context, id string) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &id, int32(txnTimeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = -1, -1
	for {
		resp, err := req.RequestWith(ctx, t.cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if !errors.Is(err, kerr.ConcurrentTransactions) || ctx.Err() != nil { // the abort is under way
			return err
		}
		wait(ctx, takeoverPause)
	}
}
