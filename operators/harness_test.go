package operators_test

import (
	"context"
	"slices"
	"testing"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

const (
	minute = int64(60_000) // ms
	hour   = 60 * minute
	day    = 24 * hour
	begin  = int64(1_767_225_600_000) // 2026-01-01
)

// log is one partition: records go through monitor's chain one by one, each in a transaction of its own.
type log struct {
	t     *testing.T
	state *operators.State
	chain []operators.Operator
	next  int64
	// abort makes every record's first transaction come to nothing.
	abort bool
}

// newLog makes a log under the rules of one file.
func newLog(t *testing.T, rules string) *log {
	t.Helper()
	return &log{t: t, state: operators.NewState(1, 0, []*operators.Configuration{compile(t, 1, rules)}), next: 1,
		chain: []operators.Operator{operators.Dedupe{}, operators.Enrich{}, operators.Evaluate{}, operators.Assess{}}}
}

func compile(t *testing.T, version int32, rules string) *operators.Configuration {
	t.Helper()
	set, err := rule.Compile(&schemas.Snapshot{Version: version, Files: []schemas.SnapshotFile{{Name: "rules.yaml", Content: rules}}})
	if err != nil {
		t.Fatal(err)
	}
	return operators.NewConfiguration(set)
}

// take appends the event at log time appended and returns its fact and those of what it released.
func (l *log) take(appended int64, e schemas.Event) (fact schemas.Fact, released []schemas.Fact) {
	l.t.Helper()
	e.Organisation, e.Team, e.Origin = "bank", "retail", schemas.Origin{Topic: "payments", Offset: l.next}
	if e.Customer == "" {
		e.Customer = "c"
	}
	run := func() *operators.Item {
		it := &operators.Item{Key: schemas.CustomerKey(nil, e.Team, e.Customer), Offset: l.next, Appended: appended, Event: e}
		l.state.Begin()
		b := &operators.Batch{Topic: schemas.Events.Name, Items: []*operators.Item{it}, State: l.state}
		if err := operators.Run(context.Background(), l.chain, b); err != nil {
			l.t.Fatal(err)
		}
		return it
	}
	if l.abort {
		run()
		l.state.Rollback()
	}
	it := run()
	l.state.Commit()
	l.next++
	f := it.Fact
	f.Reason, f.Detail, f.Event = it.Reason, it.Detail, it.Event
	if it.Rejected {
		f.Outcome = schemas.Rejected
	}
	return f, slices.Clone(it.Released)
}

// payment is an outgoing one of whole units.
func payment(id string, at, units int64) schemas.Event {
	e := schemas.Event{Kind: schemas.KindPayment, ID: id, Side: schemas.SideOut, Time: at, Amount: units * schemas.Micro, HasAmount: true}
	e.SetText(schemas.FieldCurrency, "EUR")
	return e
}

// became is a stateChange of an outgoing payment.
func became(id, state string, at int64) schemas.Event {
	e := schemas.Event{Kind: schemas.KindStateChange, ID: id, Side: schemas.SideOut, Time: at}
	e.SetText(schemas.FieldState, state)
	return e
}

// feature returns the named feature's value as decimal text, or "ND".
func feature(f *schemas.Fact, name string) string {
	for i := range f.Features {
		if f.Features[i].Name == name {
			return schemas.Int128FromBytes(f.Features[i].Value).Decimal()
		}
	}
	return "ND"
}
