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
	part    *partition
	items   []*operators.Item // one per record, in log order
	records []*kgo.Record     // by item
	bad     []error           // by item: why the record is no event; nil
	next    int64             // offset behind the last record
	chain   Chain             // of the partition, behind the last record
}

// add takes one record more.
func (b *batch) add(it *operators.Item, r *kgo.Record) {
	b.records, b.bad, b.items = append(b.records, r), append(b.bad, decodeEvent(it, r)), append(b.items, it)
}

// cut takes out the records from item i on.
func (b *batch) cut(i int) {
	b.next = b.records[i].Offset
	b.items, b.records, b.bad = b.items[:i], b.records[:i], b.bad[:i]
}

// ReasonUndecodable is the reason of a record of events that none of ours wrote.
const ReasonUndecodable = "undecodable"

// decode turns polled records into items and loads the customers that are not in memory. Partitions that cannot go on are held back or
// halted here, and their records left out. It changes no state, so an error here leaves nothing to undo.
func (l *Lane) decode(ctx context.Context, polled []Records) ([]*batch, error) {
	batches := make([]*batch, 0, len(polled))
	used := 0
	for _, part := range polled {
		p := l.parts[part.Partition]
		if p == nil {
			return nil, fmt.Errorf("%w: records of partition %d, which the group did not give", errPoisoned, part.Partition)
		}
		if !p.judging() {
			continue // paused; they come again
		}
		if l.full(p) {
			l.hold(p, fmt.Errorf("%d changed customers are not in the window store yet", p.unflushed()))
			continue
		}
		if first := part.Records[0].Offset; first < p.pos {
			return nil, fmt.Errorf("%w: partition %d goes back from offset %d to %d", errPoisoned, part.Partition, p.pos, first)
		}
		b := &batch{part: p}
		for _, r := range part.Records {
			b.next = r.Offset + 1
			if !r.Attrs.IsControl() {
				b.add(l.items.get(used), r)
				used++
			}
		}
		ok, err := l.ready(ctx, b)
		if err != nil {
			return nil, err
		}
		if ok {
			batches = append(batches, b)
		}
	}
	return batches, nil
}

// ready brings the batch's customers into memory. Where the window store does not answer, the batch ends before the first record whose
// customer is not there, and the partition is held back from it on. It reports whether anything can be judged.
func (l *Lane) ready(ctx context.Context, b *batch) (bool, error) {
	for {
		err := l.load(ctx, b)
		var stop *HaltError
		switch {
		case err == nil:
		case errors.Is(err, errRegressed):
			again, err := l.rebuild(ctx, b.part, err)
			if err != nil || !again.judging() {
				return false, err
			}
			b.part = again
			continue
		case errors.Is(err, errStoreAway):
			b.cut(b.firstMissing())
			l.hold(b.part, err)
			if b.next <= b.part.pos || len(b.items) == 0 {
				return false, nil
			}
		case errors.As(err, &stop):
			l.halt(b.part, stop)
			return false, nil
		default:
			return false, err
		}
		b.chain = b.part.chain
		for _, r := range b.records {
			b.chain = l.chains.next(b.chain, r)
		}
		return true, nil
	}
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

// judge takes the batches through the chain and produces what comes out. It answers those that go on: a batch whose partition had to be
// halted or held back has produced nothing and is undone.
func (l *Lane) judge(ctx context.Context, batches []*batch) (going []*batch, err error) {
	for n, b := range batches {
		if err := l.advance(ctx, b.part, l.Chain, b); err != nil {
			if err = l.drop(ctx, b, err); err != nil {
				return append(going, batches[n:]...), err
			}
			continue
		}
		going = append(going, b)
		for i, it := range b.items {
			if err := l.emit(b, i, it); err != nil {
				return append(going, batches[n+1:]...), err
			}
		}
	}
	return going, nil
}

// drop takes a batch out of the open transaction whose partition cannot go on: its records come again. It answers errors that are not the
// partition's alone.
func (l *Lane) drop(ctx context.Context, b *batch, why error) error {
	var stop *HaltError
	p := b.part
	switch {
	case ctx.Err() != nil:
		return why
	case errors.As(why, &stop):
		p.state.Rollback()
		l.halt(p, stop)
	case errors.Is(why, errStoreAway):
		p.state.Rollback()
		l.hold(p, why)
	case errors.Is(why, errRegressed):
		p.state.Rollback()
		again, err := l.rebuild(ctx, p, why)
		if err != nil {
			return err
		}
		if again.judging() {
			l.hold(again, why) // resuming sets the reader back to its position
		}
	default:
		return why
	}
	return nil
}

// advance takes a batch through a chain: in runs that hold each customer once, cut at control records, which switch the configuration.
func (l *Lane) advance(ctx context.Context, p *partition, chain []operators.Operator, b *batch) error {
	state := p.state
	run := func(items []*operators.Item) error {
		if err := l.supply(ctx, p, items); err != nil {
			return err
		}
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
		conf, err := l.Configs.get(ctx, it.Event.Control.Version, it.Event.Control.Digest)
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
