package operators

import (
	"context"

	"github.com/streamgauge/streamgauge/schemas"
)

// Link says whose event it is and where it came from: organisation and origin, beside the team and the source that Decode took from the
// topic. The canonical customer is (team, customer id), the record key of topic events (schemas.CustomerKey). A customer that is not known
// is created by his first event, so there is nothing to look up; one input is one leg.
type Link struct {
	Organisation string // from the configuration; not empty
}

// Name is the step's name in topology and metrics.
func (Link) Name() string { return "link" }

// Process links every item; it rejects none and never fails.
func (l Link) Process(_ context.Context, b *Batch) error {
	for _, it := range b.Items {
		if it.Rejected {
			continue
		}
		e := &it.Event
		if l.Organisation == "" || e.Team == "" || e.Customer == "" {
			panic("BUG: link before decode and validate, or without an organisation")
		}
		e.Organisation = l.Organisation
		e.Origin = schemas.Origin{Topic: b.Topic, Partition: b.Partition, Offset: it.Offset}
	}
	return nil
}
