package window_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strconv"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// giant drives one customer of many events through a tiny store, with what it does not need released all the time, and knows the answers
// from plain arrays in time order.
type giant struct {
	t       *testing.T
	r       *rand.Rand
	c       *window.Customer
	shape   *window.Shape
	store   storage
	out     []window.Value
	scratch window.Scratch
	times   []int64 // ascending
	amounts []int64
	cps     []int32
	ids     []uint64
	asked   int // chunks that were supplied
	most    int // bytes held after a release
}

func (g *giant) supply(at int64, id uint64) {
	g.t.Helper()
	for {
		names := g.c.Missing(nil, at, id)
		if len(names) == 0 {
			return
		}
		for _, n := range names {
			if err := g.c.Supply(n, g.store.chunks[n]); err != nil {
				g.t.Fatal(err)
			}
		}
		g.asked += len(names)
		g.c.Release() // only what is needed stays; the others are asked for again
		g.supplyNow(at, id)
	}
}

// supplyNow gives what is needed, without a release in between.
func (g *giant) supplyNow(at int64, id uint64) {
	for names := g.c.Missing(nil, at, id); len(names) > 0; names = g.c.Missing(nil, at, id) {
		g.asked += len(names)
		for _, n := range names {
			if err := g.c.Supply(n, g.store.chunks[n]); err != nil {
				g.t.Fatal(err)
			}
		}
	}
}

func (g *giant) fold(f *feed, late int64) {
	g.t.Helper()
	e, id := f.next()
	e.Time -= late
	cp := int32(g.r.IntN(len(cpNames)))
	e.SetText(schemas.FieldCounterparty, cpNames[cp])
	g.supply(e.Time, id)
	if _, known := g.c.Find(id); known {
		g.t.Fatalf("event %d is known before it came", f.n)
	}
	p := g.c.Fold(e, id, true, true, int64(f.n))
	i := sort.Search(len(g.times), func(i int) bool { return g.times[i] > e.Time })
	g.times, g.amounts = slices.Insert(g.times, i, e.Time), slices.Insert(g.amounts, i, e.Amount)
	g.cps, g.ids = slices.Insert(g.cps, i, cp), slices.Insert(g.ids, i, id)
	if f.n%97 == 0 || late > 0 {
		g.c.Measure(p, e.Time, g.out, &g.scratch)
		g.check(e.Time)
		if wm, _ := g.c.Watermark(); wm != e.Time {
			g.c.Measure(p, wm, g.out, &g.scratch)
			g.check(wm)
		}
	} else {
		g.c.Measure(p, e.Time, g.out, &g.scratch)
	}
}

// check holds all features against the arrays.
func (g *giant) check(at int64) {
	g.t.Helper()
	wm, _ := g.c.Watermark()
	for k, s := range g.shape.Spans {
		if at-s.Length < wm-g.shape.Retention {
			if got := g.out[10*k]; got.Why != window.WhyHorizon {
				g.t.Fatalf("a window behind the horizon is %+v", got)
			}
			continue
		}
		i := sort.Search(len(g.times), func(i int) bool { return g.times[i] > at-s.Length })
		j := sort.Search(len(g.times), func(i int) bool { return g.times[i] > at })
		sum, sq, n := new(big.Int), new(big.Int), big.NewInt(int64(j-i))
		lo, hi, big9k := g.amounts[i], g.amounts[i], 0
		values := map[int32]bool{}
		for x := i; x < j; x++ {
			a := big.NewInt(g.amounts[x])
			sum.Add(sum, a)
			sq.Add(sq, a.Mul(a, a))
			lo, hi = min(lo, g.amounts[x]), max(hi, g.amounts[x])
			values[g.cps[x]] = true
			if g.amounts[x] >= 9000*schemas.Micro {
				big9k++
			}
		}
		d := new(big.Int).Mul(n, sq)
		want := []*big.Int{n, sum, halfEven(new(big.Rat).SetFrac(sum, n)), big.NewInt(lo), big.NewInt(hi), rootOver(d.Sub(d, new(big.Int).Mul(sum, sum)), n),
			big.NewInt(g.amounts[i]), big.NewInt(g.amounts[j-1]), big.NewInt(int64(len(values))), big.NewInt(int64(big9k))}
		for f, w := range want {
			if got := g.out[10*k+f]; got != value(w) {
				g.t.Fatalf("%d events, window of %d ms seen from %d: feature %d is %+v, want %v", len(g.times), s.Length, at, f, got, w)
			}
		}
	}
}

func (g *giant) flush() {
	w := g.c.Write()
	if !g.store.apply(w) {
		g.t.Fatal("a delta does not fit")
	}
	g.c.Acked(w)
	g.c.Release()
	g.most = max(g.most, g.c.Bytes())
}

