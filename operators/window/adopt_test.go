package window_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// TestAdopt_LateOrEarlyGivesTheSameBytes has one customer adopt every configuration where the log has it, and be trimmed and stored all
// the time, and another adopt them when it is next touched and be trimmed only at the end.
func TestAdopt_LateOrEarlyGivesTheSameBytes(t *testing.T) {
	for seed := range uint64(60) {
		h := newHistory(t, 2000+seed)
		early := window.New("team", "customer", h.shapes[1])
		for range 150 {
			switch h.r.IntN(10) {
			case 0:
				p := h.plan(int32(len(h.plans)) + 1)
				h.m.adopt(*p)
				h.pending = append(h.pending, p.version)
				early.Adopt(h.shapes[p.version])
			case 1:
				h.store() // without its pending configurations
			case 2:
				early.Trim()
				c, err := window.Decode(early.Append(nil), h.shape)
				if err != nil {
					t.Fatal(err)
				}
				early = c
			default:
				e := h.event()
				if _, ok := h.offer(e); ok {
					early.Fold(&e, window.IDHash(e.ID, e.Side), e.HasAmount && e.Currency != "USD", e.State != "DECLINED", h.offset)
				}
			}
		}
		h.touch()
		h.c.Trim()
		early.Trim()
		if got, want := h.c.Append(nil), early.Append(nil); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: adopted late\n %x\nadopted early\n %x", seed, got, want)
		}
	}
}

// life is a customer that is fed one event a call, for tests that say their times one by one.
type life struct {
	c *window.Customer
	n int64
}

// fold takes in a counted payment of one unit.
func (l *life) fold(at int64) (place int) {
	l.n++
	e := schemas.Event{Kind: schemas.KindPayment, Time: at, HasAmount: true, Amount: schemas.Micro}
	return l.c.Fold(&e, uint64(l.n), true, true, l.n)
}

func plain(version int32, retention int64, since ...window.Since) *window.Shape {
	return &window.Shape{Version: version, Retention: retention, Since: since, Classify: func(p *schemas.Past) uint64 {
		if p.Amount > 0 {
			return 1
		}
		return 0
	}}
}

// TestAdopt_ChangedRetentionIsWarmingFromTheSmallerOne is the correction of the design: known_from = wm − min(R old, R new).
func TestAdopt_ChangedRetentionIsWarmingFromTheSmallerOne(t *testing.T) {
	for _, x := range []struct{ old, new, knownFrom int64 }{{70, 300, 930}, {300, 70, 930}, {70, 70, -1}} {
		l := life{c: window.New("t", "c", plain(1, x.old))}
		l.fold(100)
		l.fold(1000)
		l.c.Adopt(plain(2, x.new))
		for from := int64(600); from <= 1000; from++ {
			want := ""
			switch {
			case from < 1000-x.new:
				want = "horizon"
			case from < x.knownFrom:
				want = "warming"
			}
			if why, ok := l.c.Known(from); why != want || ok != (want == "") {
				t.Fatalf("R %d → %d: Known(%d) = %q, %t; want %q", x.old, x.new, from, why, ok, want)
			}
		}
		// the next events push the horizon past it: everything is known again
		l.fold(1000 + x.new + 300)
		if why, ok := l.c.Known(1300); !ok {
			t.Fatalf("R %d → %d: a whole retention later still %s", x.old, x.new, why)
		}
	}
	c := window.New("t", "c", plain(1, 70))
	c.Adopt(plain(2, 300))
	if why, ok := c.Known(-1 << 40); !ok {
		t.Errorf("a customer without history is %s", why)
	}
}

// TestAdopt_FiltersCoverTheWholeHistory: a filter that comes later has judged every retained row.
func TestAdopt_FiltersCoverTheWholeHistory(t *testing.T) {
	l := life{c: window.New("t", "c", &window.Shape{Version: 1, Retention: 1000, Classify: func(*schemas.Past) uint64 { return 0 }})}
	for i := range int64(50) {
		l.fold(i)
	}
	l.c.Adopt(plain(2, 1000))
	if i, j := l.c.Span(9, 49); l.c.Count(i, j, 0, window.None) != 40 {
		t.Errorf("the new filter counts %d of 40 rows", l.c.Count(i, j, 0, window.None))
	}
}

