package operators_test

import (
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// Three payments within an hour are a hit; two features say what is measured at the event's own time.
const velocity = `
id: VEL
version: 1
name: Velocity
nature: AML
on: [payment]
when: count('1h', direction == 'OUT') >= 3
level: MEDIUM
score: 10
reason: "{count} payments"
---
features:
  - {name: n, expr: "count('1h')"}
`

func verdict(t *testing.T, f *schemas.Fact, want schemas.Verdict, atWatermark bool) {
	t.Helper()
	if len(f.Rules) != 1 || f.Rules[0].Verdict != want {
		t.Fatalf("%s: verdicts %v, want %s", f.Event.ID, f.Rules, want)
	}
	switch {
	case want == schemas.Hit && (len(f.Hits) != 1 || f.Hits[0].AtWatermark != atWatermark || f.Score != 10 || f.InitialLevel != schemas.LevelMedium):
		t.Fatalf("%s: hits %+v, score %d, level %s; want one, at the watermark: %v", f.Event.ID, f.Hits, f.Score, f.InitialLevel, atWatermark)
	case want != schemas.Hit && (len(f.Hits) != 0 || f.Score != 0):
		t.Fatalf("%s: hits %+v, score %d", f.Event.ID, f.Hits, f.Score)
	}
}

func TestLate_APatternThatALateEventCompletesIsFoundWhenItArrives(t *testing.T) {
	l := newLog(t, velocity)
	l.take(begin+2*hour, payment("a", begin+30*minute, 1))
	l.take(begin+2*hour, payment("b", begin+40*minute, 1))
	f, _ := l.take(begin+2*hour, payment("late", begin+20*minute, 1)) // alone in its own hour, third in that of the watermark
	verdict(t, &f, schemas.Hit, true)
	if !f.Late || feature(&f, "n") != "1" {
		t.Errorf("late %v, n %s; want the features at the event's own time", f.Late, feature(&f, "n"))
	}
	if f.Hits[0].Reason != "3 payments" {
		t.Errorf("reason %q does not show what the second judgement measured", f.Hits[0].Reason)
	}
}

func TestLate_NoSecondJudgementWhereNoWindowHoldsTheEvent(t *testing.T) {
	l := newLog(t, velocity)
	for i, id := range []string{"a", "b", "c"} {
		l.take(begin+5*hour, payment(id, begin+4*hour+int64(i), 1))
	}
	f, _ := l.take(begin+5*hour, payment("late", begin+hour, 1)) // the newest hour is a hit, but not this event's
	verdict(t, &f, schemas.NoHit, false)
	f, _ = l.take(begin+5*hour, payment("edge", begin+4*hour+2-hour, 1)) // time = watermark − W: outside
	verdict(t, &f, schemas.NoHit, false)
	f, _ = l.take(begin+5*hour, payment("in", begin+4*hour+3-hour, 1))
	verdict(t, &f, schemas.Hit, true)
}

func TestLate_AHitAtItsOwnTimeIsNoHitAtTheWatermark(t *testing.T) {
	l := newLog(t, velocity)
	l.take(begin+2*hour, payment("a", begin+10*minute, 1))
	l.take(begin+2*hour, payment("b", begin+11*minute, 1))
	l.take(begin+2*hour, payment("new", begin+30*minute, 1))
	f, _ := l.take(begin+2*hour, payment("late", begin+12*minute, 1))
	verdict(t, &f, schemas.Hit, false)
}

func TestLate_PriorLeavesTheLateEventOutAtTheWatermarkToo(t *testing.T) {
	l := newLog(t, `
{id: VEL, version: 1, name: Velocity, nature: AML, on: [payment], when: "prior.count('1h') >= 3", level: MEDIUM, score: 10, reason: "{count} earlier"}
`)
	l.take(begin+2*hour, payment("a", begin+30*minute, 1))
	l.take(begin+2*hour, payment("b", begin+40*minute, 1))
	f, _ := l.take(begin+2*hour, payment("late", begin+20*minute, 1)) // with itself there would be three
	verdict(t, &f, schemas.NoHit, false)
	f, _ = l.take(begin+2*hour, payment("later", begin+25*minute, 1))
	verdict(t, &f, schemas.Hit, true)
}
