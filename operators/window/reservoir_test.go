package window_test

import (
	"strconv"
	"testing"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// TestSpan_LeftEndIsOutAndRightEndIsIn: a window is (τ−W, τ].
func TestSpan_LeftEndIsOutAndRightEndIsIn(t *testing.T) {
	l := life{c: window.New("t", "c", plain(1, 1000))}
	for at := range int64(30) {
		l.fold(at / 3) // every time thrice
	}
	for _, x := range []struct{ from, to, want int64 }{{0, 9, 27}, {-1, 9, 30}, {3, 4, 3}, {4, 4, 0}, {-5, -1, 0}, {9, 20, 0}, {8, 20, 3}} {
		i, j := l.c.Span(x.from, x.to)
		if n, sum := l.c.Count(i, j, window.All, window.None), l.c.Total(i, j, window.All, window.None); n != x.want || sum.Decimal() != strconv.FormatInt(x.want, 10) {
			t.Errorf("(%d, %d]: count %d, sum %s, want %d", x.from, x.to, n, sum.Decimal(), x.want)
		}
	}
}

// TestFold_TiesStandInLogOrder: of two events at one time the later in the log is the later.
func TestFold_TiesStandInLogOrder(t *testing.T) {
	l := life{c: window.New("t", "c", plain(1, 1000, window.Since{Key: 1, Bit: window.All}))}
	for want, at := range []int64{5, 5, 5} {
		place := l.fold(at)
		if place != want {
			t.Errorf("tie number %d stands at %d", want, place)
		}
		if since, found, _ := l.c.Since(0, place); found != (want > 0) || found && since != 5 {
			t.Errorf("tie number %d: since %d, found %t", want, since, found)
		}
	}
	l.fold(9)
	if place := l.fold(5); place != 3 {
		t.Errorf("a late tie stands at %d, behind the three before it is 3", place)
	}
}

// TestFold_LateEventMovesTheSumsBehindIt: what comes in late counts for every later window and for no earlier one.
func TestFold_LateEventMovesTheSumsBehindIt(t *testing.T) {
	l := life{c: window.New("t", "c", plain(1, 1000))}
	for _, at := range []int64{10, 20, 30, 40} {
		l.fold(at)
	}
	place := l.fold(25)
	for _, x := range []struct{ from, to, want int64 }{{0, 20, 2}, {20, 25, 1}, {25, 40, 2}, {0, 40, 5}, {20, 30, 2}} {
		i, j := l.c.Span(x.from, x.to)
		if n, sum := l.c.Count(i, j, window.All, window.None), l.c.Total(i, j, window.All, window.None); n != x.want || sum != schemas.I128(x.want*schemas.Micro) {
			t.Errorf("(%d, %d]: count %d, sum %s, want %d", x.from, x.to, n, sum.Decimal(), x.want)
		}
	}
	l.c.Unfold(place)
	i, j := l.c.Span(0, 40)
	if n, sum := l.c.Count(i, j, window.All, window.None), l.c.Total(i, j, window.All, window.None); n != 4 || sum != schemas.I128(4*schemas.Micro) {
		t.Errorf("taken out again: count %d, sum %s", n, sum.Decimal())
	}
}

// TestFold_NoAmountIsNoZero: an event without an amount is counted, but is no amount of zero to sums and extremes.
func TestFold_NoAmountIsNoZero(t *testing.T) {
	c := window.New("t", "c", plain(1, 1000))
	e := schemas.Event{Kind: schemas.KindPayment, Time: 5}
	c.Fold(&e, 1, true, true, 1)
	i, j := c.Span(0, 5)
	_, n := c.Sum(i, j, window.All, window.None)
	if _, _, ok := c.Extremes(i, j, window.All, window.None); c.Count(i, j, window.All, window.None) != 1 || n != 0 || ok {
		t.Errorf("count %d, amounts %d, extremes %t", c.Count(i, j, window.All, window.None), n, ok)
	}
}

// TestDistinct_PriorLeavesItsOwnRowOut: the event's own value counts only if another event has it too.
func TestDistinct_PriorLeavesItsOwnRowOut(t *testing.T) {
	c := window.New("t", "c", plain(1, 1000))
	var marks window.Marks
	for n, x := range []struct {
		to   string
		want int64
	}{{"a", 0}, {"a", 1}, {"b", 1}, {"b", 2}, {"", 2}, {"", 3}} {
		e := schemas.Event{Kind: schemas.KindPayment, Time: 5, Side: schemas.SideOut}
		e.SetText(schemas.FieldCounterparty, x.to)
		place := c.Fold(&e, uint64(n), false, true, 1)
		i, j := c.Span(0, 5)
		if got, ok := c.Distinct(i, j, window.All, place, schemas.FieldCounterparty, &marks); !ok || got != x.want {
			t.Errorf("event %d to %q: %d distinct before it, want %d", n, x.to, got, x.want)
		}
		if got, _ := c.Distinct(i, j, window.All, place, schemas.FieldDirection, &marks); got != int64(min(n, 1)) {
			t.Errorf("event %d: %d directions before it", n, got)
		}
	}
}

// TestDistinct_BeyondTheCapIsRefused: 65,536 values are counted, one more is no estimate.
func TestDistinct_BeyondTheCapIsRefused(t *testing.T) {
	c := window.New("t", "c", plain(1, 1000))
	var marks window.Marks
	for n := range window.MaxDistinct + 1 {
		e := schemas.Event{Kind: schemas.KindPayment, Time: 5}
		e.SetText(schemas.FieldCounterparty, strconv.Itoa(n))
		c.Fold(&e, uint64(n), false, true, 1)
	}
	i, j := c.Span(0, 5)
	if got, ok := c.Distinct(i, j, window.All, j-1, schemas.FieldCounterparty, &marks); !ok || got != window.MaxDistinct {
		t.Errorf("at the cap: %d, %t", got, ok)
	}
	if got, ok := c.Distinct(i, j, window.All, window.None, schemas.FieldCounterparty, &marks); ok {
		t.Errorf("beyond the cap: %d is given out as exact", got)
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
	for _, o := range []schemas.Origin{{}, {Topic: "a"}, {Topic: "a\x00"}, {Partition: 1}, {Offset: 1}, {Topic: "a", Partition: 1}, {Topic: "a", Offset: 1}, {Partition: 1, Offset: 1}} {
		places[window.OriginHash(&o)] = true
	}
	if len(places) != 8 {
		t.Errorf("%d hashes of 8 places", len(places))
	}
}
