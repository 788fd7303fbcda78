package oracle_test

import (
	"context"
	"encoding/binary"
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
// customers that are stored, evicted and loaded again in between.
type chain struct {
	t       *testing.T
	r       *rand.Rand
	checker *oracle.Checker
	conf    *operators.Configuration
	states  []*operators.State
	shelves []shelf // by partition
	pending [][]generator.LogRecord

	aborts, loads, evicted, deltas, supplied int
}

// shelf is what the store holds of a partition.
type shelf struct {
	heads  map[string][]byte
	chunks map[string][]byte
}

func chunkKey(key []byte, name window.ChunkName) string {
	return fmt.Sprintf("%s %d.%d", key, name.Seq, name.Version)
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
		c.shelves = append(c.shelves, shelf{map[string][]byte{}, map[string][]byte{}})
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
	switch c.r.IntN(12) {
	case 0:
		c.flush(p)
		c.loads++ // another process goes on with what the store holds
		c.states[p] = operators.NewState(1, p, []*operators.Configuration{c.conf})
	case 1, 2:
		c.flush(p)
		c.evicted += c.states[p].Evict(c.states[p].Bytes() / 2)
	case 3:
		c.flush(p)
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
		c.load(p, it.Key)
		open = append(open, it)
	}
	err := c.states[p].Runs(open, func(run []*operators.Item) error {
		c.supply(p, run)
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

// load brings a customer from the store that is not in memory.
func (c *chain) load(p int32, key []byte) {
	c.t.Helper()
	head, ok := c.shelves[p].heads[string(key)]
	if !ok || c.states[p].Has(key) {
		return
	}
	customer, err := window.Decode(slices.Clone(head), c.states[p].Shape)
	if err != nil {
		c.t.Fatal(err)
	}
	c.states[p].Put(key, customer)
}

// supply brings the sealed chunks that a run needs.
func (c *chain) supply(p int32, run []*operators.Item) {
	c.t.Helper()
	for refs := c.states[p].Missing(nil, run); len(refs) > 0; refs = c.states[p].Missing(nil, run) {
		for _, ref := range refs {
			c.supplied++
			if err := c.states[p].Supply(ref, slices.Clone(c.shelves[p].chunks[chunkKey(ref.Key, ref.Name)])); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// flush stores what is dirty. One in four answers is lost, whether or not the store took it: then all is sent again.
func (c *chain) flush(p int32) {
	c.t.Helper()
	for {
		saved := c.states[p].TakeDirty()
		lost := c.r.IntN(4) == 0
		if !lost || c.r.IntN(2) == 0 {
			for _, s := range saved {
				c.store(p, &s)
			}
		}
		if !lost {
			c.states[p].Acked(saved)
			return
		}
		c.states[p].Redo(saved)
	}
}

// store takes one customer's write as the store would.
func (c *chain) store(p int32, s *operators.Saved) {
	c.t.Helper()
	shelf, key := &c.shelves[p], string(s.Key)
	for _, chunk := range s.Chunks {
		shelf.chunks[chunkKey(s.Key, chunk.Name)] = slices.Clone(chunk.Value)
	}
	if d := s.Delta; d != nil {
		c.deltas++
		head := shelf.heads[key]
		if len(head) != d.Length || int64(binary.BigEndian.Uint64(head)) != d.FromLSN {
			c.t.Fatalf("a delta for %d bytes of LSN %d, the store holds %d bytes", d.Length, d.FromLSN, len(head))
		}
		copy(head, d.Header)
		shelf.heads[key] = append(head, d.Tail...)
	} else {
		shelf.heads[key] = slices.Clone(s.Value)
	}
	for _, name := range s.Dead {
		delete(shelf.chunks, chunkKey(s.Key, name))
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
	t.Logf("%d aborts, %d starts anew, %d evictions, %d deltas, %d chunks loaded; %s", c.aborts, c.loads, c.evicted, c.deltas, c.supplied, r.String())
	if !r.Exact() {
		t.Error("the engine and the oracle differ")
	}
	if c.aborts < 10 || c.loads < 10 || c.evicted < 10 || c.deltas < 10 {
		t.Error("the log is too short to say anything about what is stored")
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
	if os.Getenv("STREAMGAUGE_TEST_DATA") == "all" { // by hand: make test-data runs tests of Data alone
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
				if r.Reasons[what] == 0 && seed <= 2 {
					t.Errorf("no %s: the comparison says nothing about it", what)
				}
			}
			if len(r.AtWatermark) < 8 && seed <= 2 {
				t.Errorf("only %v were found at the watermark", r.AtWatermark)
			}
		})
	}
}

// TestEngine_EqualsTheOracleForAGiant: a customer of some thousand visible events, most of them in sealed chunks.
func TestEngine_EqualsTheOracleForAGiant(t *testing.T) {
	cfg := generator.Workload(start)
	cfg.Records, cfg.Customers, cfg.Partitions, cfg.Hot, cfg.Period, cfg.Retention = 6_000, 20, 1, 90, 10*24*3600e9, 193*3600e9
	cfg.StateChanges, cfg.Hours, cfg.EqualTime = 1_000, 300, 500
	var features []feature
	for i, f := range logFeatures() {
		if i%5 == 2 { // n7d among them, whose window is all there is
			features = append(features, f)
		}
	}
	c := newChain(t, 11, cfg, "Europe/Vilnius", "24h", features, nil)
	compareLog(t, c, cfg)
	if c.supplied < 10 {
		t.Errorf("%d chunks were loaded: no giant", c.supplied)
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
