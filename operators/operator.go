package operators

import (
	"context"
	"fmt"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// Operator is one step of a stage. Process works on the batch in place: it fills the items and rejects or settles those that cannot go
// on; the runner sweeps them out before the next operator sees the batch. An error is not about one event: the whole batch is retried
// or the lane ends, as the error's type says.
type Operator interface {
	Name() string
	Process(ctx context.Context, b *Batch) error
}

// Batch is what one partition yielded in one poll, or a part of it. Items are in log order.
type Batch struct {
	Topic     string
	Partition int32
	Items     []*Item
	State     *State // the partition's customers and configuration; nil in intake
}

// Item is one record on its way through a stage. It is reused: nothing of it outlives the batch but what an operator copies.
type Item struct {
	// The record as it came.
	Key, Value []byte
	Headers    []schemas.Attribute
	Offset     int64 // in the topic that the stage reads
	Appended   int64 // ms; the broker's timestamp of the record

	Event schemas.Event

	Rejected bool // the item leaves the chain; Reason and Detail say why
	Settled  bool // the item leaves the chain; its fact is complete
	Reason   string
	Detail   string

	// Monitor's part.
	Fact   schemas.Fact       // what became of the event; its Event is filled when the fact is written
	Rules  rule.Frame         // what the rules read
	Result schemas.CloudEvent // what alerting consumers get; empty Type: nothing
	Binary bool               // the result goes out in CloudEvents' binary mode

	// Released are the facts of the parked stateChanges that this record released or outlived, by Seq from 1; complete but for what is
	// the record's own: generation, partition, offset, append time, configuration.
	Released []schemas.Fact

	customer  *Customer
	id        uint64 // window.IDHash
	place     window.Place
	again     []schemas.Measured // of a late event, at the watermark
	watermark int64
}

// Reset empties the item for the next record and keeps its memory.
func (it *Item) Reset() {
	it.Key, it.Value, it.Headers = nil, nil, it.Headers[:0]
	it.Offset, it.Appended = 0, 0
	it.Rejected, it.Settled, it.Reason, it.Detail = false, false, "", ""
	it.Event.Reset()
	it.Fact.Reset()
	it.Result, it.Binary = schemas.CloudEvent{}, false
	it.customer, it.id = nil, 0
	clear(it.Released)
	it.Released = it.Released[:0]
}

// Reject takes the item out of the chain. Reason is a code, detail the values and the way out.
func (it *Item) Reject(reason, detail string) {
	it.Rejected, it.Reason, it.Detail = true, reason, detail
}

// Settle takes the item out of the chain as good: its fact needs no further operator.
func (it *Item) Settle(o schemas.Outcome, reason, detail string) {
	it.Settled, it.Reason, it.Detail = true, reason, detail
	it.Fact.Outcome = o
}

// Run passes the batch through the chain and sweeps out rejected and settled items behind every operator. The batch's Items end up
// holding what reached the end; the caller keeps its own list of all of them.
func Run(ctx context.Context, chain []Operator, b *Batch) error {
	for _, op := range chain {
		if len(b.Items) == 0 {
			return nil
		}
		if err := op.Process(ctx, b); err != nil {
			return fmt.Errorf("%s: partition %d offsets %d-%d: %w", op.Name(), b.Partition, b.Items[0].Offset, b.Items[len(b.Items)-1].Offset, err)
		}
		rest := b.Items[:0]
		for _, it := range b.Items {
			if !it.Rejected && !it.Settled {
				rest = append(rest, it)
			}
		}
		b.Items = rest
	}
	return nil
}
