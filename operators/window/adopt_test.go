package window_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// TestAdopt_LateOrEarlyGivesTheSameBytes has one customer live through trims, stores, evictions, aborts and configurations that are
// adopted late, and another take the same log with configurations where the log has them and nothing else: at the end both have one form,
// chunk borders and versions included.
func TestAdopt_LateOrEarlyGivesTheSameBytes(t *testing.T) {
	defer window.SetLimits(smallLimits())()
	chunks := 0
	for seed := range uint64(60) {
		h := newHistory(t, 2000+seed)
		early := window.New("team", "customer", h.shapes[1])
		for range 200 {
			switch h.r.IntN(14) {
			case 0:
				h.adopt()
				early.Adopt(h.plans[int32(len(h.plans))].shape())
			case 1:
				h.reload() // without its pending configurations
			case 2:
				h.flush()
			case 3:
				h.c.Trim()
				h.c.Release()
			case 4, 5:
				h.touch()
				if x := h.someEvent(); x != nil {
					h.offset++
					id, state := window.IDHash(x.e.ID, x.e.Side), pick(h.r, "CREATED", "DECLINED")
					at := x.e.Time + h.r.Int64N(3)
					h.supply(x.e.Time, id)
					got := h.c.SetState(id, at, state, state == "CREATED", h.offset)
					h.m.setState(x.e.ID, x.e.Side, at, state, state == "CREATED")
					if want := early.SetState(id, at, state, state == "CREATED", h.offset); got != want {
						t.Fatalf("seed %d: %v, %v", seed, got, want)
					}
				}
			case 6:
				h.aborted()
			default:
				e := h.event()
				if h.offer(e) {
					base, counted := h.judged(&e)
					early.Fold(&e, window.IDHash(e.ID, e.Side), base, counted, h.offset)
				}
			}
		}
		h.touch()
		h.supply(start, 1)
		if got, want := h.c.Whole(nil), early.Whole(nil); !bytes.Equal(got, want) {
			h.fail("seed %d: a life of its own\n %x\nthe log alone\n %x", seed, got, want)
		}
		chunks += early.Chunks()
	}
	if chunks < 40 {
		t.Errorf("only %d chunks at the end: this test shows little", chunks)
	}
}

func (h *history) someEvent() *seen {
	if len(h.m.events) == 0 {
		return nil
	}
	return &h.m.events[len(h.m.events)-1-h.r.IntN(min(len(h.m.events), 60))]
}

// aborted is a transaction that is taken back.
func (h *history) aborted() {
	h.touch()
	m, offset := h.m.clone(), h.offset
	h.j.Save(h.c)
	for range 1 + h.r.IntN(20) {
		if h.r.IntN(5) == 0 {
			h.setState()
		} else {
			h.offer(h.event())
		}
	}
	h.c.Trim()
	h.j.Rollback()
	h.m, h.offset = m, offset
}

// life is a customer that is fed one event a call, for tests that say their times one by one.
type life struct {
	c *window.Customer
	n int64
	s window.Scratch
}

// fold takes in a counted payment of one unit.
func (l *life) fold(at int64) window.Place {
	l.n++
	e := schemas.Event{Kind: schemas.KindPayment, Time: at, HasAmount: true, Amount: schemas.Micro}
	return l.c.Fold(&e, uint64(l.n), true, true, l.n)
}

// measure is Measure of a shape with a few aggregates.
func (l *life) measure(p window.Place, at int64, n int) []window.Value {
	out := make([]window.Value, n)
	l.c.Measure(p, at, out, &l.s)
	return out
}

// positive is a filter that every event of a life meets; nothing meets never.
func positive(p *schemas.Past) bool { return p.Counted && p.Amount > 0 }
func never(*schemas.Past) bool      { return false }

// plain asks count and sum of each width, then since of the filters.
func plain(version int32, retention int64, widths []int64, since ...window.Filter) *window.Shape {
	s := &window.Shape{Version: version, Retention: retention, Base: "EUR", Filters: since}
	for k, w := range widths {
		s.Spans = append(s.Spans, window.Span{Length: w})
		s.Aggregates = append(s.Aggregates,
			window.Aggregate{Func: window.Count, Span: k, Field: window.NoField, Filter: window.All, Scan: window.NoScan},
			window.Aggregate{Func: window.Sum, Span: k, Field: window.Amount, Filter: window.All, Scan: window.NoScan})
	}
	for f := range since {
		s.Aggregates = append(s.Aggregates, window.Aggregate{Func: window.Since, Field: window.NoField, Filter: f, Scan: window.NoScan})
	}
	return s
}

