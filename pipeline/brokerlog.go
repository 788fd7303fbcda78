package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// brokerLog is the Log on the brokers.
type brokerLog struct {
	env   *Env
	admin *kadm.Client
}

// Bounds implements Log.
func (l *brokerLog) Bounds(ctx context.Context, topic string) ([]Bound, error) {
	starts, err := l.admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("topic %s: start offsets: %w", topic, err)
	}
	ends, err := l.admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("topic %s: end offsets: %w", topic, err)
	}
	var out []Bound
	for _, end := range ends[topic] {
		start, _ := starts.Lookup(topic, end.Partition)
		if end.Err != nil || start.Err != nil {
			return nil, fmt.Errorf("topic %s partition %d: offsets: %w", topic, end.Partition, errors.Join(start.Err, end.Err))
		}
		out = append(out, Bound{Partition: end.Partition, Start: start.Offset, End: end.Offset})
	}
	return out, nil
}

// Read implements Log by a client of its own.
func (l *brokerLog) Read(ctx context.Context, topic string, partition int32, from, to int64, fn func(*kgo.Record) error) error {
	if from >= to {
		return nil
	}
	cl, err := kgo.NewClient(append(l.env.kafkaOpts("reader"), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer cl.Close()
	for position := from; position < to; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			if errors.Is(err, kerr.OffsetOutOfRange) {
				err = ErrBehindLog
			}
			return fmt.Errorf("topic %s partition %d at offset %d: %w", topic, partition, position, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Offset >= to {
				return nil
			}
			position = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// readTopic calls fn for every committed record of a topic up to its end as of now.
func readTopic(ctx context.Context, log Log, topic string, fn func(*kgo.Record) error) error {
	bounds, err := log.Bounds(ctx, topic)
	if err != nil {
		return err
	}
	for _, b := range bounds {
		if err := log.Read(ctx, topic, b.Partition, b.Start, b.End, fn); err != nil {
			return err
		}
	}
	return nil
}
