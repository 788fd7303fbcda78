package generator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/bench/oracle"
	"github.com/streamgauge/streamgauge/schemas"
)

// start is 2026-01-01 in ms.
const start = 1_767_225_600_000

// partitions of the log that read builds.
const partitions = 4

// record is one generated record as it stands in the log, with what the oracle says of it.
type record struct {
	generator.Event
	want oracle.Want
}

// run generates a whole stream, reads it as intake would, appends it to a log and asks the oracle. Poison never reaches the log.
func run(t *testing.T, cfg generator.Config) ([]record, []generator.Label) {
	t.Helper()
	g, err := generator.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	rules := oracle.Default()
	rules.Features = nil
	o, err := oracle.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	var log []record
	var offsets [partitions]int64
	appended := start + 91*24*time.Hour.Milliseconds()
	for origin := int64(0); ; origin++ {
		e, ok := g.Next()
		if !ok {
			return log, g.Labels()
		}
		r := oracle.Record{Appended: appended}
		if r.Event, err = read(e.Value, e.Topic); err != nil {
			if e.Class != generator.Poison {
				t.Fatalf("record %d of class %s is not readable: %v\n%s", origin, e.Class, err, e.Value)
			}
			continue
		}
		if e.Class == generator.Poison {
			t.Fatalf("record %d is poison and readable: %s", origin, e.Value)
		}
		if r.Event.ID != e.ID || r.Event.Customer != e.Customer || r.Event.Time != e.Time || e.Key != e.Customer {
			t.Fatalf("record %d: value %s says other things than %+v", origin, e.Value, e)
		}
		h := fnv.New32a()
		h.Write([]byte(e.Customer))
		r.Partition = int32(h.Sum32() % partitions)
		r.Offset = offsets[r.Partition]
		r.Event.Origin = schemas.Origin{Topic: e.Topic, Offset: origin}
		offsets[r.Partition]++
		w, _ := o.Step(&r)
		log = append(log, record{e, w})
	}
}

// read is an intake of the test's own: strict about keys and types, through encoding/json.
func read(value []byte, topic string) (e schemas.Event, err error) {
	e.Kind, e.Team = schemas.KindPayment, "retail"
	var amount json.Number
	var direction, currency string
	fields := map[schemas.Field]*string{}
	for _, f := range []schemas.Field{schemas.FieldCounterparty, schemas.FieldChannel, schemas.FieldCountry, schemas.FieldState, schemas.FieldType} {
		fields[f] = new(string)
	}
	if topic == schemas.Payments {
		var v struct {
			WorkspaceID, SpektrID, Source, Type string
			CreatedAt                           int64
			EventData                           *struct {
				TransactionID                                  string `json:"transaction_id"`
				Type, Currency, Counterparty, Country, Channel string
				Amount                                         json.Number
			}
		}
		if err := strictly(value, &v); err != nil {
			return e, err
		}
		if v.Type != "paymentMade" || v.WorkspaceID == "" || v.EventData == nil {
			return e, fmt.Errorf("no payment")
		}
		d := v.EventData
		e.Customer, e.Time, e.ID, amount, currency = v.SpektrID, v.CreatedAt, d.TransactionID, d.Amount, d.Currency
		direction = map[string]string{"deposit": "IN", "withdrawal": "OUT"}[d.Type]
		*fields[schemas.FieldCounterparty], *fields[schemas.FieldCountry], *fields[schemas.FieldChannel] = d.Counterparty, d.Country, d.Channel
		if currency == "" {
			return e, fmt.Errorf("no currency")
		}
	} else {
		v := struct {
			ID, Customer, Direction, Currency      string
			Time                                   time.Time
			Amount                                 json.Number
			Counterparty, Channel, Country, Status string
			Type                                   string
		}{}
		if err := strictly(value, &v); err != nil {
			return e, err
		}
		e.ID, e.Customer, e.Time, amount, direction, currency = v.ID, v.Customer, v.Time.UnixMilli(), v.Amount, v.Direction, v.Currency
		*fields[schemas.FieldCounterparty], *fields[schemas.FieldCountry], *fields[schemas.FieldChannel] = v.Counterparty, v.Country, v.Channel
		*fields[schemas.FieldState], *fields[schemas.FieldType] = v.Status, v.Type
	}
	e.Side = map[string]schemas.Side{"OUT": schemas.SideOut, "IN": schemas.SideIn}[direction]
	if e.ID == "" || e.Customer == "" || e.Side == schemas.SideNone {
		return e, fmt.Errorf("incomplete")
	}
	e.Amount, _, err = schemas.ParseAmount(string(amount))
	e.HasAmount = true
	fields[schemas.FieldCurrency] = &currency
	for f, text := range fields {
		if *text != "" {
			e.SetText(f, *text)
		}
	}
	return e, err
}

