package window_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

const (
	day  = int64(24 * 3600 * 1000)
	hour = day / 24
)

// start lies before the change to summer time of 2024, so that histories in hours cross it.
var start = time.Date(2024, 3, 30, 11, 0, 0, 0, time.UTC).UnixMilli()

// history drives one customer and its model through the same random life.
type history struct {
	t       *testing.T
	r       *rand.Rand
	unit    int64 // ms; event times are multiples of it, or one beside
	c       *window.Customer
	m       *model
	j       window.Journal
	plans   map[int32]*plan
	shapes  map[int32]*window.Shape
	pending []int32 // configurations that the log has passed and the customer, untouched since, has not
	scratch window.Scratch
	offset  int64
	ids     int
	store   storage
	trail   []string // what was done, for a failure's message
	asked   int
}

// smallLimits meet every border within a few hundred events.
func smallLimits() window.Limits {
	l := window.DefaultLimits()
	l.Distinct, l.Scanned, l.Equal, l.Events, l.Fan = 12, 60, 25, 220, 3
	return l
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{t: t, r: rand.New(rand.NewPCG(seed, 1)), plans: map[int32]*plan{}, shapes: map[int32]*window.Shape{}}
	h.unit = pick(h.r, 1000, hour)
	l := smallLimits()
	l.Chunk = pick(h.r, 8, 8, 40, 1024)
	window.SetLimits(l)
	p := h.plan(1)
	h.c, h.m = window.New("team", "customer", h.shapes[1]), newModel(*p, smallLimits())
	return h
}

var allColumns = []window.Column{
	{Field: schemas.FieldDirection}, {Field: schemas.FieldCurrency}, {Field: schemas.FieldCounterparty}, {Field: schemas.FieldChannel},
	{Field: schemas.FieldCountry}, {Field: schemas.FieldState}, {Field: schemas.FieldType}, {Attr: "device"}, {Attr: "score"},
}

// plan makes a random configuration.
func (h *history) plan(version int32) *plan {
	r := h.r
	p := &plan{version: version, retention: pick(r, int64(30), 60, 60, 100, 130) * h.unit, base: pick(r, "EUR", "EUR", "EUR", "EUR", "USD"), zone: time.UTC}
	if r.IntN(2) == 0 {
		zone, err := time.LoadLocation("Europe/Vilnius")
		if err != nil {
			h.t.Fatal(err)
		}
		p.zone = zone
	}
	for _, c := range allColumns {
		if r.IntN(4) > 0 {
			p.columns = append(p.columns, c)
		}
	}
	has := func(f *window.Column) bool { return f == nil || slices.Contains(p.columns, *f) }
	state := textIs(window.Column{Field: schemas.FieldState}, "DECLINED")
	state.uncounted = true
	for _, f := range []filter{
		amountFrom(0), amountFrom(50 * schemas.Micro), kindIs(schemas.KindPayment), state, textIs(allColumns[0], "OUT"), textIs(allColumns[4], "LT"),
		textIs(allColumns[2], "cp1"), textIs(allColumns[3], ""), textIs(allColumns[6], "nobody"), textIs(allColumns[1], "EUR"), textIs(allColumns[7], "d1"),
	} {
		if r.IntN(3) > 0 && has(f.column) {
			p.filters = append(p.filters, f)
		}
	}
	for _, s := range []scan{nearAmount(), otherCountry()} {
		if has(s.column) {
			p.scans = append(p.scans, s)
		}
	}
	for range 5 {
		p.spans = append(p.spans, window.Span{Length: pick(r, 1, h.unit, 5*h.unit, 20*h.unit, 60*h.unit, 100*h.unit)})
	}
	p.spans = append(p.spans,
		window.Span{Length: pick(r, int64(5), 20) * h.unit, Delay: pick(r, 1, h.unit, 7*h.unit)},
		window.Span{Unit: pick(r, window.Day, window.Week)}, window.Span{Unit: pick(r, window.Month, window.Quarter, window.Year)},
		window.Span{Unit: window.Daily, Length: pick(r, int64(1), 2, 4) * day})
	for range 70 {
		p.aggregates = append(p.aggregates, h.aggregate(p))
	}
	h.plans[version], h.shapes[version] = p, p.shape()
	return p
}

