package schemas_test

import (
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

func BenchmarkGUIDs(b *testing.B) {
	e := typicalFact().Event
	b.Run("assessment", func(b *testing.B) {
		b.ReportAllocs()
		for i := int64(0); b.Loop(); i++ {
			_ = schemas.AssessmentGUID(1, 2, i, &e)
		}
	})
	guid := schemas.AssessmentGUID(1, 2, 3, &e)
	completed := schemas.NewEventType("app.amlyze." + schemas.OperationCompleted)
	b.Run("event", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = completed.ID(guid)
		}
	})
	c := schemas.CloudEvent{Type: "app.amlyze." + schemas.OperationCompleted, Source: "https://x/y", Subject: "pay-0001234", ID: guid, Time: 1_700_000_000_123,
		Data: schemas.Assessment{GUID: guid, Stage: schemas.StageDone, InitialLevel: 1, FinalLevel: 1, DecisionType: "ACCEPTED"}}
	buf := make([]byte, 0, 4096)
	b.Run("structured", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = c.AppendStructured(buf)
		}
	})
	b.Run("time", func(b *testing.B) {
		for b.Loop() {
			_ = schemas.AppendTime(buf, c.Time)
		}
	})
}
