package window_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// TestSpan_LeftEndIsOutAndRightEndIsIn: a window is (τ−W, τ].
func TestSpan_LeftEndIsOutAndRightEndIsIn(t *testing.T) {
	widths := []int64{1, 2, 9, 10, 1000}
	l := life{c: window.New("t", "c", plain(1, 1000, widths))}
	var p window.Place
	for at := range int64(30) {
		p = l.fold(at / 3) // every time thrice
	}
	for k, want := range []int64{3, 6, 27, 30, 30} {
		got := l.measure(p, 9, 2*len(widths))
		if n, sum := got[2*k].I, got[2*k+1].I; n != schemas.I128(want) || sum.Decimal() != strconv.FormatInt(want, 10) {
			t.Errorf("(%d, 9]: count %v, sum %s, want %d", 9-widths[k], n, sum.Decimal(), want)
		}
	}
	if got := l.measure(l.fold(4), 4, 2*len(widths)); got[0].I != schemas.I128(4) || got[2].I != schemas.I128(7) || got[6].I != schemas.I128(16) {
		t.Errorf("seen from a late event at 4: %+v", got)
	}
}

// TestSpan_DaysBeginWhereTheCalendarSays: clocks change at midnight in Beirut, and where that hour is missing a day begins at one.
func TestSpan_DaysBeginWhereTheCalendarSays(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Beirut")
	if err != nil {
		t.Skip("no time-zone data: ", err)
	}
	utc := func(s string) int64 {
		x, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return x.UnixMilli()
	}
	s := &window.Shape{Zone: zone, Spans: []window.Span{{Unit: window.Day}, {Unit: window.Week}, {Unit: window.Month}, {Unit: window.Quarter}, {Unit: window.Year}, {Unit: window.Daily, Length: 2 * day}}}
	for _, x := range []struct {
		span           int
		at, start, end string // end: of Daily
	}{
		{0, "2024-03-30T22:00:00Z", "2024-03-30T22:00:00Z", ""}, // 2024-03-31 has no 00:00 there
		{0, "2024-03-30T21:59:59Z", "2024-03-29T22:00:00Z", ""},
		{0, "2024-04-01T12:00:00Z", "2024-03-31T21:00:00Z", ""},
		{1, "2024-03-31T12:00:00Z", "2024-03-24T22:00:00Z", ""},
		{2, "2024-03-31T20:59:59Z", "2024-02-29T22:00:00Z", ""},
		{2, "2024-03-31T21:00:00Z", "2024-03-31T21:00:00Z", ""},
		{3, "2024-06-15T00:00:00Z", "2024-03-31T21:00:00Z", ""},
		{4, "2024-06-15T00:00:00Z", "2023-12-31T22:00:00Z", ""},
		{5, "2024-04-01T12:00:00Z", "2024-03-29T22:00:00Z", "2024-03-31T21:00:00Z"},
	} {
		from, to := s.Bounds(x.span, utc(x.at))
		want := utc(x.at)
		if x.end != "" {
			want = utc(x.end) - 1
		}
		if from != utc(x.start)-1 || to != want {
			t.Errorf("span %d at %s: (%s, %s]", x.span, x.at, time.UnixMilli(from).UTC().Format(time.RFC3339Nano), time.UnixMilli(to).UTC().Format(time.RFC3339Nano))
		}
	}
}

