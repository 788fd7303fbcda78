package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/schemas"
)

// batch is what one poll brought of one partition.
type batch struct {
	part  *partition
	items []*operators.Item // one per record, in log order
	bad   []error           // by item: why the record is no event; nil
	next  int64             // offset behind the last record
}

// ReasonUndecodable is the reason of a record of events that none of ours wrote.
const ReasonUndecodable = "undecodable"

// decode turns polled records into items and loads the customers that are not in memory. It changes no state, so an error here leaves
// nothing to undo.
func (l *lane) decode(ctx context.Context, fetches kgo.Fetches) ([]*batch, error) {
	var batches []*batch
	used := 0
	var err error
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 || err != nil {
			return
		}
		p := l.parts[f.Partition]
		if p == nil {
			err = fmt.Errorf("%w: records of partition %d, which the group did not give", errPoisoned, f.Partition)
			return
		}
		if f.Records[0].Offset < p.pos {
			err = fmt.Errorf("%w: partition %d goes back from offset %d to %d", errPoisoned, f.Partition, p.pos, f.Records[0].Offset)
			return
		}
		b := &batch{part: p}
		for _, r := range f.Records {
			b.next = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			it := l.items.get(used)
			used++
			b.bad = append(b.bad, decodeEvent(it, r))
			b.items = append(b.items, it)
		}
		batches = append(batches, b)
	})
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		for err := l.load(ctx, b); err != nil; err = l.load(ctx, b) {
			if !errors.Is(err, errRegressed) {
				return nil, err
			}
			if err := l.rebuild(ctx, b.part, err); err != nil {
				return nil, err
			}
			b.part = l.parts[b.part.number]
		}
	}
	return batches, nil
}

// itemPool keeps items from poll to poll.
type itemPool []*operators.Item

// get returns the n-th item, emptied; n is at most one above the largest so far.
func (p *itemPool) get(n int) *operators.Item {
	if n == len(*p) {
		*p = append(*p, new(operators.Item))
	}
	(*p)[n].Reset()
	return (*p)[n]
}

// MaxEvent is the largest record of events, in bytes. What intake lets through is smaller: attributes of operators.MaxAttributes times
// two operators.MaxText, and some texts more, are 140 KiB. A larger one would make a fact that no broker takes.
const MaxEvent = 256 << 10

// decodeEvent fills an item from a record of events.
func decodeEvent(it *operators.Item, r *kgo.Record) error {
	it.Key, it.Value, it.Offset, it.Appended = r.Key, r.Value, r.Offset, r.Timestamp.UnixMilli()
	if len(r.Value) > MaxEvent {
		return fmt.Errorf("%d bytes, an event has at most %d", len(r.Value), MaxEvent)
	}
	err := schemas.Events.Codec.Decode(r.Value, &it.Event)
	if err == nil && it.Event.Kind != schemas.KindControl {
		it.Key = schemas.CustomerKey(make([]byte, 0, len(it.Event.Team)+1+len(it.Event.Customer)), it.Event.Team, it.Event.Customer)
	}
	return err
}

// judge takes the batches through the chain and produces what comes out.
func (l *lane) judge(ctx context.Context, batches []*batch, produced *kgo.FirstErrPromise) error {
	for _, b := range batches {
		if err := l.advance(ctx, b.part.state, l.stage.Chain, b); err != nil {
			return err
		}
		for i, it := range b.items {
			if err := l.emit(ctx, b, i, it, produced); err != nil {
				return err
			}
		}
	}
	return nil
}

// advance takes a batch through a chain: in runs that hold each customer once, cut at control records, which switch the configuration.
func (l *lane) advance(ctx context.Context, state *operators.State, chain []operators.Operator, b *batch) error {
	run := func(items []*operators.Item) error {
		return operators.Run(ctx, chain, &operators.Batch{Topic: schemas.Events.Name, Partition: state.Partition, Items: items, State: state})
	}
	var open []*operators.Item
	for i, it := range b.items {
		switch {
		case b.bad[i] != nil:
			it.Reject(ReasonUndecodable, b.bad[i].Error())
			if conf := state.Current(); conf != nil {
				it.Fact.Config = conf.Version
			}
			continue
		case it.Event.Kind != schemas.KindControl:
			if state.Current() == nil {
				return halt(state.Partition, "offset %d holds data, but no control record came before it: no configuration is in force. Publish one with `streamgauge apply DIR` into an empty log", it.Offset)
			}
			open = append(open, it)
			continue
		}
		if err := state.Runs(open, run); err != nil {
			return err
		}
		open = open[:0]
		conf, err := l.configs.get(ctx, it.Event.Control.Version, it.Event.Control.Digest)
		if err != nil {
			return halt(state.Partition, "control record at offset %d: %v", it.Offset, err)
		}
		reason := ""
		if !state.Switch(conf) {
			reason = "overtaken"
		}
		it.Settle(schemas.Applied, reason, "")
		it.Fact.Config = state.Current().Version
	}
	return state.Runs(open, run)
}

