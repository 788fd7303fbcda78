package generator_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/bench/oracle"
	"github.com/streamgauge/streamgauge/schemas"
)

const logStart = 1_767_225_600_000 // 2026-01-01

// workload is a log whose rare classes are not so rare.
func workload() generator.LogConfig {
	cfg := generator.Workload(logStart)
	cfg.Records, cfg.Customers, cfg.Partitions = 40_000, 200, 4
	cfg.Poison, cfg.Future, cfg.Beyond, cfg.Unknown, cfg.Unsupported, cfg.Ahead, cfg.Backdated = 20, 50, 50, 20, 20, 50, 20
	return cfg
}

func newLog(t *testing.T, cfg generator.LogConfig) *generator.Log {
	t.Helper()
	l, err := generator.NewLog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLog_SameSeedIsTheSameLogAndAnotherSeedAnotherOne(t *testing.T) {
	cfg := workload()
	a, b := newLog(t, cfg), newLog(t, cfg)
	cfg.Seed++
	c := newLog(t, cfg)
	different := 0
	for range cfg.Records {
		x, _ := a.Next()
		y, _ := b.Next()
		z, ok := c.Next()
		if !ok || x.Class != y.Class || x.Partition != y.Partition || x.Offset != y.Offset || x.Appended != y.Appended || !bytes.Equal(x.Value, y.Value) {
			t.Fatalf("offset %d of partition %d:\n%+v\n%+v", x.Offset, x.Partition, x, y)
		}
		if !bytes.Equal(x.Value, z.Value) {
			different++
		}
	}
	if _, more := a.Next(); more || different < 30_000 {
		t.Errorf("more than %d records: %v; %d of another seed differ", cfg.Records, more, different)
	}
}

// TestLog_SharesAreThoseOfTheWorkload: engine.md 4.12, in the log that Workload makes unless told otherwise.
func TestLog_SharesAreThoseOfTheWorkload(t *testing.T) {
	l := newLog(t, generator.Workload(logStart))
	customers, amounts := map[string]int{}, map[string]int{}
	events := 0
	last := int64(0)
	for r, ok := l.Next(); ok; r, ok = l.Next() {
		if r.Appended < last {
			t.Fatalf("log time goes back from %d to %d", last, r.Appended)
		}
		last = r.Appended
		if k := r.Event.Kind; k != schemas.KindPayment && k != schemas.KindTransaction {
			continue
		}
		events++
		customers[r.Event.Customer]++
		switch a := r.Event.Amount; {
		case !r.Event.HasAmount:
			amounts["none"]++
		case a >= schemas.MaxAmount-1, a <= -schemas.MaxAmount+1:
			amounts["extreme"]++
		case a < 0:
			amounts["negative"]++
		}
	}
	tally := l.Tally()
	share := func(what string, got int, of int, want float64) {
		t.Helper()
		p := want / 100
		if sigma := math.Sqrt(float64(of) * p * (1 - p)); math.Abs(float64(got)-float64(of)*p) > 4*sigma+1 {
			t.Errorf("%s: %d of %d, want %.2f %%", what, got, of, want)
		}
	}
	all := 100_000
	for class, percent := range map[generator.LogClass]float64{
		generator.LogOutOfOrder: 10, generator.LogHours: 0.5, generator.LogPoison: 0.01, generator.LogBeyond: 0.1, generator.LogConflict: 0.2,
		generator.LogFuture: 0.1, generator.LogEqualTime: 2,
	} {
		share(class.String(), int(tally[class]), all, percent)
	}
	share("duplicates within the retention", int(tally[generator.LogRedelivery]+tally[generator.LogRepeat]), all, 5)
	states := 0
	for c := generator.LogRetraction; c < generator.NumLogClasses; c++ {
		if c != generator.LogAwaited {
			states += int(tally[c])
		}
		if tally[c] == 0 {
			t.Errorf("no %s", c)
		}
	}
	share("stateChanges", states-104, all, 5)
	share("without an amount", amounts["none"], events, 1)
	share("extreme amounts", amounts["extreme"], events, 1)
	share("amounts below zero", amounts["negative"], events, 3.5)
	var counts []int
	for _, n := range customers {
		counts = append(counts, n)
	}
	slices.Sort(counts)
	slices.Reverse(counts)
	// of the weights k^−1.2, k up to 999, the first has 1 of 4.34, the second 2^−1.2 of that, the tenth 10^−1.2
	if hot, first := float64(counts[0])/float64(events), float64(counts[1])/float64(events); math.Abs(hot-0.2) > 0.02 || math.Abs(first-0.8/4.34) > 0.02 {
		t.Errorf("the hot customer has %.3f of the events, the next one %.3f", hot, first)
	}
	if ratio := float64(counts[1]) / float64(counts[2]); math.Abs(ratio-2.297) > 0.2 {
		t.Errorf("the first by Zipf's law has %.2f times the second's events", ratio)
	}
	if ratio := float64(counts[1]) / float64(counts[10]); math.Abs(ratio-15.85) > 2 {
		t.Errorf("the first by Zipf's law has %.2f times the tenth's events", ratio)
	}
}

// TestLog_EveryClassMeetsTheOutcomeThatItIsThereFor feeds the oracle.
func TestLog_EveryClassMeetsTheOutcomeThatItIsThereFor(t *testing.T) {
	want := map[generator.LogClass]string{
		generator.LogControl: "applied ", generator.LogOnTime: "assessed ", generator.LogOutOfOrder: "assessed ", generator.LogHours: "assessed ",
		generator.LogEqualTime: "assessed ", generator.LogAhead: "assessed ", generator.LogAwaited: "assessed ",
		generator.LogRedelivery: "duplicate redelivery", generator.LogRepeat: "duplicate ", generator.LogBeyond: "rejected beyond_retention",
		generator.LogConflict: "rejected conflict", generator.LogFuture: "rejected future", generator.LogUnknown: "rejected unknown_state",
		generator.LogUnsupported: "rejected unsupported_kind", generator.LogPoison: "rejected ",
		generator.LogRetraction: "applied ", generator.LogRestoration: "applied ", generator.LogSuperseded: "applied superseded",
		generator.LogEarly: "parked unknown_event, rejected parked_overflow", generator.LogOrphan: "parked unknown_event, rejected parked_overflow",
		generator.LogRestated: "duplicate , applied ", generator.LogBadState: "rejected future, rejected unknown_state",
	}
	cfg := workload()
	o, err := oracle.New(oracle.Config{
		Retention: cfg.Retention.Milliseconds(), BaseCurrency: cfg.Currency, Counted: cfg.Counted, Uncounted: cfg.Uncounted, HumanFrom: schemas.LevelHigh, Generation: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	l := newLog(t, cfg)
	met, released := map[string]int{}, map[string]int{}
	off := 0
	for r, ok := l.Next(); ok; r, ok = l.Next() {
		var e schemas.Event
		err := schemas.Events.Codec.Decode(r.Value, &e)
		if (err != nil) != (r.Class == generator.LogPoison) {
			t.Fatalf("class %s, decoded: %v", r.Class, err)
		}
		w, more := o.Step(&oracle.Record{Partition: r.Partition, Offset: r.Offset, Appended: r.Appended, Event: e, Broken: err != nil})
		got := w.Outcome.String() + " " + w.Reason
		met[r.Class.String()+" "+got]++
		if !slices.Contains(strings.Split(want[r.Class], ", "), got) {
			off++
			t.Errorf("%s: %s, want %s\n%+v", r.Class, got, want[r.Class], r.Event)
		}
		if off > 5 {
			t.FailNow()
		}
		if w.Late && w.Outcome == schemas.Assessed {
			met["late"]++
		}
		for _, x := range more {
			released[x.Outcome.String()+" "+x.Reason]++
		}
	}
	t.Log(met, released)
	if met["late"] < 2_000 {
		t.Errorf("%d events are late for their customer", met["late"])
	}
	for class, outcomes := range want {
		for _, outcome := range strings.Split(outcomes, ", ") {
			if met[class.String()+" "+outcome] == 0 && !(class == generator.LogEarly && strings.HasSuffix(outcome, "overflow")) {
				t.Errorf("no %s became %s", class, outcome)
			}
		}
	}
	for _, outcome := range []string{"applied ", "applied superseded", "rejected parked_expired"} {
		if released[outcome] == 0 {
			t.Errorf("nothing released is %s", outcome)
		}
	}
}

func TestLogConfig_EveryMistakeIsNamedAtOnceWithItsValue(t *testing.T) {
	cfg := generator.LogConfig{Records: 1, Partitions: 2, Customers: 1, Hot: 95, Start: -5, Period: 1, Retention: 1, Currency: "euro", Crowds: 3, Poison: -1, Repeat: 20_000, Backdated: 101}
	_, err := generator.NewLog(cfg)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"records 1", "customers 1", "hot 95", "start -5 ms", "period 1ns", "retention 1ns", `currency "euro"`, "at least one state each", "crowds 3", "poison -1", "backdated 101", "shares: 19999",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no mention of %q in:\n%v", want, err)
		}
	}
}
