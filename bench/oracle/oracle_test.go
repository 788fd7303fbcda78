package oracle

import (
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// base is a time in 2018, ms.
const base = 1_522_540_800_000

// log feeds one partition of an oracle with events of customer "c" and keeps what it says.
type log struct {
	t        *testing.T
	oracle   *Oracle
	offset   int64
	released []Want // by the last record
}

func newLog(t *testing.T, cfg Config) *log {
	t.Helper()
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &log{t: t, oracle: o}
}

// pay makes an outgoing payment of whole units at base + at.
func pay(id string, at int64, units int64) schemas.Event {
	return schemas.Event{
		Kind: schemas.KindPayment, Team: "retail", Customer: "c", ID: id, Side: schemas.SideOut, Time: base + at,
		Amount: units * schemas.Micro, HasAmount: true,
	}
}

// step appends the event with an origin of its own, appended at its own time unless the event says otherwise.
func (l *log) step(e schemas.Event) Want {
	return l.at(e, e.Time)
}

func (l *log) at(e schemas.Event, appended int64) Want {
	if e.Origin == (schemas.Origin{}) {
		e.Origin = schemas.Origin{Topic: "payments", Offset: 1000 + l.offset}
	}
	var w Want
	w, l.released = l.oracle.Step(&Record{Offset: l.offset, Appended: appended, Event: e})
	l.offset++
	return w
}

func (l *log) expect(what string, w Want, outcome schemas.Outcome, reason string) {
	l.t.Helper()
	if w.Outcome != outcome || w.Reason != reason {
		l.t.Errorf("%s: %s %q, want %s %q", what, w.Outcome, w.Reason, outcome, reason)
	}
}

func (l *log) feature(what string, w Want, name, want string) {
	l.t.Helper()
	for _, m := range w.Features {
		if m.Name != name {
			continue
		}
		got := m.Value.Decimal()
		if m.ND {
			got = "ND"
		}
		if got != want {
			l.t.Errorf("%s: %s is %s, want %s", what, name, got, want)
		}
		return
	}
	l.t.Errorf("%s: no feature %s", what, name)
}

// plain is a configuration with features alone.
func plain(retention int64, features ...Feature) Config {
	return Config{Retention: retention, BaseCurrency: "EUR", Uncounted: []string{"DECLINED"}, Counted: []string{"SENT"}, Features: features, HumanFrom: schemas.LevelHigh, Generation: 1}
}

func TestOracle_ChecksComeInTheContractsOrder(t *testing.T) {
	l := newLog(t, plain(day))
	first := pay("a", 0, 10)
	first.Origin = schemas.Origin{Topic: "payments", Partition: 3, Offset: 7}
	l.expect("the first event", l.step(first), schemas.Assessed, "")
	l.expect("the same record again", l.step(first), schemas.Duplicate, "redelivery")

	other := first
	other.Time, other.Amount, other.Kind = base+5, 1, schemas.KindTransaction
	l.expect("the same record with other content", l.step(other), schemas.Duplicate, "redelivery")
	l.expect("the producer's repeat", l.step(pay("a", 0, 10)), schemas.Duplicate, "")
	l.expect("another amount", l.step(pay("a", 0, 11)), schemas.Rejected, "conflict")
	l.expect("another time", l.step(pay("a", 1, 10)), schemas.Rejected, "conflict")
	kind := pay("a", 0, 10)
	kind.Kind = schemas.KindTransaction
	l.expect("another kind", l.step(kind), schemas.Rejected, "conflict")
	kind.Kind, kind.Channel = schemas.KindPayment, "atm"
	l.expect("another channel only", l.step(kind), schemas.Duplicate, "")
	in := pay("a", 0, 10)
	in.Side = schemas.SideIn
	l.expect("the other side of the same id", l.step(in), schemas.Assessed, "")

	l.expect("5 minutes ahead", l.at(pay("b", 5*minute, 10), base), schemas.Assessed, "")
	l.expect("5 minutes and 1 ms ahead", l.at(pay("d", 5*minute+1, 10), base), schemas.Rejected, "future")
	l.expect("a known id ahead of time", l.at(pay("a", day, 10), base), schemas.Rejected, "future")
	l.expect("the future event's id again, in time", l.step(pay("d", 5*minute+1, 10)), schemas.Assessed, "")

	wm := 5*minute + 1 // after d
	l.expect("at the horizon", l.step(pay("e", wm-day, 10)), schemas.Rejected, "beyond_retention")
	w := l.step(pay("e", wm-day+1, 10))
	l.expect("1 ms inside the retention", w, schemas.Assessed, "")
	if !w.Late {
		t.Error("an event before the watermark is late")
	}
	if w := l.step(pay("f", wm, 10)); w.Late {
		t.Error("an event at the watermark is not late")
	}

	l.step(pay("g", day+1, 10)) // the horizon is now at 1: a has left it
	l.expect("an id that has left the retention, too old", l.step(pay("a", 0, 10)), schemas.Rejected, "beyond_retention")
	l.expect("an id that has left the retention, as a new event", l.step(pay("a", day, 99)), schemas.Assessed, "")
}

func TestOracle_WithoutAnAmountTheWholeContentDecides(t *testing.T) {
	l := newLog(t, plain(day))
	e := pay("a", 0, 0)
	e.HasAmount, e.Amount = false, 0
	w := l.step(e)
	l.expect("no amount", w, schemas.Assessed, "")
	if w.HasBase {
		t.Error("an event without an amount has no base amount")
	}
	l.expect("the same content", l.step(e), schemas.Duplicate, "")
	e.SetText(schemas.FieldChannel, "atm")
	l.expect("another channel", l.step(e), schemas.Rejected, "conflict")
	l.expect("with an amount", l.step(pay("a", 0, 0)), schemas.Rejected, "conflict")
}

func TestOracle_RejectedEventsLeaveNothingBehind(t *testing.T) {
	l := newLog(t, plain(day, Feature{Name: "n", Func: Count, Window: hour}))
	l.at(pay("far", 100*day, 1), base)
	unknown := pay("state", 1, 1)
	unknown.SetText(schemas.FieldState, "PONDERING")
	l.expect("a state that the policy does not know", l.step(unknown), schemas.Rejected, "unknown_state")
	w := l.step(pay("a", 0, 1))
	l.feature("after two rejected events", w, "n", "1")
	if w.Late {
		t.Error("a rejected event moved the watermark")
	}
	l.expect("the id of a rejected event", l.step(pay("state", 1, 1)), schemas.Assessed, "")
}

func TestOracle_TeamsCustomersAndPartitionsAreApart(t *testing.T) {
	l := newLog(t, plain(day, Feature{Name: "n", Func: Count, Window: hour}))
	e := pay("a", 0, 1)
	l.step(e)
	for _, change := range []func(*schemas.Event){
		func(e *schemas.Event) { e.Team = "corporate" },
		func(e *schemas.Event) { e.Organisation = "other" },
		func(e *schemas.Event) { e.Customer = "C" },
	} {
		other := e
		change(&other)
		w := l.step(other)
		l.expect("the same id elsewhere", w, schemas.Assessed, "")
		l.feature("the same id elsewhere", w, "n", "1")
	}
	w, _ := l.oracle.Step(&Record{Partition: 1, Offset: 0, Appended: e.Time, Event: e})
	l.expect("another partition", w, schemas.Assessed, "")
}

func TestOracle_KindsThatAreNoPayments(t *testing.T) {
	l := newLog(t, plain(day))
	control := schemas.Event{Kind: schemas.KindControl, Control: schemas.Control{Version: 4, Digest: "d"}}
	l.expect("control", l.at(control, base), schemas.Applied, "")
	if w := l.step(pay("a", 0, 1)); w.Config != 4 {
		t.Errorf("configuration %d, want 4", w.Config)
	}
	control.Control.Version = 3
	l.expect("an overtaken control", l.at(control, base), schemas.Applied, "")
	if w := l.step(pay("b", 0, 1)); w.Config != 4 {
		t.Errorf("configuration %d, want 4", w.Config)
	}
	l.expect("a record", l.at(schemas.Event{Kind: schemas.KindRecord, Customer: "c"}, base), schemas.Rejected, "unsupported_kind")
	w, _ := l.oracle.Step(&Record{Offset: 99, Broken: true})
	if w.Outcome != schemas.Rejected {
		t.Errorf("broken bytes are %s", w.Outcome)
	}
}

func TestConfig_EveryMistakeIsNamedAtOnceWithItsValue(t *testing.T) {
	_, err := New(Config{
		Retention: hour, Rules: []string{"VEL_OUT", "VOL_OUT", "NOPE"},
		Features: []Feature{
			{Name: "x", Func: "median", Window: 1}, {Name: "x", Func: Count, Window: 0}, {Name: "long", Func: Sum, Window: day},
			{Func: Count, Window: 1}, {Name: "f", Func: Distinct, Window: 1, Field: 99},
		},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`base currency ""`, "rule VOL_OUT: window of 86400000 ms is longer than the retention of 3600000 ms", `rule "NOPE"`, `function "median"`,
		"window 0 ms", `feature "x": given twice`, "feature long: window of 86400000 ms", "a name is missing", "no field 99",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no mention of %q in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "VEL_OUT: window") {
		t.Errorf("a window as long as the retention is fine: %v", err)
	}
}
