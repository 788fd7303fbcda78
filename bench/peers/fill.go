package peers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// The workload: a bank's traffic of which every record becomes an event that is assessed, so that each has one fact and one CloudEvent.
const (
	period            = 90 * 24 * time.Hour // event time that it covers, unless a bench says otherwise
	eventsPerCustomer = 100                 // in the period, whatever --events is, unless a bench says otherwise: windows are as full in a short bench as in a long one
	fewestCustomers   = 200                 // room for the patterns that the generator plants
)

// traffic is the generator's configuration of a workload that ends at now, ms.
func (c *Command) traffic(now int64) generator.Config {
	covers := cmp.Or(c.Period, period)
	g := generator.Default(now - (covers + time.Hour).Milliseconds())
	g.Events, g.Period, g.Customers = c.Events, covers, c.customers()
	g.Disorder = generator.Faults()
	g.Disorder.Repeats, g.Disorder.Conflicts, g.Disorder.Future, g.Disorder.BeyondRetention, g.Disorder.Poison = 0, 0, 0, 0, 0
	return g
}

func (c *Command) customers() int {
	if c.Customers > 0 {
		return c.Customers
	}
	return max(fewestCustomers, int(c.Events/eventsPerCustomer))
}

// filler writes the workload into topic events, in a transaction that stays open until release: until then a read_committed reader
// sees none of it.
type filler struct {
	client *kgo.Client
	open   bool // the transaction is

	mu    sync.Mutex // of what follows; promises run beside us
	parts map[int32]*span
	bytes int64 // of all values
	keys  int64 // bytes of all keys
}

// span is where one partition's events stand.
type span struct {
	first, next int64 // offsets; next is behind the last event
}

// holdTimeout is how long the transaction may stay open: below the brokers' default transaction.max.timeout.ms of 15 min, and far above
// the time that the largest workload takes.
const holdTimeout = 14 * time.Minute

// fill writes all events and returns when the brokers have them. The caller closes the filler; without a release before, the
// transaction is aborted.
func fill(ctx context.Context, brokers []string, chain []operators.Operator, gen *generator.Generator) (*filler, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID("streamgauge-bench-fill"), kgo.TransactionTimeout(holdTimeout),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(50_000),
		kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	f := &filler{client: client, parts: map[int32]*span{}}
	if err := f.write(ctx, chain, gen); err != nil {
		return nil, errors.Join(fmt.Errorf("fill topic %s: %w", schemas.Events.Name, err), f.close())
	}
	return f, nil
}

func (f *filler) write(ctx context.Context, chain []operators.Operator, gen *generator.Generator) error {
	if err := f.client.BeginTransaction(); err != nil {
		return err
	}
	f.open = true
	produced := kgo.AbortingFirstErrPromise(f.client)
	it := new(operators.Item)
	for offset := int64(0); ctx.Err() == nil; offset++ {
		e, ok := gen.Next()
		if !ok {
			break
		}
		r, err := canonical(ctx, chain, it, e, offset)
		if err != nil {
			return err
		}
		done := produced.Promise()
		f.client.Produce(ctx, r, func(r *kgo.Record, err error) {
			f.written(r, err)
			done(r, err)
		})
	}
	if err := f.client.Flush(ctx); err != nil {
		return err
	}
	return errors.Join(produced.Err(), ctx.Err())
}

func (f *filler) written(r *kgo.Record, err error) {
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.parts[r.Partition]
	if s == nil {
		s = &span{first: r.Offset}
		f.parts[r.Partition] = s
	}
	s.first, s.next = min(s.first, r.Offset), max(s.next, r.Offset+1)
	f.bytes, f.keys = f.bytes+int64(len(r.Value)), f.keys+int64(len(r.Key))
}

// release commits the transaction: the starting gun.
func (f *filler) release(ctx context.Context) error {
	if err := f.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit the events: %w", err)
	}
	f.open = false
	return nil
}

// close aborts what was not released.
func (f *filler) close() error {
	defer f.client.Close()
	if !f.open {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return f.client.EndTransaction(ctx, kgo.TryAbort)
}

// total is the number of events written.
func (f *filler) total() (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.parts {
		n += s.next - s.first
	}
	return n
}

// done is how many of them lie before the committed offsets.
func (f *filler) done(committed map[int32]int64) (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, s := range f.parts {
		n += max(0, min(committed[p], s.next)-s.first)
	}
	return n
}

// writeControls writes a control record of a configuration into every partition of events and returns their offsets.
func writeControls(ctx context.Context, c *topology.Config, s schemas.Snapshot) (offsets map[int32]int64, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	control := schemas.Event{Kind: schemas.KindControl, Organisation: c.Organisation, Control: schemas.Control{Version: s.Version, Digest: s.Digest()}}
	value, err := schemas.Events.Codec.Append(nil, &control)
	if err != nil {
		return nil, err
	}
	var records []*kgo.Record
	for p := range c.Kafka.Partitions {
		records = append(records, &kgo.Record{Topic: schemas.Events.Name, Partition: p, Value: value})
	}
	offsets = map[int32]int64{}
	for _, r := range client.ProduceSync(ctx, records...) {
		if r.Err != nil {
			return nil, fmt.Errorf("write control records: %w", r.Err)
		}
		offsets[r.Record.Partition] = r.Record.Offset
	}
	return offsets, nil
}

// intakeChain is intake's own way from a producer's record to an event.
func intakeChain(topo *topology.Topology) []operators.Operator {
	return topo.Stage(topology.StageIntake).Chain
}
