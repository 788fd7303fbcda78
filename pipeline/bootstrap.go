package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
)

// Where the window store holds a partition no more and the log no longer reaches back to where that partition began, its facts do: a fact
// holds the whole event, its place and its append time, and every record of the log has one. So a bootstrap is a replay that reads the
// events out of the facts, and the log behind the last of them; the operators are the same, and so is every byte of the result.

// Past is where the facts of a partition are read that is to be built anew.
type Past interface {
	// Facts calls fn for the partition's facts of records below to, in the order of the records. It reports from which record on it is
	// complete: 0 for all. Facts of other generations are among them.
	Facts(ctx context.Context, partition int32, to int64, fn func(*schemas.Fact) error) (complete int64, err error)
}

// factsTopic is the Past that Kafka holds, for as long as it keeps the topic facts.
type factsTopic struct{ log Log }

// FactsTopic reads the past from topic facts.
func FactsTopic(log Log) Past { return factsTopic{log} }

// Facts implements Past. What the topic's retention has deleted is not known to be facts of which records, so a topic that does not begin
// at its first offset is complete from its first fact on.
func (t factsTopic) Facts(ctx context.Context, partition int32, to int64, fn func(*schemas.Fact) error) (complete int64, err error) {
	bounds, err := t.log.Bounds(ctx, schemas.Facts.Name)
	if err != nil {
		return 0, err
	}
	for _, b := range bounds {
		if b.Partition != partition {
			continue
		}
		first := true
		var f schemas.Fact
		err := t.log.Read(ctx, schemas.Facts.Name, partition, b.Start, b.End, func(r *kgo.Record) error {
			f.Reset()
			if err := schemas.Facts.Codec.Decode(r.Value, &f); err != nil {
				return fmt.Errorf("topic %s partition %d offset %d: %w", schemas.Facts.Name, partition, r.Offset, err)
			}
			if first && b.Start > 0 {
				complete = f.Offset
			}
			if first = false; f.Offset >= to {
				return nil
			}
			return fn(&f)
		})
		if b.Start > 0 && first {
			complete = to // nothing is left of it
		}
		return complete, err
	}
	return 0, fmt.Errorf("topic %s has no partition %d", schemas.Facts.Name, partition)
}

// bootstrap builds the windows of a partition from nothing: from its facts, and from the log behind them.
func (r *replay) bootstrap(ctx context.Context, began int64) error {
	l, p := r.lane, r.part
	l.Logger.Warn("partition is built from its facts, the log does not reach back", "partition", p.number, "to_offset", p.pos)
	p.state, p.base, p.replace = operators.NewState(l.Generation, p.number, nil), store.Marker{}, true
	p.chain, r.chained, r.next = Chain{}, p.pos, 0
	complete, err := l.Past.Facts(ctx, p.number, p.pos, func(f *schemas.Fact) error {
		if f.Generation != l.Generation || f.Seq > 0 || f.Offset < r.next || f.Event.Kind == 0 {
			return nil // what another record released, and what never was an event, the replay does or leaves out by itself
		}
		value, err := schemas.Events.Codec.Append(nil, &f.Event)
		if err != nil {
			return fmt.Errorf("%w: event of fact %d: %w", errBug, f.Offset, err)
		}
		return r.take(ctx, &kgo.Record{Topic: schemas.Events.Name, Partition: p.number, Offset: f.Offset, Timestamp: time.UnixMilli(f.Appended), Value: value})
	})
	if err != nil {
		return fmt.Errorf("partition %d: facts below offset %d: %w", p.number, p.pos, err)
	}
	start, err := l.logStart(ctx, p.number)
	if err != nil {
		return err
	}
	if complete > began {
		return halt(p.number, "the window store holds nothing of it, the log begins at offset %d and the facts at that of record %d, but it was judged from %d on: the windows cannot be rebuilt from here. Restore the topic %s or %s, or the window store; longer kafka.events_kept keeps this from happening", start, complete, began, schemas.Events.Name, schemas.Facts.Name)
	}
	r.next = max(r.next, start) // facts that are decided, but not visible yet, are the log's last
	return r.run(ctx)
}