func (h *history) aggregate(p *plan) window.Aggregate {
	r := h.r
	a := window.Aggregate{Func: window.Func(r.IntN(int(window.DailyDays) + 1)), Prior: r.IntN(3) == 0, Field: window.NoField, Filter: window.All, Scan: window.NoScan}
	if len(p.filters) > 0 && r.IntN(2) == 0 {
		a.Filter = r.IntN(len(p.filters))
	}
	if a.Func == window.Since {
		a.Prior = false
		return a
	}
	a.Span = r.IntN(len(p.spans) - 1)
	if a.Func >= window.DailyMean {
		a.Span = len(p.spans) - 1
	}
	text := func() int { return r.IntN(len(p.columns)) }
	if len(p.columns) > 0 && r.IntN(6) == 0 {
		a.Equal = append(a.Equal, text())
		if r.IntN(3) == 0 {
			a.Equal = append(a.Equal, text())
		}
	}
	if len(p.scans) > 0 && r.IntN(10) == 0 {
		a.Scan = r.IntN(len(p.scans))
	}
	switch a.Func {
	case window.Count:
	case window.Distinct:
		if len(p.columns) == 0 {
			a.Func = window.Count
			break
		}
		a.Field = text()
	case window.First, window.Last:
		if a.Field = window.Amount; len(p.columns) > 0 && r.IntN(2) == 0 {
			a.Field = text()
		}
	case window.DailyMean, window.DailyStddev, window.DailyMax, window.DailyDays:
		a.Field = pick(r, window.Amount, window.NoField)
	default:
		a.Field = window.Amount
	}
	return a
}

func (h *history) shape(version int32) *window.Shape { return h.shapes[version] }

// time picks an event time: ties, window borders and the horizon on purpose.
func (h *history) time() int64 {
	if h.m.wm == nil {
		return start
	}
	wm, some := *h.m.wm, start
	if n := len(h.m.events); n > 0 {
		some = h.m.events[n-1-h.r.IntN(min(n, 20))].e.Time
	}
	switch h.r.IntN(12) {
	case 0:
		return wm
	case 1:
		return some
	case 2:
		return some + pick(h.r, 1, h.unit, 5*h.unit, 20*h.unit) // the older event stands exactly on a window's left end
	case 3:
		return wm - h.r.Int64N(h.m.plan.retention)
	case 4:
		return *h.m.horizon() + h.r.Int64N(3) - 1
	case 5:
		return wm + h.r.Int64N(40*h.unit)
	case 6, 7:
		return wm - h.r.Int64N(10)*h.unit
	case 8, 9, 10:
		return wm + h.r.Int64N(3)
	}
	return wm + h.r.Int64N(4)*h.unit
}

func (h *history) event() schemas.Event {
	r := h.r
	e := schemas.Event{
		Kind: pick(r, schemas.KindPayment, schemas.KindTransaction), Time: h.time(),
		Side:   pick(r, schemas.SideNone, schemas.SideOut, schemas.SideIn),
		Origin: schemas.Origin{Topic: pick(r, "payments", "transactions"), Partition: r.Int32N(3), Offset: h.offset},
	}
	h.ids++
	e.ID = "e" + strconv.Itoa(h.ids)
	if r.IntN(8) > 0 {
		e.HasAmount, e.Amount = true, (r.Int64N(200)-50)*schemas.Micro+r.Int64N(3)
		if r.IntN(30) == 0 {
			e.Amount = pick(r, schemas.MaxAmount, -schemas.MaxAmount)
		}
	}
	for f := schemas.FieldCurrency; f < schemas.NumFields; f++ {
		if r.IntN(3) == 0 {
			continue
		}
		e.SetText(f, map[schemas.Field]string{
			schemas.FieldCurrency: pick(r, "EUR", "EUR", "USD"), schemas.FieldCounterparty: "cp" + strconv.Itoa(r.IntN(40)),
			schemas.FieldChannel: pick(r, "", "online", "pos"), schemas.FieldCountry: pick(r, "LT", "LV", "EE"),
			schemas.FieldState: pick(r, "CREATED", "CREATED", "DECLINED"), schemas.FieldType: pick(r, "TRANSFER", "CASH_OUT"),
		}[f])
	}
	if r.IntN(2) == 0 {
		e.Attributes = append(e.Attributes, schemas.Attribute{Name: "device", Value: pick(r, "d1", "d2", "d3")})
	}
	if r.IntN(4) == 0 {
		e.Attributes = append(e.Attributes, schemas.Attribute{Name: "score", Value: strconv.Itoa(r.IntN(100))})
	}
	return e
}

func (h *history) note(format string, args ...any) {
	h.trail = append(h.trail, fmt.Sprintf(format, args...))
}

func (h *history) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\nafter %d steps, the last: %q", fmt.Sprintf(format, args...), len(h.trail), h.trail[max(0, len(h.trail)-12):])
}