// TestFold_TiesStandInLogOrder: of two events at one time the later in the log is the later.
func TestFold_TiesStandInLogOrder(t *testing.T) {
	shape := &window.Shape{Version: 1, Retention: 1000, Spans: []window.Span{{Length: 10}}}
	for _, f := range []window.Func{window.First, window.Last} {
		shape.Aggregates = append(shape.Aggregates, window.Aggregate{Func: f, Field: window.Amount, Filter: window.All, Scan: window.NoScan})
	}
	shape.Aggregates = append(shape.Aggregates, window.Aggregate{Func: window.Since, Field: window.NoField, Filter: window.All, Scan: window.NoScan})
	l := life{c: window.New("t", "c", shape)}
	n := int64(0)
	fold := func(at int64) []window.Value {
		n++
		e := schemas.Event{Kind: schemas.KindPayment, Time: at, HasAmount: true, Amount: n}
		p := l.c.Fold(&e, uint64(n), true, true, n)
		return l.measure(p, at, 3)
	}
	for want := int64(1); want <= 3; want++ {
		if v := fold(5); v[0].I != schemas.I128(1) || v[1].I != schemas.I128(want) || (v[2].Why == "") != (want > 1) || v[2].I != (schemas.Int128{}) {
			t.Errorf("tie number %d: %+v", want, v)
		}
	}
	fold(9)
	if v := fold(5); v[0].I != schemas.I128(1) || v[1].I != schemas.I128(5) {
		t.Errorf("a late tie stands behind the three before it: %+v", v)
	}
}

// TestFold_NoAmountIsNoZero: an event without an amount is counted, but is no amount of zero to sums and extremes.
func TestFold_NoAmountIsNoZero(t *testing.T) {
	shape := featureShape(counterparty, 10)
	shape.Retention = 1000
	c := window.New("t", "c", shape)
	e := schemas.Event{Kind: schemas.KindPayment, Time: 5}
	out := make([]window.Value, len(shape.Aggregates))
	c.Measure(c.Fold(&e, 1, true, true, 1), 5, out, &window.Scratch{})
	if out[0].I != schemas.I128(1) || out[1].Why != "" || out[1].I.Sign() != 0 {
		t.Errorf("count %+v, sum %+v", out[0], out[1])
	}
	for slot := 2; slot < 8; slot++ {
		if out[slot].Why != window.WhyNone {
			t.Errorf("function %d of no amount is %+v", shape.Aggregates[slot].Func, out[slot])
		}
	}
}

// TestDistinct_BeyondTheCapIsRefused: 65,536 values are counted, one more is no estimate.
func TestDistinct_BeyondTheCapIsRefused(t *testing.T) {
	shape := featureShape(counterparty, 10)
	shape.Retention = 1000
	c := window.New("t", "c", shape)
	out := make([]window.Value, len(shape.Aggregates))
	var s window.Scratch
	for n := range window.MaxDistinct + 1 {
		e := schemas.Event{Kind: schemas.KindPayment, Time: 5}
		e.SetText(schemas.FieldCounterparty, strconv.Itoa(n))
		p := c.Fold(&e, uint64(n)<<32, false, true, 1)
		if n < window.MaxDistinct-1 {
			continue
		}
		c.Measure(p, 5, out, &s)
		if v := out[8]; n < window.MaxDistinct && v.I != schemas.I128(window.MaxDistinct) || n == window.MaxDistinct && v.Why != window.WhyCap {
			t.Errorf("value %d: %+v", n+1, v)
		}
	}
}

// TestIdentity_SideIsPartOfIt: one id on both sides is two events, and places differ by topic, partition and offset.
func TestIdentity_SideIsPartOfIt(t *testing.T) {
	ids := map[uint64]bool{}
	for _, id := range []string{"", "a", "\x01a", "\x02"} {
		for _, side := range []schemas.Side{schemas.SideNone, schemas.SideOut, schemas.SideIn} {
			ids[window.IDHash(id, side)] = true
		}
	}
	if len(ids) != 12 {
		t.Errorf("%d hashes of 12 identities", len(ids))
	}
	places := map[uint32]bool{}
	for p := range int32(20) {
		for o := range int64(5000) {
			places[window.OriginHash(&schemas.Origin{Topic: "payments", Partition: p, Offset: o})] = true
		}
	}
	for _, o := range []schemas.Origin{{}, {Topic: "a"}, {Topic: "a\x00"}, {Partition: 1}, {Offset: 1}, {Topic: "a", Partition: 1}, {Topic: "a", Offset: 1}} {
		places[window.OriginHash(&o)] = true
	}
	if len(places) < 100_007-10 { // 2³² places hold 100,000 with one meeting on average
		t.Errorf("%d hashes of 100,007 places", len(places))
	}
}
