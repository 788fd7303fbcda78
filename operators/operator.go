package operators

import (
	"context"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

// Operator is one step of a stage. Process works on the batch in place: it fills the items and rejects those that cannot go on; the
// runner sweeps rejected items out before the next operator sees the batch. An error is not about one event: the whole batch is retried
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
	Fact  schemas.Fact // monitor: what became of the event

	Rejected bool // the item leaves the chain; Reason and Detail say why
	Reason   string
	Detail   string

	run  run        // monitor: what enrich measured for evaluate
	Rule rule.Frame // monitor: what the rules read
}

// Reject takes the item out of the chain. Reason is a code, detail the values and the way out.
func (it *Item) Reject(reason, detail string) {
	it.Rejected, it.Reason, it.Detail = true, reason, detail
}
