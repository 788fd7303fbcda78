package operators

import (
	"context"
	"sync"
)

// formats is the table of input formats. A decoder reads one record's bytes into p.event and states in p.faults what is wrong with
// them; what it takes out of the record is copied.
var formats = []struct {
	name   string
	decode func(p *parsed, value []byte)
}{
	{"spektr", decodeSpektr}, // envelope of the reference document; topic payments
	{"flat", decodeFlat},     // one object of scalars, a file's columns; topic transactions
}

// Decode turns an input record into an event by the format of the topic's source: intake's first step. It judges shape alone (JSON,
// types, enumerations, what is missing or unknown); ranges that hold for every format are Validate's. Any byte sequence ends as an event
// or as a rejection, in memory bounded by MaxValue, and every violation of a record is named at once. Process fails only on a topic
// without a source.
type Decode struct{ Sources Sources }

// Name is the step's name in topology and metrics.
func (Decode) Name() string { return "decode" }

// Process fills every item's event, with the team and the source that the topic belongs to.
func (d Decode) Process(_ context.Context, b *Batch) error {
	src, decode, err := d.Sources.of(b.Topic)
	if err != nil {
		return err
	}
	p := parsers.Get().(*parsed)
	defer p.release()
	for _, it := range b.Items {
		if it.Rejected {
			continue
		}
		it.Event.Reset()
		it.Event.Team, it.Event.Source = src.Team, src.Name
		p.begin(&it.Event)
		decode(p, it.Value)
		if p.faults.any() {
			it.Reject(p.faults.reason, p.faults.detail())
		}
	}
	return nil
}

var parsers = sync.Pool{New: func() any { return new(parsed) }}
