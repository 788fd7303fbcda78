package window_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// Times of the histories: small enough that ties, window borders and the horizon are met all the time.
const (
	start = int64(1_700_000_000_000)
	unit  = int64(1000) // ms; every time is a multiple of it, or one beside
)

var widths = []int64{1, unit, 5 * unit, 20 * unit, 60 * unit, 100 * unit}

// history drives one customer and its model through the same random life.
type history struct {
	t       *testing.T
	r       *rand.Rand
	c       *window.Customer
	m       *model
	plans   map[int32]*plan
	shapes  map[int32]*window.Shape
	pending []int32 // configurations that the log has passed and the customer, untouched since, has not
	marks   window.Marks
	offset  int64
	ids     int
	trail   []string // what was done, for a failure's message
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{t: t, r: rand.New(rand.NewPCG(seed, 1)), plans: map[int32]*plan{}, shapes: map[int32]*window.Shape{}}
	p := h.plan(1)
	h.c, h.m = window.New("team", "customer", h.shapes[1]), newModel(*p)
	return h
}

// plan makes a random configuration.
func (h *history) plan(version int32) *plan {
	all := []filter{
		amountFrom(0), amountFrom(50 * schemas.Micro), textIs(schemas.FieldDirection, "OUT"), textIs(schemas.FieldCountry, "LT"),
		textIs(schemas.FieldCounterparty, "cp1"), textIs(schemas.FieldChannel, ""), stateIs("DECLINED"), kindIs(schemas.KindPayment),
		textIs(schemas.FieldType, "nobody"), textIs(schemas.FieldCurrency, "EUR"),
	}
	h.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	p := &plan{version: version, retention: pick(h.r, 30*unit, 60*unit, 60*unit, 100*unit, 130*unit), filters: all[:1+h.r.IntN(len(all))]}
	for f := range p.filters {
		if h.r.IntN(3) == 0 {
			p.since = append(p.since, f)
		}
	}
	if h.r.IntN(2) == 0 {
		p.since = append(p.since, window.All)
	}
	h.plans[version], h.shapes[version] = p, p.shape()
	return p
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
		return some + pick(h.r, widths...) // the older event stands exactly on the window's left end
	case 3:
		return wm - h.r.Int64N(h.m.plan.retention)
	case 4:
		return *h.m.horizon() + h.r.Int64N(3) - 1
	case 5:
		return wm + h.r.Int64N(80*unit)
	case 6, 7:
		return wm - h.r.Int64N(10)*unit
	}
	return wm + h.r.Int64N(4)*unit
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
			schemas.FieldState: pick(r, "CREATED", "DECLINED"), schemas.FieldType: pick(r, "TRANSFER", "CASH_OUT"),
		}[f])
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
		h.c.Adopt(h.shapes[v])
	}
	h.pending = nil
}

// offer is one event on its way in: what dedupe and fold do. It returns the places of what was folded, for an undo.
func (h *history) offer(e schemas.Event) (place int, folded bool) {
	h.t.Helper()
	h.touch()
	h.offset++
	base, counted := e.HasAmount && e.Currency != "USD", e.State != "DECLINED"
	h.note("offer %s at %+d", e.ID, e.Time-start)
	wm, ok := h.c.Watermark()
	if ok != (h.m.wm != nil) || ok && (wm != *h.m.wm || h.c.Horizon() != *h.m.horizon()) {
		h.fail("watermark %d, %t, horizon %d; the model has %v", wm, ok, h.c.Horizon(), h.m.wm)
	}
	if ok && e.Time <= *h.m.horizon() || h.find(e.ID, e.Side) {
		return 0, false
	}
	place = h.c.Fold(&e, window.IDHash(e.ID, e.Side), base, counted, h.offset)
	at := h.m.accept(e, base, counted)
	h.ask(at, place)
	return place, true
}