// touch brings the customer to the configuration in force, as its owner does before it looks at it.
func (h *history) touch() {
	for _, v := range h.pending {
		h.supply(start, 1)
		h.c.Adopt(h.shapes[v])
	}
	h.pending = nil
}

// judged is what enrich decides of an event.
func (h *history) judged(e *schemas.Event) (base, counted bool) {
	return e.HasAmount && (e.Currency == h.m.plan.base || e.Currency == ""), e.State != "DECLINED"
}

// offer is one event on its way in: what dedupe, fold and measure do.
func (h *history) offer(e schemas.Event) (folded bool) {
	h.t.Helper()
	h.touch()
	h.offset++
	h.note("offer %s at %+d", e.ID, e.Time-start)
	wm, ok := h.c.Watermark()
	if ok != (h.m.wm != nil) || ok && (wm != *h.m.wm || h.c.Horizon() != *h.m.horizon()) {
		h.fail("watermark %d, %t, horizon %d; the model has %v", wm, ok, h.c.Horizon(), h.m.wm)
	}
	h.supply(e.Time, window.IDHash(e.ID, e.Side))
	if ok && e.Time <= *h.m.horizon() || h.find(e.ID, e.Side) {
		return false
	}
	base, counted := h.judged(&e)
	place := h.c.Fold(&e, window.IDHash(e.ID, e.Side), base, counted, h.offset)
	pos := h.m.accept(e, base, counted)
	if h.r.IntN(8) > 0 { // a replay does not measure
		h.ask(pos, place)
	}
	return true
}

// find looks the id up in both and holds the answers against each other.
func (h *history) find(id string, side schemas.Side) bool {
	h.t.Helper()
	got, ok := h.c.Find(window.IDHash(id, side))
	if h.m.wm == nil {
		return false
	}
	want := h.m.find(id, side)
	if ok != (want != nil) {
		h.fail("Find %s: %t, the model says %t", id, ok, want != nil)
	}
	if !ok {
		return false
	}
	x := window.Identity{Kind: want.e.Kind, Time: want.e.Time, Amount: want.e.Amount, HasAmount: want.e.HasAmount, Origin: window.OriginHash(&want.e.Origin)}
	if got != x {
		h.fail("Find %s: %+v, the model says %+v", id, got, x)
	}
	return true
}

// ask compares all answers for the event at log position pos, at its own time and at the watermark.
func (h *history) ask(pos int, place window.Place) {
	h.t.Helper()
	e := &h.m.events[pos].e
	times := []int64{e.Time}
	if e.Time != *h.m.wm {
		times = append(times, *h.m.wm)
	}
	got := make([]window.Value, len(h.m.plan.aggregates))
	for i := range got { // what an earlier event left behind
		got[i] = window.Value{I: schemas.I128(-7), S: "old", Why: "old"}
	}
	for _, at := range times {
		h.c.Measure(place, at, got, &h.scratch)
		for slot := range got {
			a := &h.m.plan.aggregates[slot]
			want := h.m.answer(a, pos, at)
			same := got[slot].Why == want.Why && (want.Why != "" || got[slot].I == want.I && got[slot].S == want.S)
			if !same {
				h.fail("%s at %+d seen from %+d: aggregate %+v over %+v: got %+v, want %+v", e.ID, e.Time-start, at-start, *a, h.m.plan.spans[a.Span], got[slot], want)
			}
			if h.asked++; want.Why == "" {
				h.answered(a)
			}
		}
	}
}

// setState sends a stateChange for an event, known or not.
func (h *history) setState() {
	h.t.Helper()
	if h.touch(); len(h.m.events) == 0 {
		return
	}
	h.offset++
	x := &h.m.events[len(h.m.events)-1-h.r.IntN(min(len(h.m.events), 60))]
	id, side := x.e.ID, x.e.Side
	if h.r.IntN(8) == 0 {
		side = pick(h.r, schemas.SideNone, schemas.SideOut, schemas.SideIn)
	}
	at := x.e.Time + pick(h.r, -1, 0, 0, 1, h.unit, h.unit)
	if x.stated != nil && h.r.IntN(2) == 0 {
		at = *x.stated + h.r.Int64N(3) - 1
	}
	state := pick(h.r, "CREATED", "DECLINED", "REVERSED")
	h.note("state %s of %s at %+d", state, id, at-start)
	h.supply(x.e.Time, window.IDHash(id, side))
	got := h.c.SetState(window.IDHash(id, side), at, state, state == "CREATED", h.offset)
	if want := h.m.setState(id, side, at, state, state == "CREATED"); got != want {
		h.fail("state %s of %s: %v, the model says %v", state, id, got, want)
	}
}

