package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/schemas"
)

// flow is an open load: records are due at equal distances and are sent when they are due, however far behind the answers are. What is
// measured counts from the moment at which a record was due, not from when it could be sent, so that a system that stands still does not
// hide behind a producer that waits with it (coordinated omission). Both ends are in this process: one clock stamps them.
type flow struct {
	brokers []string
	records []*kgo.Record // in the order of sending
	ids     []string      // of the records' events, by index; nil: results come in their partition's order and carry no id
	rate    int           // records per second

	began time.Time
	mu    sync.Mutex // of what follows; promises run beside us
	sent  []sent     // by index
	bad   error      // the first record that could not be written
}

// sent is where a record stands.
type sent struct {
	partition int32
	offset    int64
	late      time.Duration // from due to handed to the client: the load's own fault
	there     bool
}

// seen is a result that a read_committed consumer was given.
type seen struct {
	partition int32
	id        string // of its event; empty where it carries none
	at        time.Duration
}

// arrival is one record's way; due and at count from the flow's beginning.
type arrival struct {
	partition int32 // of the result
	due, at   time.Duration
}

func (a arrival) millis() float64 { return float64(a.at-a.due) / 1e6 }

// due is when the i-th record is to be sent.
func (f *flow) due(i int) time.Duration {
	return time.Duration(int64(i) * int64(time.Second) / int64(f.rate))
}

// stalledFor is how long the flow waits for the next result: far above any recovery that the design allows.
const stalledFor = 30 * time.Second

// run sends everything and returns what arrived, by index. act, unless nil, runs beside it. It fails where a record could not be
// written, or has no result, or more than one, or act fails.
func (f *flow) run(ctx context.Context, act func(context.Context, *flow) error) ([]arrival, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reader, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...), kgo.ConsumeTopics(schemas.OperationRealtime), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.MetadataMinAge(20*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	defer reader.Close()
	writer, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(1_000_000), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	defer writer.Close()
	f.sent = make([]sent, len(f.records))
	f.began = time.Now()
	var beside sync.WaitGroup
	beside.Go(func() { f.send(ctx, writer) })
	if act != nil {
		beside.Go(func() {
			if err := act(ctx, f); err != nil {
				cancel(err)
			}
		})
	}
	results, err := f.read(ctx, reader)
	if err != nil {
		cancel(err)
	}
	beside.Wait()
	if err = errors.Join(err, f.bad); err != nil {
		return nil, err
	}
	return f.match(results)
}

// send hands each record over when it is due.
func (f *flow) send(ctx context.Context, client *kgo.Client) {
	for i, r := range f.records {
		if wait := f.due(i) - time.Since(f.began); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
		late := time.Since(f.began) - f.due(i)
		client.Produce(ctx, r, func(r *kgo.Record, err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if err != nil {
				f.bad = errors.Join(f.bad, fmt.Errorf("write a record of the load: %w", err))
				return
			}
			f.sent[i] = sent{partition: r.Partition, offset: r.Offset, late: late, there: true}
		})
	}
	_ = client.Flush(ctx) // what is not written says so in its promise
}

// read takes results until there are as many as records.
func (f *flow) read(ctx context.Context, client *kgo.Client) (all []seen, err error) {
	for len(all) < len(f.records) {
		wait, cancel := context.WithTimeout(ctx, f.due(len(f.records))-time.Since(f.began)+stalledFor)
		fetches := client.PollFetches(wait)
		cancel()
		at := time.Since(f.began)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(fetches.Err0(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("%d of %d results came, and no further one within %s of the last record", len(all), len(f.records), stalledFor)
		}
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read results: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			x := seen{partition: r.Partition, at: at}
			if f.ids != nil {
				x.id = subject(r.Value)
			}
			all = append(all, x)
		})
	}
	return all, nil
}

// match joins results and records: by id, or where there are none by their order in the partition.
func (f *flow) match(results []seen) ([]arrival, error) {
	if len(results) != len(f.records) {
		return nil, fmt.Errorf("%d results of %d records", len(results), len(f.records))
	}
	find := f.byOrder()
	if f.ids != nil {
		find = f.byID()
	}
	out := make([]arrival, len(f.records))
	for _, x := range results {
		i, ok := find(x)
		if !ok || out[i].at != 0 {
			return nil, fmt.Errorf("a result of event %q in partition %d is of no record, or not the first of it", x.id, x.partition)
		}
		out[i] = arrival{partition: x.partition, due: f.due(i), at: x.at}
	}
	return out, nil
}

func (f *flow) byID() func(seen) (int, bool) {
	index := make(map[string]int, len(f.ids))
	for i, id := range f.ids {
		index[id] = i
	}
	return func(x seen) (int, bool) {
		i, ok := index[x.id]
		return i, ok
	}
}

func (f *flow) byOrder() func(seen) (int, bool) {
	order := map[int32][]int{}
	for i, s := range f.sent {
		order[s.partition] = append(order[s.partition], i)
	}
	for _, o := range order {
		slices.SortFunc(o, func(a, b int) int { return int(f.sent[a].offset - f.sent[b].offset) })
	}
	return func(x seen) (int, bool) {
		o := order[x.partition]
		if len(o) == 0 {
			return 0, false
		}
		order[x.partition] = o[1:]
		return o[0], true
	}
}

// lateness is the load's own, ms, sorted.
func (f *flow) lateness() (ms []float64) {
	for _, s := range f.sent {
		ms = append(ms, float64(s.late)/1e6)
	}
	slices.Sort(ms)
	return ms
}

// subject is a structured CloudEvent's, which is the event's id; ids of the generator have nothing to escape.
func subject(value []byte) string {
	_, rest, _ := bytes.Cut(value, []byte(`"subject":"`))
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(id)
}

// load makes a flow's records of n events of so many customers: as producers send them (raw), or as topic events holds them.
func load(ctx context.Context, chain []operators.Operator, c generator.Config, raw bool) (records []*kgo.Record, ids []string, err error) {
	gen, err := generator.New(c)
	if err != nil {
		return nil, nil, err
	}
	it := new(operators.Item)
	for offset := int64(0); ctx.Err() == nil; offset++ {
		e, ok := gen.Next()
		if !ok {
			break
		}
		ids = append(ids, e.ID)
		if raw {
			records = append(records, &kgo.Record{Topic: e.Topic, Key: []byte(e.Key), Value: e.Value})
			continue
		}
		r, err := canonical(ctx, chain, it, e, offset)
		if err != nil {
			return nil, nil, err
		}
		records = append(records, r)
	}
	return records, ids, ctx.Err()
}

// canonical takes a producer's record through intake's operators into a record of topic events. It uses it.
func canonical(ctx context.Context, chain []operators.Operator, it *operators.Item, e generator.Event, offset int64) (*kgo.Record, error) {
	it.Reset()
	it.Value, it.Offset = e.Value, offset
	if err := operators.Run(ctx, chain, &operators.Batch{Topic: e.Topic, Items: []*operators.Item{it}}); err != nil {
		return nil, err
	}
	if it.Rejected {
		return nil, fmt.Errorf("BUG: a generated record was rejected: %s: %s", it.Reason, it.Detail)
	}
	value, err := schemas.Events.Codec.Append(nil, &it.Event)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: schemas.Events.Name, Key: schemas.CustomerKey(nil, it.Event.Team, it.Event.Customer), Value: value}, nil
}