func strictly(value []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("more than one value")
	}
	return nil
}

// hits of the five rules over a log.
func hits(log []record) (list []generator.Hit) {
	for i := range log {
		for _, j := range log[i].want.Rules {
			if j.Verdict == schemas.Hit {
				list = append(list, generator.Hit{Rule: j.Rule, Customer: log[i].Customer, Time: log[i].Time})
			}
		}
	}
	return list
}

func TestGenerator_EveryPlantedPatternIsFoundAndNearMissesMostlyAreNot(t *testing.T) {
	cfg := generator.Default(start)
	cfg.Events, cfg.Customers = 60_000, 1000
	log, labels := run(t, cfg)
	if int64(len(log)) != cfg.Events {
		t.Fatalf("%d records, want %d", len(log), cfg.Events)
	}
	qualities := generator.Measure(labels, hits(log))
	for _, q := range qualities {
		t.Log(q.String())
		if int64(q.Planted) != cfg.Events/10_000*int64(cfg.Planted) || int64(q.Near) != cfg.Events/10_000*int64(cfg.Near) {
			t.Errorf("%s: %d planted and %d near labels, want %d and %d per 10,000 of %d", q.Pattern, q.Planted, q.Near, cfg.Planted, cfg.Near, cfg.Events)
		}
		if q.Found != q.Planted {
			t.Errorf("%s: missed %+v", q.Pattern, q.Missed)
		}
		if q.NearFound*2 > q.Near {
			t.Errorf("%s: %d of %d near misses fired", q.Pattern, q.NearFound, q.Near)
		}
		if q.Hits > len(log)/50 {
			t.Errorf("%s: %d hits on %d events bury an analyst", q.Pattern, q.Hits, len(log))
		}
	}
	if len(qualities) != 5 {
		t.Errorf("%d patterns, want 5", len(qualities))
	}
}

func TestGenerator_NearMissesStayBelowTheThresholdsByThemselves(t *testing.T) {
	cfg := generator.Default(start)
	cfg.Events, cfg.Customers, cfg.Planted, cfg.Near = 20_000, 4000, 0, 60
	g, err := generator.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := oracle.New(oracle.Default())
	offset := int64(0)
	for e, ok := g.Next(); ok; e, ok = g.Next() {
		if e.Class != generator.Near && e.Class != generator.History {
			continue // only what near made is in this log
		}
		r := oracle.Record{Offset: offset, Appended: e.Time}
		if r.Event, err = read(e.Value, e.Topic); err != nil {
			t.Fatal(err)
		}
		offset++
		if w, _ := o.Step(&r); w.Level > schemas.LevelNone {
			t.Errorf("a near miss fired by itself: %+v", w)
		}
	}
	if len(g.Labels()) != 5*120 {
		t.Errorf("%d labels, want 600", len(g.Labels()))
	}
}

// TestGenerator_DisorderIsWhatItSaysItIs: each class of disorder meets the outcome that it is there for.
func TestGenerator_DisorderIsWhatItSaysItIs(t *testing.T) {
	cfg := generator.Default(start)
	cfg.Events, cfg.Customers, cfg.Disorder, cfg.Hot = 40_000, 1000, generator.Faults(), 20
	cfg.Disorder.Labelled, cfg.Disorder.Poison = true, 20
	log, _ := run(t, cfg)
	outcomes := map[string]int{}
	var late, equal, declined, foreign int
	last := map[string]int64{}
	for i := range log {
		r := &log[i]
		outcome := r.want.Outcome.String() + " " + r.want.Reason
		outcomes[r.Class.String()+": "+outcome]++
		want := map[generator.Class]string{
			generator.Repeat: "duplicate ", generator.Conflict: "rejected conflict", generator.Future: "rejected future", generator.BeyondRetention: "rejected beyond_retention",
		}[r.Class]
		if want == "" {
			want = "assessed "
		}
		if outcome != want {
			t.Errorf("record %d of class %s is %s, want %s: %s", i, r.Class, outcome, want, r.Value)
		}
		if r.Class > generator.Near {
			continue
		}
		if r.want.Late {
			late++
		}
		if last[r.Customer] == r.Time {
			equal++
		}
		last[r.Customer] = r.Time
		if strings.Contains(string(r.Value), `"status":"DECLINED"`) {
			declined++
		}
		if !r.want.HasBase {
			foreign++
		}
	}
	t.Log(outcomes, "late", late, "equal", equal, "declined", declined, "foreign", foreign)
	for what, n := range map[string]int{"late": late, "equal times": equal, "declined": declined, "foreign": foreign} {
		if n == 0 {
			t.Errorf("no %s event", what)
		}
	}
	if n := int64(len(log)) + 80; n != cfg.Events { // 20 poison records per 10,000
		t.Errorf("%d records, want %d", n, cfg.Events)
	}
}
