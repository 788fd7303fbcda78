package oracle_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/bench/oracle"
	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// chain is monitor's operators over the log of generator.NewLog, as a lane runs them: in batches, some of which are aborted first, with
// customers that are stored and loaded again in between.
type chain struct {
	t       *testing.T
	r       *rand.Rand
	checker *oracle.Checker
	conf    *operators.Configuration
	states  []*operators.State
	stored  []map[string][]byte // by partition: customers as the store holds them
	pending [][]generator.LogRecord
	aborts  int
	loads   int
}

// run feeds a whole log, and returns what the comparison found.
func (c *chain) run(cfg generator.LogConfig) oracle.Report {
	c.t.Helper()
	l, err := generator.NewLog(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	for p := range cfg.Partitions {
		c.states = append(c.states, operators.NewState(1, p, []*operators.Configuration{c.conf}))
		c.stored = append(c.stored, map[string][]byte{})
	}
	c.pending = make([][]generator.LogRecord, cfg.Partitions)
	for rec, ok := l.Next(); ok; rec, ok = l.Next() {
		p := rec.Partition
		if rec.Class == generator.LogControl {
			c.checker.Record(&oracle.Record{Partition: p, Offset: rec.Offset, Appended: rec.Appended, Event: rec.Event})
			c.checker.Fact(&schemas.Fact{Generation: 1, Partition: p, Offset: rec.Offset, Appended: rec.Appended, Event: rec.Event, Outcome: schemas.Applied})
			continue
		}
		c.pending[p] = append(c.pending[p], rec)
		if c.r.IntN(30) == 0 {
			c.transaction(p)
		}
	}
	for p := range cfg.Partitions {
		c.transaction(p)
	}
	return c.checker.Report()
}

// transaction judges what has gathered of a partition. One in three is aborted before, after some or all of its records.
func (c *chain) transaction(p int32) {
	c.t.Helper()
	records := c.pending[p]
	c.pending[p] = nil
	for c.r.IntN(3) == 0 {
		c.aborts++
		c.states[p].Begin()
		c.judge(p, records[:c.r.IntN(len(records)+1)])
		c.states[p].Rollback()
	}
	c.states[p].Begin()
	items := c.judge(p, records)
	c.states[p].Commit()
	for i, it := range items {
		c.emit(p, &records[i], it)
	}
	if c.r.IntN(10) == 0 {
		c.reload(p)
	}
}

// judge runs the records in runs that hold each customer once.
func (c *chain) judge(p int32, records []generator.LogRecord) (items []*operators.Item) {
	c.t.Helper()
	monitor := []operators.Operator{operators.Dedupe{}, operators.Enrich{}, operators.Evaluate{}, operators.Assess{}}
	var open []*operators.Item
	for i := range records {
		it := &operators.Item{Key: records[i].Key, Value: records[i].Value, Offset: records[i].Offset, Appended: records[i].Appended}
		items = append(items, it)
		if schemas.Events.Codec.Decode(it.Value, &it.Event) != nil {
			it.Event.Reset()
			it.Reject("undecodable", "")
			continue
		}
		open = append(open, it)
	}
	err := c.states[p].Runs(open, func(run []*operators.Item) error {
		return operators.Run(context.Background(), monitor, &operators.Batch{Topic: schemas.Events.Name, Partition: p, Items: slices.Clone(run), State: c.states[p]})
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return items
}

// emit gives the checker what a lane would write for a record.
func (c *chain) emit(p int32, rec *generator.LogRecord, it *operators.Item) {
	c.checker.Record(&oracle.Record{Partition: p, Offset: rec.Offset, Appended: rec.Appended, Event: rec.Event, Broken: rec.Class == generator.LogPoison})
	f := &it.Fact
	f.Reason, f.Event = it.Reason, it.Event
	rejection := operators.Rejection(it, schemas.Events.Name, p, "monitor")
	if it.Rejected {
		f.Outcome = schemas.Rejected
		if rec.Class != generator.LogPoison {
			rejection.Origin = it.Event.Origin
		}
		c.checker.Rejection(&rejection)
	}
	facts := []*schemas.Fact{f}
	for i := range it.Released {
		r := &it.Released[i]
		facts = append(facts, r)
		if r.Outcome == schemas.Rejected {
			c.checker.Rejection(&schemas.Rejection{Origin: r.Event.Origin, Stage: "monitor", Reason: r.Reason, Key: it.Key})
		}
	}
	for _, f := range facts {
		f.Generation, f.Partition, f.Offset, f.Appended = 1, p, it.Offset, it.Appended
		c.checker.Fact(f)
	}
	if r := &it.Result; r.Type != "" {
		c.checker.Result(&oracle.Result{Type: r.Type, ID: r.ID, GUID: r.Data.GUID, Key: string(it.Key), Partition: p})
	}
}

// reload stores what is dirty and goes on with what the store holds, as another process would.
func (c *chain) reload(p int32) {
	c.t.Helper()
	c.loads++
	saved := c.states[p].TakeDirty()
	for _, s := range saved {
		c.stored[p][string(s.Key)] = slices.Clone(s.Value)
	}
	c.states[p].Acked(saved)
	c.states[p] = operators.NewState(1, p, []*operators.Configuration{c.conf})
	for key, value := range c.stored[p] {
		customer, err := window.Decode(value, c.states[p].Shape)
		if err != nil {
			c.t.Fatal(err)
		}
		c.states[p].Put([]byte(key), customer)
	}
}

// feature is one in the rule language and by hand.
type feature struct {
	oracle.Feature
	expr string
}

// own is a rule in both.
type own struct {
	oracle.Rule
	when string
}

// newChain compiles the features, the rules and the policy for the engine and tells the oracle the same by hand.
func newChain(t *testing.T, seed uint64, cfg generator.LogConfig, zone string, slack string, features []feature, rules []own) *chain {
	t.Helper()
	yaml := fmt.Sprintf("policy: {base_currency: %s, time_zone: %s, slack: %s, human_from: HIGH, counted: [%s], uncounted: [%s]}\n---\nfeatures:\n",
		cfg.Currency, zone, slack, strings.Join(cfg.Counted, ", "), strings.Join(cfg.Uncounted, ", "))
	o := oracle.Config{
		Retention: cfg.Retention.Milliseconds(), BaseCurrency: cfg.Currency, Zone: location(t, zone), Counted: cfg.Counted, Uncounted: cfg.Uncounted,
		HumanFrom: schemas.LevelHigh, Generation: 1, Prefix: "app.amlyze", Rejections: true,
	}
	for _, f := range features {
		yaml += fmt.Sprintf("  - {name: %s, expr: %q}\n", f.Name, f.expr)
		o.Features = append(o.Features, f.Feature)
	}
	for i, r := range rules {
		r.Level, r.Score = schemas.Level(1+i%4), int32(i+1)
		yaml += fmt.Sprintf("---\n{id: %s, version: 1, name: %s, nature: AML, on: [payment, transaction], when: %q, level: %s, score: %d, reason: hit}\n",
			r.ID, r.ID, r.when, r.Level, r.Score)
		o.Own = append(o.Own, r.Rule)
	}
	set, err := rule.Compile(&schemas.Snapshot{Version: 1, Files: []schemas.SnapshotFile{{Name: "rules.yaml", Content: yaml}}})
	if err != nil {
		t.Fatal(err)
	}
	if set.Plan.Retention != o.Retention {
		t.Fatalf("the plan's retention is %d ms, the log is made for %d", set.Plan.Retention, o.Retention)
	}
	checker, err := oracle.NewChecker(o)
	if err != nil {
		t.Fatal(err)
	}
	return &chain{t: t, r: rand.New(rand.NewPCG(seed, 9)), checker: checker, conf: operators.NewConfiguration(set)}
}

// compareLog runs a log through both and expects no difference, and that everything it is about was there.
func compareLog(t *testing.T, c *chain, cfg generator.LogConfig) oracle.Report {
	t.Helper()
	r := c.run(cfg)
	t.Logf("%d aborts, %d reloads; %s", c.aborts, c.loads, r.String())
	if !r.Exact() {
		t.Error("the engine and the oracle differ")
	}
	if c.aborts < 10 || c.loads < 10 {
		t.Errorf("%d aborts, %d reloads: the log is too short", c.aborts, c.loads)
	}
	for _, id := range slices.Sorted(maps.Keys(r.Rules)) {
		if v := r.Rules[id]; v[schemas.Hit] == 0 || v[schemas.NoHit]+v[schemas.ND]+v[schemas.Errored] == 0 {
			t.Errorf("rule %s: %v: the comparison says nothing about it", id, v)
		}
	}
	return r
}

// TestEngine_EqualsTheOracleOverWholeLogs: generator's workload with more of what is rare, every form of an aggregate, rules that the
// second evaluation of late events decides. LogConfig.Backdated is left at 0: a stateChange older than an event that came without a state
// is the only state known of it, which the oracle says holds, and the windows say is superseded.
func TestEngine_EqualsTheOracleOverWholeLogs(t *testing.T) {
	seeds := uint64(2)
	if os.Getenv("STREAMGAUGE_TEST_DATA") == "all" { // make test-data
		seeds = 40
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cfg := generator.Workload(start)
			cfg.Seed, cfg.Records, cfg.Customers, cfg.Partitions, cfg.Retention = seed, 10_000, 60, 3, 193*3600e9
			cfg.Poison, cfg.Future, cfg.Beyond, cfg.Unknown, cfg.Unsupported, cfg.Ahead, cfg.StateChanges, cfg.EqualTime = 20, 50, 50, 20, 20, 50, 1500, 1000
			r := compareLog(t, newChain(t, seed, cfg, "Europe/Vilnius", "24h", logFeatures(), logRules()), cfg)
			for _, what := range []string{
				"future", "beyond_retention", "redelivery", "conflict", "unknown_state", "unsupported_kind", "unknown_event", "superseded", "parked_expired", "parked_overflow",
			} {
				if r.Reasons[what] == 0 {
					t.Errorf("no %s: the comparison says nothing about it", what)
				}
			}
			if len(r.AtWatermark) < 8 {
				t.Errorf("only %v were found at the watermark", r.AtWatermark)
			}
		})
	}
}

// TestEngine_EqualsTheOracleOverLongCalendars: months, quarters and years, over a log of two years.
func TestEngine_EqualsTheOracleOverLongCalendars(t *testing.T) {
	cfg := generator.Workload(start)
	cfg.Records, cfg.Customers, cfg.Partitions, cfg.Period, cfg.Retention = 8_000, 12, 2, 730*24*3600e9, 367*24*3600e9+3600e9
	cfg.Hours = 500
	by := func(u oracle.Unit, expr string) feature {
		return feature{oracle.Feature{Name: string(u), Func: oracle.Sum, Unit: u}, expr}
	}
	features := []feature{
		by(oracle.Week, "sum('week', amount)"), by(oracle.Month, "sum('month', amount)"), by(oracle.Quarter, "sum('quarter', amount)"), by(oracle.Year, "sum('year', amount)"),
		{oracle.Feature{Name: "hundred", Func: oracle.DailyStddev, Window: 100 * day}, "daily('100d', amount).stddev"},
	}
	for _, zone := range []string{"America/Sao_Paulo", "Australia/Lord_Howe"} {
		t.Run(zone, func(t *testing.T) {
			compareLog(t, newChain(t, 7, cfg, zone, "24h", features, nil), cfg)
		})
	}
}
