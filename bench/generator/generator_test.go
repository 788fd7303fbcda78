package generator

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/schemas"
)

var update = flag.Bool("update", false, "write the golden files anew")

// testStart is 2026-01-01 in ms.
const testStart = 1_767_225_600_000

// faulty is a small stream with everything in it.
func faulty() Config {
	cfg := Default(testStart)
	cfg.Events, cfg.Customers, cfg.Hot, cfg.Disorder = 20_000, 500, 10, Faults()
	cfg.Disorder.Poison = 10
	return cfg
}

func collect(t *testing.T, cfg Config, most int) (*Generator, []Event) {
	t.Helper()
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var events []Event
	for len(events) < most {
		e, ok := g.Next()
		if !ok {
			break
		}
		events = append(events, e)
	}
	return g, events
}

func text(e *Event) string {
	return fmt.Sprintf("%s %s %s %s %d +%d %s\n", e.Topic, e.Key, e.Class, e.ID, e.Time, e.Arrival-e.Time, e.Value)
}

func TestGenerator_SameSeedIsTheSameBytesOnEveryMachine(t *testing.T) {
	_, events := collect(t, faulty(), 1<<30)
	h := sha256.New()
	var b bytes.Buffer
	for i := range events {
		line := text(&events[i])
		h.Write([]byte(line))
		if i%500 == 0 {
			b.WriteString(strings.ToValidUTF8(line, "?"))
		}
	}
	fmt.Fprintf(&b, "%d records, sha256 %x\n", len(events), h.Sum(nil))
	const file = "testdata/stream.golden"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		t.Errorf("the stream differs from %s; if that is meant: go test -update\n%s", file, b.Bytes())
	}
}

func TestGenerator_AnotherSeedIsAnotherStream(t *testing.T) {
	cfg := faulty()
	_, a := collect(t, cfg, 100)
	cfg.Seed++
	_, b := collect(t, cfg, 100)
	same := 0
	for i := range a {
		if text(&a[i]) == text(&b[i]) {
			same++
		}
	}
	if same > 0 {
		t.Errorf("%d of 100 records are the same", same)
	}
}

func TestGenerator_RecordsComeByArrivalAndACustomerUsesOneTopic(t *testing.T) {
	cfg := faulty()
	g, events := collect(t, cfg, 1<<30)
	if int64(len(events)) != cfg.Events {
		t.Fatalf("%d records, want exactly %d", len(events), cfg.Events)
	}
	topics, byTopic := map[string]string{}, map[string]int{}
	end := cfg.Start + 90*day
	ids := map[string]Class{}
	for i, e := range events {
		if i > 0 && e.Arrival < events[i-1].Arrival {
			t.Fatalf("record %d arrives at %d, before the one ahead of it at %d", i, e.Arrival, events[i-1].Arrival)
		}
		if topics[e.Key] == "" {
			topics[e.Key] = e.Topic
		}
		if topics[e.Key] != e.Topic {
			t.Errorf("customer %s sends to %s and %s", e.Key, topics[e.Key], e.Topic)
		}
		byTopic[e.Topic]++
		switch e.Class {
		case Ordinary, Planted, Near:
			if e.Time < cfg.Start || e.Time >= end {
				t.Errorf("record %d of class %s at %d is outside the period", i, e.Class, e.Time)
			}
			if c, ok := ids[e.ID]; ok {
				t.Errorf("id %s is given twice, to %s and %s", e.ID, c, e.Class)
			}
			ids[e.ID] = e.Class
		case Future:
			if e.Time < end+30*day {
				t.Errorf("record %d: %d is not 30 days ahead of now", i, e.Time)
			}
		}
	}
	for _, topic := range []string{schemas.Payments, schemas.Transactions} {
		if byTopic[topic] < len(events)/5 {
			t.Errorf("%d of %d records are on topic %s", byTopic[topic], len(events), topic)
		}
	}
	tally := g.Tally()
	for class, rate := range map[Class]int64{Repeat: 500, Conflict: 10, Future: 10, BeyondRetention: 10, Poison: 10} {
		if want := cfg.Events / 10_000 * rate; tally[class] != want {
			t.Errorf("%d records of class %s, want exactly %d", tally[class], class, want)
		}
	}
}

func TestGenerator_PeopleSleepAtNightAndBusinessesAtWeekends(t *testing.T) {
	cfg := Default(testStart)
	cfg.Events = 50_000
	_, events := collect(t, cfg, 1<<30)
	var hours [24]int
	var weekdays, weekends int
	busiest := map[string]int{}
	for _, e := range events {
		if e.Class != Ordinary {
			continue
		}
		hours[time.UnixMilli(e.Time).UTC().Hour()]++
		if weekend(e.Time) == 1 {
			weekends++
		} else {
			weekdays++
		}
		busiest[e.Customer]++
	}
	if hours[3]*10 > hours[12] {
		t.Errorf("%d events at 3 h and %d at 12 h", hours[3], hours[12])
	}
	if weekends*5 > weekdays*2 {
		t.Errorf("%d events at weekends, %d on weekdays", weekends, weekdays)
	}
	most := 0
	for _, n := range busiest {
		most = max(most, n)
	}
	if most < 200 || most > 2000 || len(busiest) < 1700 {
		t.Errorf("%d customers, the busiest with %d of 50,000 events", len(busiest), most)
	}
}