// TestSince_IncompleteOnlyWhereSomethingHadLeft: a condition that comes when nothing has left knows everything; one that comes later
// refuses until it has seen an event of its own.
func TestSince_IncompleteOnlyWhereSomethingHadLeft(t *testing.T) {
	all := window.Since{Key: 7, Bit: window.All}
	never := window.Since{Key: 8, Bit: 5}
	for _, x := range []struct {
		name           string
		gap            int64
		found, complet bool
	}{
		{"nothing had left", 50, false, true},
		{"exactly on the horizon", 100, false, false},
		{"long gone", 500, false, false},
	} {
		l := life{c: window.New("t", "c", plain(1, 100))}
		l.fold(0)
		l.fold(x.gap)
		l.c.Adopt(plain(2, 100, never, all))
		place := l.fold(x.gap + 1)
		if _, found, complete := l.c.Since(0, place); found != x.found || complete != x.complet {
			t.Errorf("%s: found %t complete %t", x.name, found, complete)
		}
		if at, found, _ := l.c.Since(1, place); !found || at != x.gap {
			t.Errorf("%s: a retained event answers for itself: %d, %t", x.name, at, found)
		}
	}
}

// TestSince_GrownRetentionTakesNoWrongEvent: with a longer retention, late events come in that are older than some that have left.
func TestSince_GrownRetentionTakesNoWrongEvent(t *testing.T) {
	all := window.Since{Key: 7, Bit: window.All}
	l := life{c: window.New("t", "c", plain(1, 10, all))}
	l.fold(30)
	l.fold(100) // 30 leaves
	l.c.Adopt(plain(2, 90, all))
	place := l.fold(20)
	if at, found, complete := l.c.Since(0, place); found || complete {
		t.Errorf("before an event that left: %d, found %t, complete %t", at, found, complete)
	}
	place = l.fold(40)
	if at, found, _ := l.c.Since(0, place); !found || at != 30 {
		t.Errorf("the event that left is newer than the late one that is held: %d, found %t", at, found)
	}
	l.c.Adopt(plain(3, 90, window.Since{Key: 9, Bit: window.All}))
	place = l.fold(25)
	if at, found, complete := l.c.Since(0, place); found || complete {
		t.Errorf("a condition that never saw the event that left: %d, found %t, complete %t", at, found, complete)
	}
}

// TestTrim_KeepsWhatSinceNeeds: a dormant account's last event has left long ago and is still the answer, stored or not.
func TestTrim_KeepsWhatSinceNeeds(t *testing.T) {
	shape := plain(1, 100, window.Since{Key: 1, Bit: 0}, window.Since{Key: 2, Bit: window.All}, window.Since{Key: 3, Bit: 4})
	l := life{c: window.New("t", "c", shape)}
	for _, at := range []int64{5, 9, 9, 7} {
		l.fold(at)
	}
	place := l.fold(1_000_000)
	for range 3 {
		for s, want := range []int64{9, 9, -1} {
			at, found, complete := l.c.Since(s, place)
			if found != (want >= 0) || found && at != want || !complete {
				t.Errorf("%d rows held, since %d: %d, found %t, complete %t; want %d", l.c.Len(), s, at, found, complete, want)
			}
		}
		if l.c.Len() > 1 {
			l.c.Trim()
			place = 0
			continue
		}
		c, err := window.Decode(l.c.Append(nil), func(int32) *window.Shape { return shape })
		if err != nil {
			t.Fatal(err)
		}
		l.c = c
	}
}

// TestFind_ForgetsWithTheHorizon: an id is known exactly as long as its event is retained.
func TestFind_ForgetsWithTheHorizon(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, rows := range []int{1, 40, 48, 49, 50, 300, 2000} {
		l := life{c: window.New("t", "c", plain(1, 1000))}
		ids := make([]uint64, rows)
		for i := range ids {
			ids[i] = r.Uint64()
			e := schemas.Event{Kind: schemas.KindPayment, Time: int64(i % 7)}
			l.c.Fold(&e, ids[i], false, true, 1)
		}
		last := schemas.Event{Kind: schemas.KindPayment, Time: 1003}
		l.c.Fold(&last, 1, false, true, 2)
		for range 2 {
			for i, id := range ids {
				if _, ok := l.c.Find(id); ok != (i%7 > 3) {
					t.Fatalf("%d rows: id at %d, horizon 3: found %t", rows, i%7, ok)
				}
				if _, ok := l.c.Find(id ^ 2); ok {
					t.Fatalf("%d rows: found an id that never was", rows)
				}
			}
			l.c.Trim()
		}
	}
}
