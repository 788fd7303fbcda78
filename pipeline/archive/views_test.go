package archive

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/streamgauge/streamgauge/schemas"
)

// alertFact is a replayed event of 2018 that fired a live and a shadow rule, in the log since appended.
func alertFact(offset int64, appended time.Time) *schemas.Fact {
	f := plainFact(0, offset)
	f.Event.Customer, f.Event.ID = "c1", "e1"
	f.Event.Time = time.Date(2018, 4, 1, 0, 0, 31, 0, time.UTC).UnixMilli() + offset
	f.Appended, f.InitialLevel, f.FinalLevel = appended.UnixMilli(), schemas.LevelHigh, schemas.LevelHigh
	f.Hits = []schemas.HitExplained{
		{Rule: "VEL_OUT", Version: 3, Level: schemas.LevelHigh, Score: 40, AtWatermark: true, Reason: "7 payments in 1 h, more than 5", Values: []schemas.Attribute{{Name: "count(1h)", Value: "7"}}},
		{Rule: "TRIAL", Version: 1, Level: schemas.LevelLow, Shadow: true, Reason: "tried only"},
	}
	return f
}

func TestAlertsToday_FollowTheLogsDayAndShowTheExplanation(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	day := time.Now().UTC().Truncate(24 * time.Hour)
	facts := []*schemas.Fact{alertFact(0, day.Add(-time.Millisecond)), alertFact(1, day), alertFact(2, day.Add(23*time.Hour))}
	var rows []row
	for _, f := range facts {
		r := row{Fact: *f}
		if err := r.fits(); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if err := b.table().insert(t.Context(), "t", rows); err != nil {
		t.Fatal(err)
	}
	var n uint64
	b.row("SELECT count() FROM {db}.alerts_today", &n)
	if !time.Now().UTC().Truncate(24 * time.Hour).Equal(day) {
		t.Skip("midnight passed during the test")
	}
	if n != 2 {
		t.Fatalf("%d alerts today, want 2: yesterday's and the shadow rule's are none", n)
	}
	var rule, level, customer, event, reason, assessment string
	var amount *decimal.Decimal
	var measured map[string]string
	var atWatermark bool
	b.row("SELECT rule, level, customer, event_id, amount, reason, measured, toString(assessment), at_watermark FROM {db}.alerts_today ORDER BY appended LIMIT 1",
		&rule, &level, &customer, &event, &amount, &reason, &measured, &assessment, &atWatermark)
	if rule != "VEL_OUT" || level != "HIGH" || customer != "c1" || event != "e1" || amount.String() != "57.160001" ||
		reason != "7 payments in 1 h, more than 5" || measured["count(1h)"] != "7" || !atWatermark || assessment != facts[1].Assessment {
		t.Errorf("alert is %s %s %s %s %s %s %v %t %s", rule, level, customer, event, amount, reason, measured, atWatermark, assessment)
	}
}

func TestTimeline_ShowsACustomersEventsInTheirOrder(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	var rows []row
	for i := range int64(50) {
		f := plainFact(0, 50-i) // later offsets are earlier events
		f.Event.Customer = []string{"c1", "c2"}[i%2]
		rows = append(rows, row{Fact: *f})
	}
	rows = append(rows, row{Fact: *alertFact(99, time.Now())})
	if err := b.table().insert(t.Context(), "t", rows); err != nil {
		t.Fatal(err)
	}
	found, err := b.conn.Query(t.Context(), "SELECT time, kind, side, amount, currency, counterparty, outcome, level, hits, features FROM "+b.cfg.Database+
		".timeline WHERE team = 'aml' AND customer = 'c1' ORDER BY time")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	var last time.Time
	n := 0
	for found.Next() {
		var at time.Time
		var kind, side, currency, counterparty, outcome, level string
		var amount *decimal.Decimal
		var hits []string
		var features map[string]decimal.Decimal
		if err := found.Scan(&at, &kind, &side, &amount, &currency, &counterparty, &outcome, &level, &hits, &features); err != nil {
			t.Fatal(err)
		}
		if at.Before(last) {
			t.Errorf("event of %v after one of %v", at, last)
		}
		if n == 0 && (level != "HIGH" || len(hits) != 2 || hits[0] != "VEL_OUT (HIGH): 7 payments in 1 h, more than 5") {
			t.Errorf("first event has level %s, hits %q", level, hits)
		}
		if kind != "payment" || side != "OUT" || currency != "EUR" || outcome != "assessed" || len(features) != 6 {
			t.Errorf("event is %s %s %s %s %v", kind, side, currency, outcome, features)
		}
		last = at
		n++
	}
	if n != 26 {
		t.Errorf("%d events, want 26", n)
	}
}
