package oracle

import (
	"fmt"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// states is a configuration that shows what counts and what state it has.
func states() Config {
	is := func(state string) func(*Past) bool {
		return func(p *Past) bool { return p.Is(schemas.FieldState, state) }
	}
	cfg := plain(day,
		Feature{Name: "n", Func: Count, Window: hour}, Feature{Name: "sum", Func: Sum, Window: hour},
		Feature{Name: "declined", Func: Sum, Window: hour, Where: is("DECLINED"), States: true},
		Feature{Name: "sent", Func: Sum, Window: hour, Where: is("SENT"), States: true})
	cfg.Uncounted = append(cfg.Uncounted, "REFUNDED")
	return cfg
}

// sums expects the three sums of a last event.
func (l *log) sums(what string, w Want, sum, declined, sent string) {
	l.t.Helper()
	l.expect(what, w, schemas.Assessed, "")
	l.feature(what, w, "sum", sum)
	l.feature(what, w, "declined", declined)
	l.feature(what, w, "sent", sent)
}

// freed expects the facts that the last record released.
func (l *log) freed(what string, want ...string) {
	l.t.Helper()
	var got []string
	for i := range l.released {
		r := &l.released[i]
		if r.Seq != int32(i)+1 || r.Offset != l.offset-1 {
			l.t.Errorf("%s: released at offset %d seq %d, want %d and %d", what, r.Offset, r.Seq, l.offset-1, i+1)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s", r.Event.ID, r.Event.State, r.Outcome, r.Reason))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		l.t.Errorf("%s: released %q, want %q", what, got, want)
	}
}

func TestState_ARetractedEventLeavesEveryAggregateAndComesBack(t *testing.T) {
	l := newLog(t, states())
	l.step(pay("a", 0, 1))
	l.step(pay("b", minute, 10))
	l.expect("retraction", l.step(stateOf("a", 2*minute, "DECLINED")), schemas.Applied, "")
	w := l.step(pay("c", 3*minute, 100))
	l.sums("without a", w, "110", "1", "0")
	l.feature("without a", w, "n", "2")
	l.expect("restoration", l.step(stateOf("a", 4*minute, "SENT")), schemas.Applied, "")
	l.sums("with a, whose state is known now", l.step(pay("d", 5*minute, 1000)), "1111", "0", "1")
	l.expect("another one that does not count", l.step(stateOf("a", 6*minute, "REFUNDED")), schemas.Applied, "")
	l.sums("neither DECLINED nor SENT", l.step(pay("e", 6*minute, 0)), "1110", "0", "0")
	if w := l.step(stateOf("b", -hour, "SENT")); w.Late || w.Features != nil || w.Assessment != "" {
		t.Errorf("a stateChange is judged, or late: %+v", w)
	}
	l.sums("a time before the event's own is newer than none", l.step(pay("f", 6*minute, 0)), "1110", "0", "10")
}

func TestState_TheNewestTimedHoldsAndOfEqualTimesTheLaterInTheLog(t *testing.T) {
	l := newLog(t, states())
	l.step(with(pay("a", 0, 1), schemas.FieldState, "SENT"))
	l.expect("older than the event's own", l.step(stateOf("a", -1, "DECLINED")), schemas.Applied, "superseded")
	l.expect("the event's own once more", l.step(stateOf("a", 0, "SENT")), schemas.Applied, "")
	l.expect("and now a repeat", l.step(stateOf("a", 0, "SENT")), schemas.Duplicate, "")
	l.expect("of the event's own time", l.step(stateOf("a", 0, "DECLINED")), schemas.Applied, "")
	l.sums("the later in the log wins", l.step(pay("b", 0, 0)), "0", "1", "0")
	l.expect("newer", l.step(stateOf("a", 2, "SENT")), schemas.Applied, "")
	l.expect("between", l.step(stateOf("a", 1, "REFUNDED")), schemas.Applied, "superseded")
	l.sums("changes nothing", l.step(pay("c", 3, 0)), "1", "0", "1")
	l.expect("the same state later in time", l.step(stateOf("a", 3, "SENT")), schemas.Applied, "")
	l.expect("which is now the one that holds", l.step(stateOf("a", 2, "DECLINED")), schemas.Applied, "superseded")
	l.sums("SENT of 3", l.step(pay("d", 3, 0)), "1", "0", "1")
}

func TestState_RepeatsAreDuplicates(t *testing.T) {
	l := newLog(t, states())
	l.step(pay("a", 0, 1))
	first := stateOf("a", 1, "DECLINED")
	first.Origin = schemas.Origin{Topic: "states", Offset: 5}
	l.expect("a first time", l.step(first), schemas.Applied, "")
	l.expect("delivered twice", l.step(first), schemas.Duplicate, "")
	l.expect("sent twice", l.step(stateOf("a", 1, "DECLINED")), schemas.Duplicate, "")
	l.expect("a next one", l.step(stateOf("a", 2, "SENT")), schemas.Applied, "")
	l.expect("the first one's redelivery is no repeat any more", l.step(first), schemas.Applied, "superseded")
	l.sums("and changes nothing", l.step(pay("b", 3, 0)), "1", "0", "1")
}

func TestState_ChecksComeInOrder(t *testing.T) {
	l := newLog(t, states())
	l.step(pay("a", 0, 1))
	l.expect("5 min ahead", l.at(stateOf("a", 5*minute, "SENT"), base), schemas.Applied, "")
	l.expect("5 min and 1 ms ahead", l.at(stateOf("a", 5*minute+1, "SENT"), base), schemas.Rejected, "future")
	l.expect("ahead and unknown", l.at(stateOf("a", 5*minute+1, "LOST"), base), schemas.Rejected, "future")
	l.expect("unknown", l.step(stateOf("a", 1, "LOST")), schemas.Rejected, "unknown_state")
	l.expect("unknown before its event", l.step(stateOf("z", 1, "LOST")), schemas.Rejected, "unknown_state")
	none := stateOf("a", 1, "")
	none.Present = 0
	l.expect("without a state", l.step(none), schemas.Rejected, "unknown_state")
	in := stateOf("a", 6*minute, "DECLINED")
	in.Side = schemas.SideIn
	l.expect("of the other side", l.step(in), schemas.Parked, "unknown_event")
	in.Customer, in.Side = "d", schemas.SideOut
	l.expect("of another customer", l.step(in), schemas.Parked, "unknown_event")
	l.sums("nothing but the first came of all that", l.step(pay("b", 1, 0)), "1", "0", "1")
}

func TestState_BeforeItsEventItWaitsAndIsKnownWhenTheEventIsJudged(t *testing.T) {
	l := newLog(t, states())
	l.expect("before its event", l.step(stateOf("a", 10, "DECLINED")), schemas.Parked, "unknown_event")
	l.expect("an older one", l.step(stateOf("a", 5, "SENT")), schemas.Parked, "unknown_event")
	l.expect("another event's", l.step(stateOf("b", 5, "SENT")), schemas.Parked, "unknown_event")
	l.expect("a repeat is held too", l.step(stateOf("a", 10, "DECLINED")), schemas.Parked, "unknown_event")
	w := l.at(pay("x", 0, 1), base+100)
	l.sums("not its event", w, "1", "0", "0")
	l.freed("not its event")
	w = l.at(with(pay("a", 5, 10), schemas.FieldState, "SENT"), base+101)
	l.freed("its event", "a DECLINED applied ", "a SENT applied superseded", "a DECLINED duplicate ")
	l.sums("the event itself is known as declined", w, "1", "10", "0")
	if w.Event.State != "SENT" || l.released[0].Appended != base+101 || l.released[0].Event.Time != base+10 {
		t.Errorf("the facts keep what came: %+v, %+v", w.Event, l.released[0])
	}
	l.expect("once more, delivered twice", l.at(w.Event, base+102), schemas.Duplicate, "redelivery")
	l.freed("a duplicate releases nothing")
	l.step(pay("b", 6, 100))
	l.freed("the other event", "b SENT applied ")
}

func TestState_OfEqualTimesTheReleasedOneWins(t *testing.T) {
	l := newLog(t, states())
	l.step(stateOf("a", 5, "DECLINED"))
	l.sums("declined at the very time of its own state", l.step(with(pay("a", 5, 10), schemas.FieldState, "SENT")), "0", "10", "0")
	l.freed("released", "a DECLINED applied ")
	l.step(stateOf("b", 4, "DECLINED"))
	l.sums("declined before its own state", l.step(with(pay("b", 5, 1), schemas.FieldState, "SENT")), "1", "10", "1")
	l.freed("released", "b DECLINED applied superseded")
}

func TestState_HeldForADayOfLogTimeAndThenRejected(t *testing.T) {
	l := newLog(t, states())
	l.at(stateOf("a", 0, "DECLINED"), base)
	l.at(stateOf("b", 0, "DECLINED"), base)
	l.at(stateOf("x", 0, "DECLINED"), base+1)
	l.sums("1 ms before 24 h are over", l.at(pay("a", 0, 1), base+day-1), "0", "1", "0")
	l.freed("1 ms before", "a DECLINED applied ")
	l.sums("24 h later it is too late", l.at(pay("b", 0, 10), base+day), "10", "1", "0")
	l.freed("24 h later", "b DECLINED rejected parked_expired")
	other := pay("c", 0, 1)
	other.Customer = "d"
	l.at(other, base+3*day)
	l.freed("another customer's record")
	l.expect("a rejected record", l.at(pay("c", 4*day, 1), base+3*day), schemas.Rejected, "future")
	l.freed("a rejected record lets expire too", "x DECLINED rejected parked_expired")
	l.at(stateOf("y", 0, "SENT"), base+3*day)
	l.at(stateOf("z", 0, "SENT"), base+5*day)
	l.freed("and so does a stateChange", "y SENT rejected parked_expired")
}

func TestState_AHundredWaitAndNoMore(t *testing.T) {
	l := newLog(t, states())
	for i := range 100 {
		l.expect("one of a hundred", l.at(stateOf(fmt.Sprint(i), 0, "SENT"), base), schemas.Parked, "unknown_event")
	}
	l.expect("one more", l.at(stateOf("x", 0, "SENT"), base), schemas.Rejected, "parked_overflow")
	other := stateOf("x", 0, "SENT")
	other.Customer = "d"
	l.expect("another customer's", l.at(other, base), schemas.Parked, "unknown_event")
	l.step(pay("7", 0, 1))
	l.freed("one of them", "7 SENT applied ")
	l.expect("there is room for one", l.at(stateOf("x", 0, "SENT"), base), schemas.Parked, "unknown_event")
	l.expect("and one only", l.at(stateOf("y", 0, "SENT"), base), schemas.Rejected, "parked_overflow")
	l.expect("what expires makes room first", l.at(stateOf("y", 0, "SENT"), base+day), schemas.Parked, "unknown_event")
	if len(l.released) != 100 || l.released[99].Seq != 100 || l.released[99].Event.ID != "x" || l.released[0].Event.ID != "0" {
		t.Errorf("%d expired", len(l.released))
	}
}

func TestState_AnEventBehindTheHorizonIsOneThatHasNotCome(t *testing.T) {
	cfg := states()
	cfg.Features = append(cfg.Features, Feature{Name: "quiet", Func: Since})
	l := newLog(t, cfg)
	l.step(pay("a", 0, 1))
	l.step(pay("b", day-1, 1))
	l.expect("1 ms inside", l.step(stateOf("a", 0, "DECLINED")), schemas.Applied, "")
	l.step(pay("c", 10*day, 1))
	l.expect("gone", l.step(stateOf("b", 0, "DECLINED")), schemas.Parked, "unknown_event")
	l.expect("gone, its state as it was", l.step(stateOf("a", 1, "SENT")), schemas.Parked, "unknown_event")
	w := l.step(pay("late", 9*day+1, 1))
	l.freed("after a day of log time", "b DECLINED rejected parked_expired", "a SENT rejected parked_expired")
	l.feature("since: a is declined, b is not", w, "quiet", fmt.Sprintf("%d.002", 8*24*3600))
	l.expect("gone again", l.at(stateOf("b", 0, "DECLINED"), base+10*day), schemas.Parked, "unknown_event")
	l.sums("its id as a new event", l.step(pay("b", 10*day, 5)), "1", "5", "0")
	l.freed("its id as a new event", "b DECLINED applied ")
}

func TestState_PastVerdictsStandAndLaterOnesSeeTheState(t *testing.T) {
	cfg := states()
	cfg.Own = []Rule{of("TWO", 2, Feature{Func: Count, Window: hour})}
	l := newLog(t, cfg)
	l.step(pay("a", 0, 1))
	l.step(stateOf("a", 1, "DECLINED"))
	l.rule("a is retracted", l.step(pay("b", 2, 1)), "TWO", schemas.NoHit, false)
	l.step(stateOf("a", 3, "SENT"))
	l.rule("a is back", l.step(pay("c", minute, 1)), "TWO", schemas.Hit, false)
	l.step(stateOf("b", 3, "DECLINED"))
	l.step(stateOf("c", 3, "DECLINED"))
	l.rule("late: at the watermark as at its own time b and c do not count", l.step(pay("d", 2, 1)), "TWO", schemas.Hit, false)
	l.step(stateOf("a", 4, "DECLINED"))
	l.rule("with a gone too, one is left", l.step(with(pay("e", 3, 1), schemas.FieldState, "DECLINED")), "TWO", schemas.NoHit, false)
}