func TestGenerator_EndlessStreamGoesOnPeriodAfterPeriod(t *testing.T) {
	cfg := Default(testStart)
	cfg.Events, cfg.PerPeriod, cfg.Customers = 0, 10_000, 1000
	g, events := collect(t, cfg, 60_000)
	if len(events) != 60_000 {
		t.Fatalf("the endless stream ended after %d records", len(events))
	}
	newest := map[string]int64{}
	byEpoch := map[int64]int{}
	for _, e := range events {
		byEpoch[(e.Time-cfg.Start)/(90*day)]++
		newest[e.Customer] = max(newest[e.Customer], e.Time)
	}
	for k := range int64(6) {
		if n := byEpoch[k]; n < 9_900 || n > 10_100 {
			t.Errorf("period %d holds %d records, want about 10,000", k, n)
		}
	}
	planted := map[string]int{}
	for _, l := range g.Labels() {
		if !l.Near {
			planted[l.Pattern]++
		}
	}
	for _, p := range patterns {
		if n := planted[p.rule]; n < 10 {
			t.Errorf("%d planted %s in six periods, want 2 in each", n, p.rule)
		}
	}
}

func TestGenerator_ADormantCustomerWakesOnlyAfterHalfAYear(t *testing.T) {
	cfg := Default(testStart)
	cfg.Events, cfg.PerPeriod, cfg.Customers = 0, 10_000, 100 // 10 dormant ones, 5 of them due in every 90 days
	g, _ := collect(t, cfg, 80_000)
	last, woken := map[string]int64{}, 0
	labels := g.Labels()
	slices.SortFunc(labels, func(a, b Label) int { return cmp.Compare(a.First, b.First) })
	for _, l := range labels {
		if l.Pattern != dormantRule {
			continue
		}
		if before, ok := last[l.Customer]; ok && l.First-before < 180*day {
			t.Errorf("customer %s woke after %d days", l.Customer, (l.First-before)/day)
		}
		last[l.Customer] = l.Last
		woken++
	}
	if woken < 15 {
		t.Errorf("only %d customers woke", woken)
	}
}

func TestGenerator_LabelsTellWhereThePatternLies(t *testing.T) {
	g, events := collect(t, faulty(), 1<<30)
	at := map[string]Event{}
	for _, e := range events {
		if e.Class == Planted || e.Class == Near {
			at[e.ID] = e
		}
	}
	labels := g.Labels()
	if len(labels) != 5*(4+6) {
		t.Errorf("%d labels, want 50", len(labels))
	}
	for _, l := range labels {
		first, last := at[l.FirstID], at[l.LastID]
		if first.Customer != l.Customer || last.Customer != l.Customer || first.Time != l.First || last.Time != l.Last || l.First > l.Last {
			t.Errorf("label %+v begins with %+v and ends with %+v", l, first, last)
		}
		if near := first.Class == Near; near != l.Near {
			t.Errorf("label %+v begins with a record of class %s", l, first.Class)
		}
	}
}

func TestConfig_EveryMistakeIsNamedAtOnceWithItsValue(t *testing.T) {
	_, err := New(Config{
		Events: -1, Customers: 3, Start: 5, Period: time.Millisecond, Retention: time.Second, Now: 1, Hot: 95, Currency: "euro", Planted: -2,
		Disorder: Disorder{OutOfOrder: 9_000, Late: 2_000, Poison: 20_000},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"events -1", "customers 3", "start 5 ms", "period 1ms", "retention 1s", "now 1 ms", "hot 95", `currency "euro"`, "planted -2",
		"out_of_order 9000 and disorder.late 2000", "disorder.poison 20000",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no mention of %q in:\n%v", want, err)
		}
	}
}

func TestConfig_WhatDoesNotFitTogetherIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"too few customers for the patterns": {func(c *Config) { c.Customers = 100 }, "customers 100: 100 of them must be dormant"},
		"too short for a pattern":            {func(c *Config) { c.Period = 2 * 24 * time.Hour }, "period 48h0m0s: patterns take up to 144h0m0s"},
		"more disorder than order":           {func(c *Config) { c.Disorder.Repeats = 6_000 }, "must be half at most"},
		"history before 1970":                {func(c *Config) { c.Start = 100 * day }, "start 8640000000 ms"},
	} {
		cfg := Default(testStart)
		c.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestMeasure_AHitOutsideEveryPlantedLabelIsFalse(t *testing.T) {
	labels := []Label{
		{Pattern: "VEL_OUT", Customer: "a", First: 1000, Last: 2000},
		{Pattern: "VEL_OUT", Customer: "b", First: 1000, Last: 2000},
		{Pattern: "VEL_OUT", Customer: "c", First: 1000, Last: 2000, Near: true},
		{Pattern: "FAN_OUT", Customer: "d", First: 1000, Last: 2000},
	}
	q := Measure(labels, []Hit{
		{"VEL_OUT", "a", 2000}, {"VEL_OUT", "a", 2000 + hour}, // found, and still the pattern's
		{"VEL_OUT", "a", 999}, {"VEL_OUT", "a", 2001 + hour}, // before and behind
		{"VEL_OUT", "c", 1500}, // a near miss that fired
		{"FAN_OUT", "b", 1500}, {"OTHER", "d", 1500},
	})
	if v := q[0]; v.Planted != 2 || v.Found != 1 || len(v.Missed) != 1 || v.Missed[0].Customer != "b" || v.Near != 1 || v.NearFound != 1 || v.Hits != 5 || v.False != 3 {
		t.Errorf("VEL_OUT: %+v", v)
	}
	if f := q[3]; f.Planted != 1 || f.Found != 0 || f.Hits != 1 || f.False != 1 || f.Recall() != 0 || f.Precision() != 0 {
		t.Errorf("FAN_OUT: %+v", f)
	}
	if d := q[4]; d.Recall() != 100 || d.Precision() != 100 {
		t.Errorf("DORMANT, nothing planted and nothing found: %+v", d)
	}
}

func BenchmarkGenerator_Next(b *testing.B) {
	cfg := Default(testStart)
	cfg.Events, cfg.Disorder = 0, Faults()
	g, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for range b.N {
		g.Next()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