// emit produces an item's facts, its CloudEvent and its rejections, all to the partition that the event came from.
func (l *lane) emit(ctx context.Context, b *batch, i int, it *operators.Item, produced *kgo.FirstErrPromise) error {
	f := &it.Fact
	if f.Reason, f.Detail = it.Reason, it.Detail; it.Rejected {
		f.Outcome = schemas.Rejected
	}
	f.Event = it.Event
	o := output{lane: l, ctx: ctx, item: it, state: b.part.state, key: it.Key, produced: produced}
	origin := it.Event.Origin // people look for the input record, not for our copy of it
	if b.bad[i] != nil {
		f.Event.Reset() // half a decoded event is none
		o.key = nil     // and a stranger's key may be of any size
		origin = schemas.Origin{Topic: schemas.Events.Name, Partition: b.part.number, Offset: it.Offset}
	}
	if err := o.fact(f); err != nil {
		return err
	}
	if it.Result.Type != "" {
		o.produce(l.cloudEvent(it))
	}
	if it.Rejected {
		rejection := operators.Rejection(it, schemas.Events.Name, b.part.number, l.stage.Name)
		rejection.Origin = origin
		if err := o.rejection(&rejection); err != nil {
			return err
		}
	}
	for i := range it.Released {
		if err := o.released(&it.Released[i]); err != nil {
			return err
		}
	}
	return nil
}

// output produces what one item became.
type output struct {
	lane     *lane
	ctx      context.Context //nolint:containedctx // lives as long as one call of emit
	item     *operators.Item
	state    *operators.State
	key      []byte
	produced *kgo.FirstErrPromise
}

func (o *output) produce(r *kgo.Record) {
	r.Partition, r.Key = o.state.Partition, o.key
	o.lane.session.gts.Produce(o.ctx, r, o.produced.Promise())
}

// fact completes f by what is the record's own.
func (o *output) fact(f *schemas.Fact) error {
	f.Generation, f.Partition, f.Offset, f.Appended = o.state.Generation, o.state.Partition, o.item.Offset, o.item.Appended
	value, err := o.lane.encode(func(buf []byte) ([]byte, error) { return schemas.Facts.Codec.Append(buf, f) })
	if err != nil {
		return fmt.Errorf("%w: fact of offset %d: %w", errBug, o.item.Offset, err)
	}
	o.produce(&kgo.Record{Topic: schemas.Facts.Name, Value: value})
	return nil
}

func (o *output) rejection(r *schemas.Rejection) error {
	clip(r)
	value, err := o.lane.encode(func(buf []byte) ([]byte, error) { return schemas.RejectedRecords.Codec.Append(buf, r) })
	if err != nil {
		return fmt.Errorf("%w: rejection of offset %d: %w", errBug, o.item.Offset, err)
	}
	o.produce(&kgo.Record{Topic: schemas.RejectedRecords.Name, Value: value})
	return nil
}

// released produces the fact of a parked stateChange, and where it came to nothing its rejection with the event's own bytes.
func (o *output) released(f *schemas.Fact) error {
	f.Config = o.item.Fact.Config
	if err := o.fact(f); err != nil || f.Outcome != schemas.Rejected {
		return err
	}
	value, err := schemas.Events.Codec.Append(nil, &f.Event)
	if err != nil {
		return fmt.Errorf("%w: parked event at offset %d: %w", errBug, o.item.Offset, err)
	}
	return o.rejection(&schemas.Rejection{Origin: f.Event.Origin, Stage: o.lane.stage.Name, Reason: f.Reason, Detail: f.Detail, Key: o.key, Value: value})
}

// cloudEvent makes the record of a result, in the mode that the policy in force at its event asks for.
func (l *lane) cloudEvent(it *operators.Item) *kgo.Record {
	c, r := &it.Result, &kgo.Record{Topic: schemas.OperationRealtime}
	if it.Binary {
		for _, h := range c.BinaryHeaders() {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: []byte(h.Value)})
		}
		r.Value, _ = l.encode(func(buf []byte) ([]byte, error) { return c.AppendData(buf), nil })
		return r
	}
	r.Headers = structuredHeaders
	r.Value, _ = l.encode(func(buf []byte) ([]byte, error) { return c.AppendStructured(buf), nil })
	return r
}

// structuredHeaders are the same for every structured record; nobody writes to them.
var structuredHeaders = []kgo.RecordHeader{{Key: "content-type", Value: []byte(schemas.StructuredContentType)}}

// encode appends to the transaction's arena and returns what was appended, capped so that nothing grows into its neighbour. The arena
// is empty again when the transaction ends, when no record is in flight any more.
func (l *lane) encode(appendTo func([]byte) ([]byte, error)) ([]byte, error) {
	from := len(l.arena)
	out, err := appendTo(l.arena)
	if err != nil {
		return nil, err
	}
	l.arena = out
	return out[from:len(out):len(out)], nil
}
