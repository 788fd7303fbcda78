package operators_test

import (
	"fmt"
	"testing"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

const counting = `
features:
  - {name: n, expr: "count('1d')"}
  - {name: sum, expr: "sum('1d', amount)"}
  - {name: declined, expr: "count('1d', state == 'DECLINED')"}
`

// expect checks a fact's outcome and reason, and its features where it is assessed.
func expect(t *testing.T, f schemas.Fact, outcome schemas.Outcome, reason string, features ...string) {
	t.Helper()
	if f.Outcome != outcome || f.Reason != reason {
		t.Fatalf("%s %s: outcome %s %q (%s), want %s %q", f.Event.Kind, f.Event.ID, f.Outcome, f.Reason, f.Detail, outcome, reason)
	}
	for i, name := range []string{"n", "sum", "declined"}[:len(features)] {
		if got := feature(&f, name); got != features[i] {
			t.Fatalf("%s: %s is %s, want %s", f.Event.ID, name, got, features[i])
		}
	}
}

// bothWays runs the test with and without a first transaction that is aborted: an undone change must leave nothing behind.
func bothWays(t *testing.T, rules string, test func(t *testing.T, l *log)) {
	for _, abort := range []bool{false, true} {
		t.Run(fmt.Sprintf("abort=%v", abort), func(t *testing.T) {
			l := newLog(t, rules)
			l.abort = abort
			test(t, l)
		})
	}
}

func TestStateChange_RetractsAndRestores(t *testing.T) {
	bothWays(t, counting, func(t *testing.T, l *log) {
		f, _ := l.take(begin, payment("a", begin, 10))
		expect(t, f, schemas.Assessed, "", "1", "10", "0")
		f, _ = l.take(begin+1, became("a", "DECLINED", begin+1))
		expect(t, f, schemas.Applied, "")
		f, _ = l.take(begin+2, payment("b", begin+2, 5))
		expect(t, f, schemas.Assessed, "", "1", "5", "1")
		f, _ = l.take(begin+3, became("a", "SUCCESSFUL", begin+3))
		expect(t, f, schemas.Applied, "")
		f, _ = l.take(begin+4, payment("c", begin+4, 1))
		expect(t, f, schemas.Assessed, "", "3", "16", "0")
	})
}

func TestStateChange_TheNewestTimedStateHoldsWhateverTheOrderOfArrival(t *testing.T) {
	bothWays(t, counting, func(t *testing.T, l *log) {
		l.take(begin, payment("a", begin, 10))
		f, _ := l.take(begin+9, became("a", "SUCCESSFUL", begin+9))
		expect(t, f, schemas.Applied, "")
		f, _ = l.take(begin+10, became("a", "DECLINED", begin+5))
		expect(t, f, schemas.Applied, operators.ReasonSuperseded)
		f, _ = l.take(begin+11, payment("b", begin+11, 5))
		expect(t, f, schemas.Assessed, "", "2", "15", "0")
		f, _ = l.take(begin+12, became("a", "DECLINED", begin+9)) // equal times: the later in the log
		expect(t, f, schemas.Applied, "")
		f, _ = l.take(begin+13, payment("c", begin+13, 1))
		expect(t, f, schemas.Assessed, "", "2", "6", "1")
	})
}

func TestStateChange_ARepeatIsADuplicate(t *testing.T) {
	bothWays(t, counting, func(t *testing.T, l *log) {
		l.take(begin, payment("a", begin, 10))
		l.take(begin+1, became("a", "DECLINED", begin+1))
		f, _ := l.take(begin+2, became("a", "DECLINED", begin+1))
		expect(t, f, schemas.Duplicate, "")
	})
}

func TestStateChange_BeforeItsEventIsHeldAndReleasedByIt(t *testing.T) {
	bothWays(t, counting, func(t *testing.T, l *log) {
		f, _ := l.take(begin, became("a", "DECLINED", begin+2))
		expect(t, f, schemas.Parked, operators.ReasonUnknownEvent)
		f, _ = l.take(begin, became("a", "SUCCESSFUL", begin+1))
		expect(t, f, schemas.Parked, operators.ReasonUnknownEvent)
		f, released := l.take(begin+1, payment("a", begin, 10))
		expect(t, f, schemas.Assessed, "", "0", "0", "1")
		if len(released) != 2 {
			t.Fatalf("%d facts of what the event released, want 2", len(released))
		}
		expect(t, released[0], schemas.Applied, "")
		expect(t, released[1], schemas.Applied, operators.ReasonSuperseded)
		for i, r := range released {
			if int(r.Seq) != i+1 || r.Event.Kind != schemas.KindStateChange || r.Event.ID != "a" || r.Event.Origin.Offset != int64(i)+1 {
				t.Errorf("released fact %d: seq %d of %s %s from offset %d", i, r.Seq, r.Event.Kind, r.Event.ID, r.Event.Origin.Offset)
			}
		}
		_, released = l.take(begin+2, payment("b", begin+2, 1))
		if len(released) > 0 {
			t.Errorf("released again: %v", released)
		}
	})
}

func TestStateChange_HeldForADayOfLogTimeThenRejected(t *testing.T) {
	bothWays(t, counting, func(t *testing.T, l *log) {
		l.take(begin, became("a", "DECLINED", begin))
		_, released := l.take(begin+day-1, payment("b", begin+day-1, 1)) // to the millisecond
		if len(released) > 0 {
			t.Fatalf("released before 24 h have passed: %v", released)
		}
		f, released := l.take(begin+day, payment("a", begin+day, 1))
		expect(t, f, schemas.Assessed, "", "2", "2", "0")
		if len(released) != 1 {
			t.Fatalf("%d facts of what expired, want 1", len(released))
		}
		expect(t, released[0], schemas.Rejected, operators.ReasonParkedExpired)
	})
}

func TestStateChange_TheHundredAndFirstHeldIsRejected(t *testing.T) {
	bothWays(t, counting, func(t *testing.T, l *log) {
		for i := range window.MaxHeld {
			f, _ := l.take(begin, became(fmt.Sprint(i), "DECLINED", begin))
			expect(t, f, schemas.Parked, operators.ReasonUnknownEvent)
		}
		f, _ := l.take(begin, became("x", "DECLINED", begin))
		expect(t, f, schemas.Rejected, operators.ReasonParkedOverflow)
		_, released := l.take(begin, payment("7", begin, 1))
		if len(released) != 1 {
			t.Fatalf("%d released, want 1", len(released))
		}
		f, _ = l.take(begin, became("x", "DECLINED", begin))
		expect(t, f, schemas.Parked, operators.ReasonUnknownEvent)
	})
}

func TestStateChange_BadOnesAreRejectedWithTheirReason(t *testing.T) {
	l := newLog(t, counting)
	l.take(begin, payment("a", begin, 1))
	f, _ := l.take(begin, became("a", "LOST", begin))
	expect(t, f, schemas.Rejected, operators.ReasonUnknownState)
	f, _ = l.take(begin, became("a", "DECLINED", begin+operators.FutureTolerance+1))
	expect(t, f, schemas.Rejected, operators.ReasonFuture)
	f, _ = l.take(begin, schemas.Event{Kind: schemas.KindStateChange, ID: "a", Side: schemas.SideOut, Time: begin})
	expect(t, f, schemas.Rejected, operators.ReasonUnknownState)
}

func TestStateChange_PastVerdictsStandAndTheWatermarkDoesNotMove(t *testing.T) {
	bothWays(t, counting, func(t *testing.T, l *log) {
		l.take(begin, payment("a", begin, 10))
		l.take(begin+hour, became("a", "DECLINED", begin+hour)) // a time far ahead of the payments
		f, _ := l.take(begin+hour, payment("b", begin+1, 1))
		if f.Late {
			t.Error("the stateChange moved the watermark: the payment counts as late")
		}
	})
}