// TestGiant_StaysExactWithFewChunksInMemory: all windows of a customer with 200,000 events (5 million with STREAMGAUGE_GIANT=1) are
// exact, late and repeated events are found wherever they lie, and only a small part of it is in memory.
func TestGiant_StaysExactWithFewChunksInMemory(t *testing.T) {
	events, every := 200_000, 40_000
	if os.Getenv("STREAMGAUGE_GIANT") != "" {
		events, every = 5_000_000, 1_000_000
	} else if testing.Short() {
		events, every = 30_000, 10_000
	}
	shape := featureShape(counterparty, sevenWidths...)
	g := &giant{t: t, r: rand.New(rand.NewPCG(5, 5)), shape: shape, c: window.New("team", "giant", shape), out: make([]window.Value, len(shape.Aggregates))}
	f := &feed{cps: 200, at: start, step: 89 * day / int64(events)}
	started := time.Now()
	for n := range events {
		late := int64(0)
		if n > 1000 && n%(every/16+1) == 0 {
			late = g.r.Int64N(min(f.at-start, 89*day))
		}
		if late > 0 || n%every == every-1 {
			g.fold(f, late)
		} else { // in order, without a look
			e, id := f.next()
			cp := int32(g.r.IntN(len(cpNames)))
			e.SetText(schemas.FieldCounterparty, cpNames[cp])
			g.c.Fold(e, id, true, true, int64(f.n))
			g.times, g.amounts, g.cps, g.ids = append(g.times, e.Time), append(g.amounts, e.Amount), append(g.cps, cp), append(g.ids, id)
		}
		if n%5000 == 4999 {
			g.flush()
		}
	}
	g.flush()
	rows := g.c.Len()
	t.Logf("%d events, %d chunks, %s; after releases at most %d bytes were held: %.1f an event", rows, g.c.Chunks(), time.Since(started).Round(time.Millisecond), g.most, float64(g.most)/float64(rows))
	if perEvent := float64(g.most) / float64(rows); rows >= 200_000 && perEvent > 32 {
		t.Errorf("%.1f bytes an event are held; rows alone would be 44", perEvent)
	}
	g.again(f)
	c, err := window.Decode(g.store.head, func(int32) *window.Shape { return shape })
	if err != nil {
		t.Fatal(err)
	}
	g.c, g.asked = c, 0
	g.fold(f, 0)
	g.fold(f, 40*day)
	if g.asked < g.c.Chunks()-2 {
		t.Errorf("of %d chunks only %d were looked through", g.c.Chunks(), g.asked)
	}
	g.again(f)
}

// again offers events anew, from anywhere in the history, and retracts one.
func (g *giant) again(f *feed) {
	g.t.Helper()
	for range 20 {
		i := g.r.IntN(len(g.ids))
		g.supply(f.at, g.ids[i])
		x, known := g.c.Find(g.ids[i])
		if !known || x.Time != g.times[i] || x.Amount != g.amounts[i] {
			g.t.Fatalf("event at %d is not known: %+v", g.times[i], x)
		}
	}
	i := g.r.IntN(len(g.ids))
	g.supply(g.times[i], g.ids[i])
	for _, counted := range []bool{false, true} {
		if got := g.c.SetState(g.ids[i], g.times[i]+1, "S"+strconv.FormatBool(counted), counted, int64(f.n)); got != window.StateApplied {
			g.t.Fatalf("state: %v", got)
		}
	}
	g.fold(f, 0)
	g.flush()
}

// TestMemory_BytesPerRetainedEvent is the budget of part 2: 64 bytes an event in the cache, 40 in the store with 110 for each key, at a
// hundred events a customer and the columns that the library's rules read.
func TestMemory_BytesPerRetainedEvent(t *testing.T) {
	one := counterparty // what the rules of the built-in library read of past events, with the side, which costs nothing
	three := []window.Column{{Field: schemas.FieldCounterparty}, {Field: schemas.FieldCountry}, {Field: schemas.FieldType}}
	held, stored := bytesPerEvent(t, one)
	if held > 64 || stored > 40 {
		t.Errorf("%.1f bytes an event in memory, %.1f stored; the budget is 64 and 40", held, stored)
	}
	if _, stored := bytesPerEvent(t, three); stored > 40 {
		t.Errorf("%.1f bytes an event stored with three columns; the budget is 40", stored)
	}
}

func bytesPerEvent(t *testing.T, columns []window.Column) (held, stored float64) {
	t.Helper()
	shape := featureShape(columns, sevenWidths...)
	const customers, events, keyOverhead = 2000, 100, 110
	var s window.Scratch
	out := make([]window.Value, len(shape.Aggregates))
	all := make([]*window.Customer, customers)
	before := heap()
	for i := range all {
		f := &feed{n: i * 1000, at: start, step: day * 85 / events, cps: 20}
		c := window.New("team", fmt.Sprintf("customer-%06d", i), shape)
		for range events {
			e, id := f.next()
			c.Measure(c.Fold(e, id, true, true, int64(f.n)), e.Time, out, &s)
			if f.n%10 == 0 {
				c.Acked(c.Write())
			}
		}
		all[i] = c
	}
	s = window.Scratch{}
	held = float64(heap()-before) / customers / events
	for _, c := range all {
		stored += float64(len(c.Whole(nil))+keyOverhead) / customers / events
	}
	said := float64(all[0].Bytes()) / events
	t.Logf("%d columns: %.1f bytes an event in memory (Bytes says %.1f), %.1f stored", len(columns), held, said, stored)
	if said < 0.8*held || said > 1.3*held {
		t.Errorf("Bytes says %.1f an event, the heap %.1f", said, held)
	}
	return held, stored
}
