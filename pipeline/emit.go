package pipeline

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/schemas"
)

// emit produces an item's facts, its CloudEvent and its rejections, all to the partition that the event came from.
func (l *Lane) emit(b *batch, i int, it *operators.Item) error {
	f := &it.Fact
	if f.Reason, f.Detail = it.Reason, it.Detail; it.Rejected {
		f.Outcome = schemas.Rejected
	}
	f.Event = it.Event
	o := output{lane: l, state: b.part.state, item: it, key: it.Key}
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
		rejection := operators.Rejection(it, schemas.Events.Name, b.part.number, l.Stage)
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
	lane  *Lane
	state *operators.State
	item  *operators.Item
	key   []byte
}

func (o *output) produce(r *kgo.Record) {
	r.Partition, r.Key = o.state.Partition, o.key
	o.lane.session.Produce(r)
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
	return o.rejection(&schemas.Rejection{Origin: f.Event.Origin, Stage: o.lane.Stage, Reason: f.Reason, Detail: f.Detail, Key: o.key, Value: value})
}

// cloudEvent makes the record of a result, in the mode that the policy in force at its event asks for.
func (l *Lane) cloudEvent(it *operators.Item) *kgo.Record {
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
func (l *Lane) encode(appendTo func([]byte) ([]byte, error)) ([]byte, error) {
	from := len(l.arena)
	out, err := appendTo(l.arena)
	if err != nil {
		return nil, err
	}
	l.arena = out
	return out[from:len(out):len(out)], nil
}
