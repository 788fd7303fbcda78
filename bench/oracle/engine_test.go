package oracle_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/bench/oracle"
	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

const (
	hour       = int64(time.Hour / time.Millisecond)
	day        = 24 * hour
	minute     = hour / 60
	start      = int64(1_767_225_600_000) // 2026-01-01
	appended   = start + 91*day           // just behind the generated period
	partitions = 3
)

// unfiltered are features that the library has none of: without a filter, and of every function.
var unfiltered = []struct {
	oracle.Feature
	expr string
}{
	{oracle.Feature{Name: "n", Func: oracle.Count, Window: hour}, "count('1h')"},
	{oracle.Feature{Name: "n30", Func: oracle.Count, Window: 30 * day}, "count('30d')"},
	{oracle.Feature{Name: "sum", Func: oracle.Sum, Window: 6 * hour}, "sum('6h', amount)"},
	{oracle.Feature{Name: "avg", Func: oracle.Avg, Window: day}, "avg('1d', amount)"},
	{oracle.Feature{Name: "avg_in", Func: oracle.Avg, Window: 7 * day, Side: schemas.SideIn}, "avg('7d', amount, direction == 'IN')"},
	{oracle.Feature{Name: "low", Func: oracle.Min, Window: day}, "min('1d', amount)"},
	{oracle.Feature{Name: "high", Func: oracle.Max, Window: 7 * day}, "max('7d', amount)"},
	{oracle.Feature{Name: "names", Func: oracle.Distinct, Window: 30 * day, Field: schemas.FieldCounterparty}, "distinct('30d', counterparty)"},
	{oracle.Feature{Name: "places", Func: oracle.Distinct, Window: day, Field: schemas.FieldCountry, Side: schemas.SideOut}, "distinct('1d', country, direction == 'OUT')"},
}

// engine is the engine's operators without a server around them: intake's chain, a log per partition, monitor's chain.
type engine struct {
	t       *testing.T
	checker *oracle.Checker
	intake  []operators.Operator
	monitor []operators.Operator
	states  [partitions]*operators.State
	next    [partitions]int64 // offset of the log's next record
	inputs  int64
	runs    int
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	cfg := oracle.Default()
	folder := rule.Library()
	more := "features:\n"
	for _, f := range unfiltered {
		cfg.Features = append(cfg.Features, f.Feature)
		more += fmt.Sprintf("  - {name: %s, expr: %q}\n", f.Name, f.expr)
	}
	folder = append(folder, schemas.SnapshotFile{Name: "zz_more.yaml", Content: more})
	checker, err := oracle.NewChecker(cfg)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rule.Compile(&schemas.Snapshot{Version: 1, Files: folder})
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{
		t: t, checker: checker,
		intake: []operators.Operator{
			operators.Decode{Sources: operators.Sources{
				{Name: "core", Team: "retail", Topic: schemas.Payments, Format: "spektr"},
				{Name: "cards", Team: "retail", Topic: schemas.Transactions, Format: "flat"},
			}},
			operators.Validate{}, operators.Link{Organisation: "bank"},
		},
		monitor: []operators.Operator{operators.Dedupe{}, operators.Enrich{}, operators.Evaluate{}, operators.Assess{}},
	}
	control := schemas.Event{Kind: schemas.KindControl, Control: schemas.Control{Version: 1}}
	for p := range e.states {
		e.states[p] = operators.NewState(1, int32(p), []*operators.Configuration{operators.NewConfiguration(set)})
		e.checker.Record(&oracle.Record{Partition: int32(p), Event: control})
		e.checker.Fact(&schemas.Fact{Generation: 1, Partition: int32(p), Event: control, Outcome: schemas.Applied})
		e.next[p] = 1
	}
	return e
}

// link is intake: it returns the canonical event, or false for what must be and is rejected.
func (e *engine) link(in *generator.Event) (schemas.Event, bool) {
	e.t.Helper()
	it := &operators.Item{Key: []byte(in.Key), Value: in.Value, Offset: e.inputs}
	e.inputs++
	b := &operators.Batch{Topic: in.Topic, Items: []*operators.Item{it}}
	if err := operators.Run(context.Background(), e.intake, b); err != nil {
		e.t.Fatal(err)
	}
	if poison := in.Class == generator.Poison; it.Rejected != poison {
		e.t.Fatalf("class %s, rejected %v (%s %s): %s", in.Class, it.Rejected, it.Reason, it.Detail, in.Value)
	}
	return it.Event, !it.Rejected
}