// hold keeps and takes stateChanges that came before their event.
func (h *history) hold() {
	h.t.Helper()
	h.offset++
	switch h.r.IntN(4) {
	default:
		x := window.Held{ID: uint64(h.r.IntN(5)), Appended: start + h.offset, LSN: h.offset, Record: []byte(strconv.FormatInt(h.offset, 10))}
		h.note("hold %d", x.ID)
		if ok := h.c.Hold(x); ok != (len(h.m.held) < window.MaxHeld) {
			h.fail("Hold: %t with %d held", ok, len(h.m.held))
		} else if ok {
			h.m.held = append(h.m.held, x)
		}
	case 0:
		id := uint64(h.r.IntN(5))
		h.note("take held of %d", id)
		h.sameHeld(h.c.TakeHeld(id, h.offset), func(x window.Held) bool { return x.ID == id })
	case 1:
		now := start + h.offset - 20 + window.HeldTime
		h.note("expire held")
		h.sameHeld(h.c.ExpireHeld(now, h.offset), func(x window.Held) bool { return x.Appended <= now-window.HeldTime })
	}
}

func (h *history) sameHeld(got []window.Held, taken func(window.Held) bool) {
	h.t.Helper()
	var want, rest []window.Held
	for _, x := range h.m.held {
		if taken(x) {
			want = append(want, x)
		} else {
			rest = append(rest, x)
		}
	}
	h.m.held = rest
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.fail("held: got %v, want %v", got, want)
	}
}

// adopt passes a control record.
func (h *history) adopt() {
	p := h.plan(int32(len(h.plans)) + 1)
	h.note("configuration %d, retention %d", p.version, p.retention)
	h.m.adopt(*p)
	h.pending = append(h.pending, p.version)
}

// step is one random thing that happens to a customer.
func (h *history) step() {
	switch n := h.r.IntN(100); {
	case n < 62:
		h.offer(h.event())
	case n < 68 && len(h.m.events) > 0: // offered again
		x := h.m.events[h.r.IntN(len(h.m.events))].e
		if h.r.IntN(4) == 0 {
			x.Side = pick(h.r, schemas.SideNone, schemas.SideOut, schemas.SideIn)
		}
		x.Time = pick(h.r, x.Time, *h.m.wm, *h.m.wm)
		h.offer(x)
	case n < 76:
		h.setState()
	case n < 79:
		h.hold()
	case n < 83:
		h.note("trim")
		h.c.Trim()
	case n < 86:
		h.flush()
	case n < 89:
		h.reload()
	case n < 92:
		if h.adopt(); h.r.IntN(2) == 0 {
			h.touch()
		}
	case n < 94:
		h.note("release")
		h.c.Release()
	default:
		h.abort()
	}
}

// supply gives the customer the chunks that it asks for.
func (h *history) supply(at int64, id uint64) {
	h.t.Helper()
	for range 1000 {
		names := h.c.Missing(nil, at, id)
		if len(names) == 0 {
			return
		}
		for _, n := range names {
			b, ok := h.store.chunks[n]
			if !ok {
				h.fail("chunk %v is asked for and not stored", n)
			}
			if err := h.c.Supply(n, bytes.Clone(b)); err != nil {
				h.fail("%v", err)
			}
		}
	}
	h.fail("chunks are asked for without an end")
}

// answered counts how often each kind of aggregate had a value: a test whose windows are all absent shows nothing.
func (h *history) answered(a *window.Aggregate) { answered[a.Func]++ }

var answered [window.DailyDays + 1]int

// TestCustomer_AnswersAreThoseOfTheNaiveModel is the package's main test: ties, late events, repeated ids, uncounted and retracted
// events, missing texts and amounts, filters, equalities, scans, windows exactly on a border, calendar windows over a change of the
// clock, trims, stores, configurations, releases and aborted transactions in any order.
func TestCustomer_AnswersAreThoseOfTheNaiveModel(t *testing.T) {
	defer window.SetLimits(smallLimits())()
	seeds, steps := 120, 250
	if testing.Short() {
		seeds = 20
	}
	asked := 0
	for seed := range seeds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			h := newHistory(t, uint64(seed))
			for range steps {
				h.step()
			}
			asked += h.asked
		})
	}
	for f, n := range answered {
		if !testing.Short() && n < asked/200 {
			t.Errorf("of %d answers only %d are of function %d", asked, n, f)
		}
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }
