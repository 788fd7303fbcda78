package demo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/bench/oracle"
	"github.com/streamgauge/streamgauge/schemas"
)

// Replays of independent data in orders and forms of which the data's own columns say nothing: held against the oracle.

// leg is a line of a file as it is replayed.
type leg struct {
	id, customer, other string
	side                schemas.Side
	seconds, cents      int64
	arrival             int64 // orders the lines; ms
}

// legsCSV writes the legs as a file that needs no mapping but that of its amounts.
func legsCSV(legs []leg) string {
	var b strings.Builder
	b.WriteString("id,time,customer,direction,counterparty,cents\n")
	for _, l := range legs {
		fmt.Fprintf(&b, "%s,%s,%s,%s,%s,%d\n", l.id, stamp(l.seconds*1000), l.customer, l.side, l.other, l.cents)
	}
	return b.String()
}

// compareOracle replays the legs and holds every fact against the oracle, which is told the rules by hand.
func compareOracle(t *testing.T, legs []leg, rules string, cfg oracle.Config) (outcomes map[string]int) {
	t.Helper()
	o, err := oracle.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	facts := replay(t, "amount=cents:1e-2", rulesDir(t, rules), write(t, "in.csv.gz", legsCSV(legs))).facts(t)
	if len(facts) != len(legs) {
		t.Fatalf("%d facts of %d lines", len(facts), len(legs))
	}
	outcomes = map[string]int{}
	different := 0
	for i, l := range legs {
		e := schemas.Event{
			Kind: schemas.KindPayment, Customer: l.customer, ID: l.id, Side: l.side, Time: l.seconds * 1000, Amount: l.cents * (schemas.Micro / 100), HasAmount: true,
			Origin: schemas.Origin{Topic: "file", Offset: int64(i)},
		}
		e.SetText(schemas.FieldCounterparty, l.other)
		w, _ := o.Step(&oracle.Record{Offset: int64(i), Appended: e.Time, Event: e})
		outcomes[w.Outcome.String()+" "+w.Reason]++
		if w.Late && w.Outcome == schemas.Assessed {
			outcomes["late"]++
		}
		for _, j := range w.Rules {
			outcomes[j.Rule+" "+j.Verdict.String()]++
			if j.AtWatermark {
				outcomes[j.Rule+" at the watermark"]++
			}
		}
		if said := differs(&w, &facts[i]); said != "" {
			if different++; different <= 5 {
				t.Errorf("line %d %+v: %s", i+1, l, said)
			}
		}
	}
	if different > 0 {
		t.Errorf("%d of %d lines differ from the oracle", different, len(legs))
	}
	return outcomes
}

// differs says what of a line of facts.jsonl is not as the oracle wants it.
func differs(w *oracle.Want, f *factLine) string {
	features, verdicts, late := map[string]string{}, map[string]string{}, map[string]bool{}
	for _, m := range w.Features {
		if !m.ND {
			features[m.Name] = m.Value.Decimal()
		}
	}
	for _, j := range w.Rules {
		verdicts[j.Rule] = j.Verdict.String()
		if j.AtWatermark {
			late[j.Rule] = true
		}
	}
	gotLate := map[string]bool{}
	for _, h := range f.Hits {
		if h.AtWatermark {
			gotLate[h.Rule] = true
		}
	}
	if f.ID == w.Event.ID && f.Outcome == w.Outcome.String() && f.Reason == w.Reason && f.Late != nil && *f.Late == w.Late &&
		maps.Equal(f.Features, features) && maps.Equal(f.Rules, verdicts) && maps.Equal(gotLate, late) {
		return ""
	}
	return fmt.Sprintf("want %s %q, late %v, features %v, rules %v, at the watermark %v; got %+v", w.Outcome, w.Reason, w.Late, features, verdicts, late, *f)
}

// splitmix64 is the hash by which the handbook's README shuffles.
func splitmix64(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// TestData_HandbookShuffledOverSixHoursWithDuplicates replays the customers of the edge rows in the README's order of arrival, L = 6 h,
// and every twentieth row once more within an hour.
func TestData_HandbookShuffledOverSixHoursWithDuplicates(t *testing.T) {
	customers := map[string]bool{}
	edges := handbookLines(t, "edge-rows.csv.gz")
	for line := edges(); line != ""; line = edges() {
		if cells := strings.Split(line, ","); strings.HasPrefix(cells[0], "cust_") {
			customers[cells[3]] = true
		}
	}
	var legs []leg
	for _, month := range handbookMonths {
		handbookMonth(t, month, customers, func(r *handbookRow) {
			cells := strings.Split(r.tx, ",")
			id, err := strconv.ParseUint(r.id, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			cents, _ := strconv.ParseInt(cells[4], 10, 64)
			h := splitmix64(id)
			l := leg{id: r.id, customer: r.customer, other: cells[3], side: schemas.SideOut, seconds: r.seconds, cents: cents, arrival: r.seconds*1000 + int64(h%(6*3600*1000))}
			legs = append(legs, l)
			if h>>32%20 == 0 {
				l.arrival += int64(h >> 40 % (3600 * 1000))
				legs = append(legs, l)
			}
		})
	}
	slices.SortStableFunc(legs, func(a, b leg) int { return cmp.Compare(a.arrival, b.arrival) })
	const day = 24 * 3600 * 1000
	cfg := oracle.Config{Retention: 31 * day, BaseCurrency: "EUR", HumanFrom: schemas.LevelExtreme, Generation: 1}
	for i, name := range handbookColumns {
		f := oracle.Feature{Name: name, Func: oracle.Count, Window: []int64{1, 7, 30}[i/2] * day}
		if i%2 == 1 {
			f.Func = oracle.Sum
		}
		cfg.Features = append(cfg.Features, f)
	}
	cfg.Own = []oracle.Rule{{
		ID: "MANY", Level: schemas.LevelLow, Score: 1, Reads: []oracle.Feature{{Func: oracle.Count, Window: day}},
		Judge: func(_ *oracle.Past, v []oracle.Value) schemas.Verdict {
			return oracle.AtLeast(v[0], schemas.I128(8*schemas.Micro))
		},
	}}
	outcomes := compareOracle(t, legs, windows+"---\n{id: MANY, version: 1, name: Many, nature: AML, on: [payment], when: feature.c_n1 >= 8, level: LOW, score: 1, reason: hit}\n", cfg)
	t.Logf("%d lines: %v", len(legs), outcomes)
	if outcomes["late"] < 1_000 || outcomes["duplicate "] < 400 || outcomes["MANY at the watermark"] == 0 {
		t.Errorf("the slice is not what it was: %v", outcomes)
	}
}

// TestData_AMLGentexWithOneTimestampADay is the stress of ties: all events of a day at midnight, windows of whole days, whose borders all
// lie on events. The accounts are those of the labelled patterns, with both legs where both are.
func TestData_AMLGentexWithOneTimestampADay(t *testing.T) {
	const day = 24 * 3600 * 1000
	accounts := map[string]bool{}
	rows := gzipLines(t, "amlgentex", "tx.csv.gz")
	for line := rows(); line != "" && len(accounts) < 120; line = rows() {
		if c := strings.Split(line, ","); c[8] != "-1" {
			accounts[c[2]], accounts[c[3]] = true, true
		}
	}
	var legs []leg
	rows = gzipLines(t, "amlgentex", "tx.csv.gz")
	for line := rows(); line != ""; line = rows() {
		c := strings.Split(line, ",")
		step, err := strconv.ParseInt(c[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		cents, _ := strconv.ParseInt(c[6], 10, 64)
		l := leg{id: c[0], customer: c[2], other: c[3], side: schemas.SideOut, seconds: 1_767_225_600 + step*86_400, cents: cents}
		if accounts[l.customer] {
			legs = append(legs, l)
		}
		if l.customer, l.other, l.side = c[3], c[2], schemas.SideIn; accounts[l.customer] {
			legs = append(legs, l)
		}
	}
	same := func(p, this *oracle.Past) bool {
		v, ok := this.Text(schemas.FieldCounterparty)
		return ok && p.Is(schemas.FieldCounterparty, v)
	}
	cfg := oracle.Config{Retention: 31 * day, BaseCurrency: "EUR", HumanFrom: schemas.LevelExtreme, Generation: 1, Features: []oracle.Feature{
		{Name: "n1", Func: oracle.Count, Window: day}, {Name: "before", Func: oracle.Count, Window: day, Prior: true},
		{Name: "yesterday", Func: oracle.Sum, Window: day, Delay: day}, {Name: "first", Func: oracle.First, Window: 7 * day}, {Name: "last", Func: oracle.Last, Window: 7 * day, Prior: true},
		{Name: "senders", Func: oracle.Distinct, Window: 23 * day, Field: schemas.FieldCounterparty, Side: schemas.SideIn},
		{Name: "pair", Func: oracle.Count, Window: 30 * day, With: same}, {Name: "sd", Func: oracle.Stddev, Window: 30 * day, Side: schemas.SideOut},
		{Name: "mean", Func: oracle.DailyMean, Window: 20 * day}, {Name: "week", Func: oracle.Max, Unit: oracle.Week},
		{Name: "larger", Func: oracle.Count, Window: 10 * day, Scan: true, With: func(p, this *oracle.Past) bool { return p.Amount > this.Amount }},
		{Name: "quiet", Func: oracle.Since},
	}, Own: []oracle.Rule{{
		ID: "FAN_IN", Level: schemas.LevelLow, Score: 1, Reads: []oracle.Feature{{Func: oracle.Distinct, Window: 23 * day, Field: schemas.FieldCounterparty, Side: schemas.SideIn}},
		Judge: func(_ *oracle.Past, v []oracle.Value) schemas.Verdict {
			return oracle.AtLeast(v[0], schemas.I128(8*schemas.Micro))
		},
	}}}
	const rules = `features:
  - {name: n1, expr: "count('1d')"}
  - {name: before, expr: "prior.count('1d')"}
  - {name: yesterday, expr: "sum(delay('1d', '1d'), amount)"}
  - {name: first, expr: "first('7d', amount)"}
  - {name: last, expr: "prior.last('7d', amount)"}
  - {name: senders, expr: "distinct('23d', counterparty, direction == 'IN')"}
  - {name: pair, expr: "count('30d', counterparty == this.counterparty)"}
  - {name: sd, expr: "stddev('30d', amount, direction == 'OUT')"}
  - {name: mean, expr: "daily('20d', amount).mean"}
  - {name: week, expr: "max('week', amount)"}
  - {name: larger, expr: "count('10d', amount > this.amount)"}
  - {name: quiet, expr: "since(true)"}
---
{id: FAN_IN, version: 1, name: Fan-in, nature: AML, on: [payment], when: feature.senders >= 8, level: LOW, score: 1, reason: hit}
`
	outcomes := compareOracle(t, legs, rules, cfg)
	t.Logf("%d lines of %d accounts: %v", len(legs), len(accounts), outcomes)
	if len(legs) < 5_000 || outcomes["FAN_IN HIT"] == 0 {
		t.Errorf("the slice is not what it was: %v", outcomes)
	}
}
