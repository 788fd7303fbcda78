package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// intakeWorker is one member of stage intake. It keeps no state and delivers at least once: offsets are committed after everything
// that the records became is acknowledged by all in-sync replicas, so a crash between the two writes some events twice, with the same
// origin, and monitor knows them.
type intakeWorker struct {
	env   *Env
	stage *topology.Stage
	name  string
	log   *slog.Logger

	items itemPool
}

// intakePoll bounds the records of one round, and with them what a crash delivers twice.
const intakePoll = 5000

// run works until ctx ends. A client that cannot write or commit is replaced; the records since the last commit come again.
func (w *intakeWorker) run(ctx context.Context) error {
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 5*time.Second) {
		began := time.Now()
		err := w.runClient(ctx)
		var halt *HaltError
		if ctx.Err() != nil || errors.As(err, &halt) || errors.Is(err, errBug) {
			return err
		}
		if time.Since(began) > time.Minute {
			pause = 100 * time.Millisecond
		}
		if errors.Is(err, errPassedOver) {
			w.log.Warn("a batch is passed over, intake begins anew behind it", "reason", err)
			continue
		}
		w.log.Warn("intake begins anew, uncommitted records come again", "retry_seconds", pause.Seconds(), "error", err)
		wait(ctx, pause)
	}
	return nil
}

func (w *intakeWorker) runClient(ctx context.Context) error {
	cl, err := kgo.NewClient(append(w.env.kafkaOpts(w.name),
		kgo.ConsumerGroup(w.stage.Group),
		kgo.ConsumeTopics(w.stage.From...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ServerSideBalancer(),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(sessionTimeout),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.MaxBufferedRecords(4*intakePoll),
	)...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer cl.CloseAllowingRebalance()
	for ctx.Err() == nil {
		if err := w.round(ctx, cl); err != nil {
			return err
		}
	}
	return nil
}

// round takes one poll through the chain, waits until all of it is written, and commits.
func (w *intakeWorker) round(ctx context.Context, cl *kgo.Client) error {
	defer cl.AllowRebalance()
	fetches := cl.PollRecords(ctx, intakePoll)
	if ctx.Err() != nil {
		return nil
	}
	if err := fetchError(ctx, w.log, fetches); err != nil {
		return err
	}
	produced := kgo.AbortingFirstErrPromise(cl)
	used := 0
	var err error
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if err == nil && len(f.Records) > 0 {
			err = w.partition(ctx, cl, f, used, produced)
			used += len(f.Records)
		}
	})
	if err != nil {
		return err
	}
	bombs := inflated(fetches)
	for _, e := range bombs {
		if err := w.refuse(ctx, cl, e, produced); err != nil {
			return err
		}
	}
	if used == 0 && len(bombs) == 0 {
		return nil
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := produced.Err(); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if len(bombs) > 0 {
		return passOver(ctx, cl, bombs)
	}
	return nil
}

// errPassedOver ends a client whose position is in front of a batch that it cannot read; the next one begins behind it.
var errPassedOver = errors.New("passed over")

// refuse produces the one rejection of a batch that nobody can unpack here. Its bytes stay where they are.
func (w *intakeWorker) refuse(ctx context.Context, cl *kgo.Client, e *kgo.ErrDecompressTooLarge, produced *kgo.FirstErrPromise) error {
	rejection := schemas.Rejection{Origin: schemas.Origin{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset}, Stage: w.stage.Name, Reason: operators.ReasonTooLarge,
		Detail: fmt.Sprintf("offsets %d-%d are one compressed batch of more than %d bytes; they are only in topic %s. Send them again in smaller batches", e.Offset, e.NextOffset-1, maxInflated, e.Topic)}
	value, err := schemas.RejectedRecords.Codec.Append(nil, &rejection)
	if err != nil {
		return fmt.Errorf("%w: %s partition %d offset %d: %w", errBug, e.Topic, e.Partition, e.Offset, err)
	}
	cl.Produce(ctx, &kgo.Record{Topic: schemas.RejectedRecords.Name, Value: value}, produced.Promise())
	return nil
}

// passOver commits the places behind batches and always fails, with errPassedOver where that is done.
func passOver(ctx context.Context, cl *kgo.Client, bombs []*kgo.ErrDecompressTooLarge) error {
	behind := map[string]map[int32]kgo.EpochOffset{}
	for _, e := range bombs {
		if behind[e.Topic] == nil {
			behind[e.Topic] = map[int32]kgo.EpochOffset{}
		}
		behind[e.Topic][e.Partition] = kgo.EpochOffset{Epoch: e.Epoch, Offset: e.NextOffset}
	}
	err := errors.New("no answer")
	cl.CommitOffsetsSync(ctx, behind,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, commitErr error) {
			if err = commitErr; err != nil {
				return
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
				}
			}
		})
	if err != nil {
		return fmt.Errorf("commit behind a batch: %w", err)
	}
	return fmt.Errorf("%w: %d of more than %d bytes, the first is %w", errPassedOver, len(bombs), maxInflated, bombs[0])
}

// maxKept is how many bytes of a record's key and value its rejection repeats: all of a record that came uncompressed, for that fits in
// a broker's default of 1 MiB. One that came compressed can be larger than any topic takes.
const maxKept = 1 << 20

// clip cuts a rejection's copy of the record to maxKept and says so.
func clip(r *schemas.Rejection) {
	k, v := len(r.Key), len(r.Value)
	if k+v <= maxKept {
		return
	}
	r.Key = r.Key[:min(k, maxKept/2)]
	r.Value = r.Value[:min(v, maxKept-len(r.Key))]
	r.Detail += fmt.Sprintf("; of %d bytes of key and %d of value the first %d and %d are here, all of them in topic %s", k, v, len(r.Key), len(r.Value), r.Origin.Topic)
}

// partition takes one partition's records through the chain and produces events and rejections.
func (w *intakeWorker) partition(ctx context.Context, cl *kgo.Client, f kgo.FetchTopicPartition, used int, produced *kgo.FirstErrPromise) error {
	all := make([]*operators.Item, len(f.Records))
	for i, r := range f.Records {
		it := w.items.get(used + i)
		all[i] = it
		it.Key, it.Value, it.Offset, it.Appended = r.Key, r.Value, r.Offset, r.Timestamp.UnixMilli()
	}
	b := &operators.Batch{Topic: f.Topic, Partition: f.Partition, Items: slices.Clone(all)}
	if err := operators.Run(ctx, w.stage.Chain, b); err != nil {
		return fmt.Errorf("%w: %w", errBug, err)
	}
	for _, it := range all {
		r := &kgo.Record{Topic: schemas.Events.Name}
		var err error
		if it.Rejected {
			rejection := operators.Rejection(it, f.Topic, f.Partition, w.stage.Name)
			clip(&rejection)
			r.Topic, r.Key = schemas.RejectedRecords.Name, rejection.Key
			r.Value, err = schemas.RejectedRecords.Codec.Append(nil, &rejection)
		} else {
			r.Key = schemas.CustomerKey(nil, it.Event.Team, it.Event.Customer)
			r.Value, err = schemas.Events.Codec.Append(make([]byte, 0, 256), &it.Event)
		}
		if err != nil {
			return fmt.Errorf("%w: %s partition %d offset %d: %w", errBug, f.Topic, f.Partition, it.Offset, err)
		}
		cl.Produce(ctx, r, produced.Promise())
	}
	return nil
}