// TestAdopt_ChangedRetentionIsWarmingFromTheSmallerOne is the correction of the design: known_from = wm − min(R old, R new).
func TestAdopt_ChangedRetentionIsWarmingFromTheSmallerOne(t *testing.T) {
	widths := []int64{10, 69, 70, 71, 72, 100, 299, 300, 301}
	for _, x := range []struct{ old, new, knownFrom int64 }{{70, 300, 930}, {300, 70, 930}, {70, 70, -1}} {
		l := life{c: window.New("t", "c", plain(1, x.old, widths))}
		l.fold(100)
		l.fold(1000)
		l.c.Adopt(plain(2, x.new, widths))
		check := func(at int64, warming bool) {
			got := l.measure(l.fold(at), at, 2*len(widths))
			for k, w := range widths {
				want := ""
				switch {
				case w > x.new:
					want = window.WhyHorizon
				case warming && at-w < x.knownFrom:
					want = window.WhyWarming
				}
				if why := got[2*k].Why; why != want {
					t.Errorf("R %d → %d: at %d width %d is %q, want %q", x.old, x.new, at, w, why, want)
				}
			}
		}
		check(1000, true)
		check(1001, true)
		check(1000+x.new+300, false) // the horizon is past it: everything is known again
	}
}

// TestSince_GrownRetentionTakesNoWrongEvent: with a longer retention, late events come in that are older than some that have left.
func TestSince_GrownRetentionTakesNoWrongEvent(t *testing.T) {
	all := window.Filter{Key: 7, Match: positive}
	l := life{c: window.New("t", "c", plain(1, 10, nil, all))}
	l.fold(30)
	l.fold(100) // 30 leaves
	l.c.Adopt(plain(2, 90, nil, all))
	if v := l.measure(l.fold(20), 20, 1)[0]; v.Why != window.WhyWarming {
		t.Errorf("before an event that left: %+v", v)
	}
	if v := l.measure(l.fold(40), 40, 1)[0]; v.Why != "" || v.I != schemas.I128(10) {
		t.Errorf("the event that left is newer than the late one that is held: %+v", v)
	}
	l.c.Adopt(plain(3, 90, nil, window.Filter{Key: 9, Match: positive}))
	if v := l.measure(l.fold(25), 25, 1)[0]; v.Why != window.WhyWarming {
		t.Errorf("a condition that never saw the event that left: %+v", v)
	}
}

// TestTrim_KeepsWhatSinceNeeds: a dormant account's last event has left long ago and is still the answer, stored or not.
func TestTrim_KeepsWhatSinceNeeds(t *testing.T) {
	shape := plain(1, 100, nil, window.Filter{Key: 1, Match: positive}, window.Filter{Key: 3, Match: never})
	l := life{c: window.New("t", "c", shape)}
	for _, at := range []int64{5, 9, 9, 7} {
		l.fold(at)
	}
	for step := range int64(3) {
		at := 1_000_000 + 1000*step
		got := l.measure(l.fold(at), at, 2)
		if want := at - 9; step == 0 && got[0].I != schemas.I128(want) || got[1].Why != window.WhySince {
			t.Errorf("step %d: %+v", step, got)
		}
		if step > 0 && got[0].I != schemas.I128(1000) {
			t.Errorf("step %d: %+v", step, got)
		}
		l.c.Trim()
		if l.c.Len() != 1 {
			t.Fatalf("%d events are held", l.c.Len())
		}
		c, err := window.Decode(l.c.Whole(nil), func(int32) *window.Shape { return shape })
		if err != nil {
			t.Fatal(err)
		}
		l.c = c
	}
}

// TestFind_ForgetsWithTheHorizon: an id is known exactly as long as its event is retained, in the head and in chunks.
func TestFind_ForgetsWithTheHorizon(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, rows := range []int{1, 31, 32, 33, 50, 300, 2000, 5000} {
		l := life{c: window.New("t", "c", plain(1, 1000, nil))}
		ids := make([]uint64, rows)
		for i := range ids {
			ids[i] = r.Uint64()
			if i == 0 {
				ids[i] >>= 41 // all that the table of ids keeps of it is zero
			}
			e := schemas.Event{Kind: schemas.KindPayment, Time: int64(i * 7 / rows)}
			l.c.Fold(&e, ids[i], false, true, 1)
		}
		last := schemas.Event{Kind: schemas.KindPayment, Time: 1003}
		l.c.Fold(&last, 1<<63, false, true, 2)
		for range 2 {
			for i, id := range ids {
				if _, ok := l.c.Find(id); ok != (i*7/rows > 3) {
					t.Fatalf("%d rows: id at %d, horizon 3: found %t", rows, i*7/rows, ok)
				}
				if _, ok := l.c.Find(id ^ 1<<20); ok {
					t.Fatalf("%d rows: found an id that never was", rows)
				}
			}
			l.c.Trim()
		}
	}
}
