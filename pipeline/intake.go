package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

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
		w.log.Warn("intake begins anew, uncommitted records come again", "retry_seconds", pause.Seconds(), "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
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
	if err := fetchError(w.log, fetches); err != nil {
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
	if used == 0 {
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
	return nil
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
			r.Topic, r.Key = schemas.RejectedRecords.Name, it.Key
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
