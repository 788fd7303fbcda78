package operators

import (
	"context"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

// Assess turns the rules' level into an assessment: from the policy's level on a human is needed and the assessment stays open
// (pending), below it policy decides at once (completed). Guids, CloudEvent ids and times derive from the log.
type Assess struct{}

// Name implements Operator.
func (Assess) Name() string { return "assess" }

// Process implements Operator.
func (Assess) Process(_ context.Context, b *Batch) error {
	conf := b.State.Current()
	set := conf.Set
	for _, it := range b.Items {
		f := &it.Fact
		f.Outcome = schemas.Assessed
		f.Assessment = schemas.AssessmentGUID(b.State.Generation, b.State.Partition, it.Offset, &it.Event)
		eventType := &conf.pending
		switch {
		case f.InitialLevel >= set.Policy.HumanFrom:
			f.Stage = schemas.StageOpen
		default:
			f.Stage, f.FinalLevel, f.DecisionType = schemas.StageDone, f.InitialLevel, schemas.Accepted
			if set.FraudLevel(f) >= set.Policy.RejectFrom {
				f.DecisionType = schemas.DecisionRejected
			}
			eventType = &conf.completed
		}
		it.Result = schemas.CloudEvent{
			Type: eventType.Name, Source: set.Policy.CloudEvents.Source, Subject: it.Event.ID, ID: eventType.ID(f.Assessment), Time: it.Appended,
			Data: schemas.Assessment{GUID: f.Assessment, Stage: f.Stage, InitialLevel: f.InitialLevel, FinalLevel: f.FinalLevel, DecisionType: f.DecisionType},
		}
		it.Binary = set.Policy.CloudEvents.Mode == rule.Binary
	}
	return nil
}