// find looks the id up in both and holds the answers against each other.
func (h *history) find(id string, side schemas.Side) bool {
	h.t.Helper()
	got, ok := h.c.Find(window.IDHash(id, side))
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

// ask compares answers for the event at log position at: at its own time and at the watermark, with it and without.
func (h *history) ask(at, place int) {
	h.t.Helper()
	e := &h.m.events[at].e
	for range 10 {
		to := pick(h.r, e.Time, *h.m.wm)
		from := to - pick(h.r, widths...)
		class, skip, skipAt := h.r.IntN(len(h.m.plan.filters)+1)-1, window.None, -1
		if h.r.IntN(2) == 0 {
			skip, skipAt = place, at
		}
		why, ok := h.c.Known(from)
		if want := h.m.why(from); ok != (want == "") || !ok && why != want {
			h.fail("Known(%+d): %q %t, the model says %q", from-start, why, ok, want)
		}
		if !ok {
			continue
		}
		got, want := h.engine(from, to, class, skip), h.m.answer(from, to, class, skipAt)
		if got != want {
			h.fail("window (%+d, %+d] class %d skip %d:\n got %+v\nwant %+v", from-start, to-start, class, skip, got, want)
		}
	}
	for s := range h.m.plan.since {
		t, found, complete := h.c.Since(s, place)
		wantT, wantFound, refused := h.m.since(s, at)
		if found != wantFound || found && t != wantT || !found && complete == refused {
			h.fail("since %q of %s at %+d: %+d found %t complete %t, the model says %+d found %t refused %t",
				h.m.plan.sinceName(s), e.ID, e.Time-start, t-start, found, complete, wantT-start, wantFound, refused)
		}
	}
}

// engine asks the package for everything about one window.
func (h *history) engine(from, to int64, class, skip int) (a answer) {
	h.t.Helper()
	i, j := h.c.Span(from, to)
	a.count = h.c.Count(i, j, class, skip)
	total := h.c.Total(i, j, class, skip)
	sum, n := h.c.Sum(i, j, class, skip)
	if total != sum {
		h.fail("Total %s, Sum %s", total.Decimal(), sum.Decimal())
	}
	a.sum, a.amounts = big128(sum).String(), n
	a.lo, a.hi, a.hasExtreme = h.c.Extremes(i, j, class, skip)
	for f := range schemas.NumFields {
		d, ok := h.c.Distinct(i, j, class, skip, f, &h.marks)
		if !ok {
			h.fail("Distinct %s refused", f)
		}
		a.distinct[f] = d
	}
	return a
}

// store writes and reads the customer, as an eviction and a miss do.
func (h *history) store() {
	h.t.Helper()
	h.note("store")
	b := h.c.Append([]byte("before"))[len("before"):]
	c, err := window.Decode(b, h.shape)
	if err != nil {
		h.fail("decode what was just encoded: %v", err)
	}
	if again := c.Append(nil); !bytes.Equal(again, b) {
		h.fail("encoded, decoded and encoded again:\n got %x\nwant %x", again, b)
	}
	if c.Team() != h.c.Team() || c.ID() != h.c.ID() || c.LSN() != h.c.LSN() || c.Version() != h.c.Version() || c.Len() != h.c.Len() {
		h.fail("decoded header differs")
	}
	h.c = c
}

// step is one random thing that happens to a customer.
func (h *history) step() {
	switch n := h.r.IntN(100); {
	case n < 66:
		h.offer(h.event())
	case n < 74 && len(h.m.events) > 0: // offered again
		x := h.m.events[h.r.IntN(len(h.m.events))].e
		if h.r.IntN(4) == 0 {
			x.Side = pick(h.r, schemas.SideNone, schemas.SideOut, schemas.SideIn)
		}
		x.Time = pick(h.r, x.Time, *h.m.wm, *h.m.wm)
		h.offer(x)
	case n < 82:
		h.note("trim")
		h.c.Trim()
	case n < 90:
		h.store()
	case n < 94:
		p := h.plan(int32(len(h.plans)) + 1)
		h.note("configuration %d, retention %d", p.version, p.retention)
		h.m.adopt(*p)
		h.pending = append(h.pending, p.version)
		if h.r.IntN(2) == 0 {
			h.touch()
		}
	default:
		h.abort()
	}
}

// TestCustomer_AnswersAreThoseOfTheNaiveModel is the package's main test: ties, late events, repeated ids, uncounted events, missing
// texts and amounts, filters, windows exactly on a border, trims, stores, configurations and aborted transactions in any order.
func TestCustomer_AnswersAreThoseOfTheNaiveModel(t *testing.T) {
	seeds, steps := 120, 250
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			h := newHistory(t, uint64(seed))
			for range steps {
				h.step()
			}
		})
	}
}