// judge appends the event to its partition's log and gives the checker the record, the fact and the result. Every seventh transaction
// is aborted first.
func (e *engine) judge(event schemas.Event) {
	e.t.Helper()
	key := schemas.CustomerKey(nil, event.Team, event.Customer)
	h := fnv.New32a()
	h.Write(key)
	p := int32(h.Sum32() % partitions)
	state := e.states[p]
	run := func() *operators.Item {
		it := &operators.Item{Key: key, Offset: e.next[p], Appended: appended, Event: event}
		state.Begin()
		b := &operators.Batch{Topic: schemas.Events.Name, Partition: p, Items: []*operators.Item{it}, State: state}
		if err := operators.Run(context.Background(), e.monitor, b); err != nil {
			e.t.Fatal(err)
		}
		return it
	}
	if e.runs++; e.runs%7 == 0 {
		run()
		state.Rollback()
	}
	it := run()
	state.Commit()
	e.checker.Record(&oracle.Record{Partition: p, Offset: it.Offset, Appended: appended, Event: event})
	f := &it.Fact
	f.Generation, f.Partition, f.Offset, f.Appended, f.Event, f.Reason = 1, p, it.Offset, appended, it.Event, it.Reason
	if it.Rejected {
		f.Outcome = schemas.Rejected
	}
	e.checker.Fact(f)
	if r := &it.Result; r.Type != "" {
		e.checker.Result(&oracle.Result{Type: r.Type, ID: r.ID, GUID: r.Data.GUID, Key: string(key), Partition: p})
	}
	e.next[p]++
}

// faults is a stream with all disorder on, and more of it than there will ever be.
func faults() generator.Config {
	cfg := generator.Default(start)
	cfg.Events, cfg.Customers, cfg.Planted, cfg.Near, cfg.Hot = 20_000, 300, 10, 10, 5
	cfg.Disorder = generator.Faults()
	cfg.Disorder.Labelled, cfg.Disorder.Late, cfg.Disorder.EqualTimes, cfg.Disorder.Poison = true, 300, 500, 20
	cfg.Disorder.BeyondRetention, cfg.Disorder.Conflicts, cfg.Disorder.Future = 50, 50, 50
	return cfg
}

func exact(t *testing.T, e *engine) {
	t.Helper()
	r := e.checker.Report()
	t.Log(r.String())
	if !r.Exact() {
		t.Error("the engine and the oracle differ")
	}
	for _, id := range oracle.RuleIDs() {
		if r.Rules[id][schemas.Hit] == 0 {
			t.Errorf("rule %s never fired: the comparison says nothing about it", id)
		}
	}
}

func TestEngine_EqualsTheOracleUnderAllDisorder(t *testing.T) {
	g, err := generator.New(faults())
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t)
	for in, ok := g.Next(); ok; in, ok = g.Next() {
		if event, ok := e.link(&in); ok {
			e.judge(event)
		}
	}
	exact(t, e)
}

// TestEngine_EqualsTheOracleWithTheLogShuffled mixes the order of arrival further: each two hundred records of the log in any order.
func TestEngine_EqualsTheOracleWithTheLogShuffled(t *testing.T) {
	g, err := generator.New(faults())
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t)
	r := rand.New(rand.NewPCG(3, 5))
	var block []schemas.Event
	flush := func() {
		r.Shuffle(len(block), func(i, j int) { block[i], block[j] = block[j], block[i] })
		for _, event := range block {
			e.judge(event)
		}
		block = block[:0]
	}
	for in, ok := g.Next(); ok; in, ok = g.Next() {
		if event, ok := e.link(&in); ok {
			block = append(block, event)
		}
		if len(block) == 200 {
			flush()
		}
	}
	flush()
	exact(t, e)
}
