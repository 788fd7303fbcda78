package oracle

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// literal is the contract read aloud over the whole log, with nothing sorted and nothing forgotten: the checker's checker.
type literal struct {
	cfg      Config
	accepted []*literalEvent // of one customer, in log order
	waiting  []literalChange // stateChanges before their event, in log order
}

type literalEvent struct {
	schemas.Event
	states []literalChange // its own and all that were applied to it, in log order, superseded ones too
}

type literalChange struct {
	schemas.Event
	appended int64
}

// newest is the state that holds: of the largest time, the last of them.
func (x *literalEvent) newest() (c literalChange, ok bool) {
	for _, s := range x.states {
		if !ok || s.Time >= c.Time {
			c, ok = s, true
		}
	}
	return c, ok
}

func (x *literalEvent) counted() bool {
	s, ok := x.newest()
	return !ok || s.State != "DECLINED"
}

// watermark of the accepted events.
func (m *literal) watermark() (wm int64, started bool) {
	for _, x := range m.accepted {
		wm, started = max(wm, x.Time), true
	}
	return wm, started
}

// visible is the event of that identity that has not left the horizon.
func (m *literal) visible(e *schemas.Event) *literalEvent {
	wm, _ := m.watermark()
	for _, x := range m.accepted {
		if x.ID == e.ID && x.Side == e.Side && x.Time > wm-m.cfg.Retention {
			return x
		}
	}
	return nil
}

// step returns the outcome, the reason and the features as text, for the record and for all that it released.
func (m *literal) step(e schemas.Event, appended int64) (lines []string) {
	var rest []literalChange
	for _, c := range m.waiting {
		if appended-c.appended >= 24*3600*1000 {
			lines = append(lines, c.ID+" rejected parked_expired")
		} else {
			rest = append(rest, c)
		}
	}
	m.waiting = rest
	if e.Kind == schemas.KindStateChange {
		return append([]string{m.change(e, appended)}, lines...)
	}
	outcome := m.outcome(&e, appended)
	if outcome != "" {
		return append([]string{outcome}, lines...)
	}
	wm, started := m.watermark()
	late := started && e.Time < wm
	x := &literalEvent{Event: e}
	if e.State != "" {
		x.states = append(x.states, literalChange{Event: schemas.Event{Time: e.Time, State: e.State}})
	}
	m.accepted = append(m.accepted, x)
	rest = nil
	for _, c := range m.waiting {
		if c.ID == e.ID && c.Side == e.Side {
			lines = append(lines, c.ID+" "+x.apply(c))
		} else {
			rest = append(rest, c)
		}
	}
	m.waiting = rest
	wm = max(wm, e.Time)
	s := fmt.Sprint("assessed late ", late)
	for i := range m.cfg.Features {
		f := &m.cfg.Features[i]
		s += " " + f.Name + "=" + m.feature(f, x, e.Time, wm-m.cfg.Retention)
	}
	return append([]string{s}, lines...)
}

// change is what becomes of a stateChange.
func (m *literal) change(e schemas.Event, appended int64) string {
	switch x := m.visible(&e); {
	case e.Time > appended+5*60_000:
		return "rejected future"
	case e.State != "SENT" && e.State != "DECLINED":
		return "rejected unknown_state"
	case x != nil:
		return x.apply(literalChange{e, appended})
	case len(m.waiting) >= 100:
		return "rejected parked_overflow"
	}
	m.waiting = append(m.waiting, literalChange{e, appended})
	return "parked unknown_event"
}

func (x *literalEvent) apply(c literalChange) string {
	now, ok := x.newest()
	switch {
	case now.Kind == schemas.KindStateChange && now.State == c.State && now.Time == c.Time:
		return "duplicate "
	}
	x.states = append(x.states, c)
	if ok && c.Time < now.Time {
		return "applied superseded"
	}
	return "applied "
}

// outcome of a payment that is not assessed; empty for one that is.
func (m *literal) outcome(e *schemas.Event, appended int64) string {
	wm, started := m.watermark()
	if e.Time > appended+5*60_000 {
		return "rejected future"
	}
	if started && e.Time <= wm-m.cfg.Retention {
		return "rejected beyond_retention"
	}
	x := m.visible(e)
	switch {
	case x == nil:
		return ""
	case x.Origin == e.Origin:
		return "duplicate redelivery"
	case x.Time == e.Time && x.Amount == e.Amount:
		return "duplicate "
	}
	return "rejected conflict"
}

// window are the events of a feature in (time, log) order.
func (m *literal) window(f *Feature, this *literalEvent, now int64) (list []*literalEvent) {
	for _, x := range m.accepted {
		switch {
		case x.Time <= now-f.Delay-f.Window, x.Time > now-f.Delay, f.Prior && x == this:
		case !x.counted() && !f.States:
		case f.Side != schemas.SideNone && x.Side != f.Side:
		case f.States && !stateIs(x, "DECLINED"):
		case f.With != nil && x.Counterparty != this.Counterparty:
		case f.With != nil && (!x.Has(schemas.FieldCounterparty) || !this.Has(schemas.FieldCounterparty)):
		default:
			list = append(list, x)
		}
	}
	slices.SortStableFunc(list, func(a, b *literalEvent) int { return int(a.Time - b.Time) })
	return list
}

func stateIs(x *literalEvent, state string) bool {
	s, ok := x.newest()
	return ok && s.State == state
}

func (m *literal) feature(f *Feature, this *literalEvent, now, horizon int64) string {
	if f.Func == Since {
		last, found := int64(0), false
		for _, x := range m.accepted[:len(m.accepted)-1] { // all of them stand before this one in the log
			if x.Time <= now && (!found || x.Time > last) && (f.States && stateIs(x, "DECLINED") || !f.States && x.counted()) {
				last, found = x.Time, true
			}
		}
		if !found {
			return "ND"
		}
		return schemas.FormatAmount((now - last) * 1000)
	}
	if now-f.Delay-f.Window < horizon {
		return "ND"
	}
	var all []int64
	var sum int64
	var names []string
	for _, x := range m.window(f, this, now) {
		sum += x.Amount
		all = append(all, x.Amount)
		if text, given := x.Text(f.Field); given && !slices.Contains(names, text) {
			names = append(names, text)
		}
	}
	switch {
	case f.Func == Count:
		return fmt.Sprint(len(all))
	case f.Func == Distinct:
		return fmt.Sprint(len(names))
	case f.Func == Sum:
		return schemas.FormatAmount(sum)
	case len(all) == 0:
		return "ND"
	case f.Func == Min:
		return schemas.FormatAmount(slices.Min(all))
	case f.Func == Max:
		return schemas.FormatAmount(slices.Max(all))
	case f.Func == First:
		return schemas.FormatAmount(all[0])
	case f.Func == Last:
		return schemas.FormatAmount(all[len(all)-1])
	case f.Func == Stddev:
		return schemas.FormatAmount(nearest(all))
	}
	return schemas.I128(sum).DivRound(uint64(len(all))).Decimal()
}

// nearest is the whole number nearest to the standard deviation, by the definition and in fractions: the largest q of which q − ½ lies
// below σ, or at σ where q is even.
func nearest(all []int64) int64 {
	n := big.NewRat(int64(len(all)), 1)
	mean := new(big.Rat)
	for _, x := range all {
		mean.Add(mean, big.NewRat(x, 1))
	}
	mean.Quo(mean, n)
	variance := new(big.Rat)
	for _, x := range all {
		d := new(big.Rat).Sub(big.NewRat(x, 1), mean)
		variance.Add(variance, d.Mul(d, d))
	}
	variance.Quo(variance, n)
	lo, hi := int64(0), int64(1)<<40
	for lo < hi {
		q := (lo + hi + 1) / 2
		edge := big.NewRat(2*q-1, 2)
		if c := edge.Mul(edge, edge).Cmp(variance); c < 0 || c == 0 && q%2 == 0 {
			lo = q
		} else {
			hi = q - 1
		}
	}
	return lo
}

// told is what the oracle says in the words of literal.
func told(w *Want) string {
	if w.Outcome != schemas.Assessed {
		return w.Outcome.String() + " " + w.Reason
	}
	s := fmt.Sprint("assessed late ", w.Late)
	for _, m := range w.Features {
		v := m.Value.Decimal()
		if m.ND {
			v = "ND"
		}
		s += " " + m.Name + "=" + v
	}
	return s
}

// literalFeatures are windows of at most 100 ms, of every kind that needs no calendar.
func literalFeatures() []Feature {
	declined := func(p *Past) bool { return p.Is(schemas.FieldState, "DECLINED") }
	same := func(p, this *Past) bool {
		a, hasA := p.Text(schemas.FieldCounterparty)
		b, hasB := this.Text(schemas.FieldCounterparty)
		return hasA && hasB && a == b
	}
	return []Feature{
		{Name: "n", Func: Count, Window: 60}, {Name: "all", Func: Count, Window: 100}, {Name: "sum", Func: Sum, Window: 40, Side: schemas.SideOut},
		{Name: "avg", Func: Avg, Window: 30}, {Name: "min", Func: Min, Window: 20}, {Name: "max", Func: Max, Window: 90, Side: schemas.SideIn},
		{Name: "cp", Func: Distinct, Window: 70, Field: schemas.FieldCounterparty}, {Name: "sd", Func: Stddev, Window: 50},
		{Name: "first", Func: First, Window: 45}, {Name: "last", Func: Last, Window: 45, Side: schemas.SideOut}, {Name: "before", Func: Last, Window: 80, Prior: true},
		{Name: "delayed", Func: Sum, Window: 30, Delay: 20}, {Name: "edge", Func: Count, Window: 60, Delay: 40}, {Name: "prior", Func: Stddev, Window: 60, Prior: true},
		{Name: "declined", Func: Count, Window: 90, Where: declined, States: true}, {Name: "quiet", Func: Since}, {Name: "refusal", Func: Since, Where: declined, States: true},
		{Name: "pair", Func: Count, Window: 70, With: same},
	}
}

// scripted are events and stateChanges of one customer, six bytes each: a time that wanders around ever later ones, few amounts, ids and
// counterparties.
func scripted(t *testing.T, script []byte) (outcomes map[string]int) {
	cfg := plain(100, literalFeatures()...)
	l, m := newLog(t, cfg), &literal{cfg: cfg}
	outcomes = map[string]int{}
	clock := int64(1_000_000_000)
	for i := 0; len(script) >= 6; i++ {
		b := script[:6]
		script = script[6:]
		now := 1000 + int64(i)*3
		e := schemas.Event{
			Kind: schemas.KindPayment, Customer: "c", Time: now + int64(b[0]%32) - int64(b[1]%128), Amount: int64(int8(b[2])) * 500_001, HasAmount: true,
			Side: schemas.Side(i % 3), ID: fmt.Sprint(i - int(b[4]%4)*int(b[4]%5)), Origin: schemas.Origin{Topic: "t", Offset: int64(i - int(b[5]>>4)%3)},
		}
		if b[0]%16 == b[1]%16 { // as a producer repeats it
			e.ID, e.Side, e.Time, e.Amount = "again", schemas.SideOut, now-now%60, 1
		}
		if b[5]&1 == 0 {
			e.SetText(schemas.FieldCounterparty, fmt.Sprint(b[5]&6))
		}
		if b[4] > 230 {
			e.SetText(schemas.FieldState, "DECLINED")
		}
		if b[5]%3 == 0 { // a stateChange, of an event before or behind; half of them of few times, so that states repeat and tie
			of := max(i-int(b[4]%16)+3, 0)
			e = schemas.Event{Kind: schemas.KindStateChange, Customer: "c", ID: fmt.Sprint(of), Side: schemas.Side(of % 3), Time: e.Time, Origin: e.Origin}
			if b[0]%2 == 0 {
				e.Time = now - now%60
			}
			e.SetText(schemas.FieldState, []string{"SENT", "DECLINED", "SENT", "DECLINED", "SENT", "DECLINED", "LOST"}[b[2]%7])
		}
		if b[1] == 7 {
			clock += 13 * 3600 * 1000 // what is held expires
		}
		appended := clock + now
		if b[3]>>3 < 2 {
			appended = e.Time - 300_001 + int64(b[3]>>3) // the last one that is too early, and the first that is not
		}
		want := m.step(e, appended)
		w, released := l.oracle.Step(&Record{Offset: int64(i), Appended: appended, Event: e})
		got := []string{told(&w)}
		for k := range released {
			if released[k].Seq != int32(k)+1 {
				t.Fatalf("event %d: released %d has seq %d", i, k, released[k].Seq)
			}
			got = append(got, released[k].Event.ID+" "+told(&released[k]))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("event %d %+v:\n got %q\nwant %q", i, e, got, want)
		}
		outcomes[fmt.Sprint(e.Kind, " ", w.Outcome, " ", w.Reason)]++
		for k := range released {
			outcomes[fmt.Sprint("released ", released[k].Outcome, " ", released[k].Reason)]++
		}
	}
	return outcomes
}

func TestOracle_ForgettingAndSortingChangeNoAnswer(t *testing.T) {
	all := map[string]int{}
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 0, 6*300)
		for range 6 * 300 / 8 {
			script = binary.LittleEndian.AppendUint64(script, r.Uint64())
		}
		for what, n := range scripted(t, script) {
			all[what] += n
		}
	}
	t.Log(all)
	for _, what := range []string{
		"payment assessed ", "payment duplicate redelivery", "payment duplicate ", "payment rejected conflict", "payment rejected future", "payment rejected beyond_retention",
		"stateChange applied ", "stateChange applied superseded", "stateChange duplicate ", "stateChange parked unknown_event",
		"stateChange rejected unknown_state", "stateChange rejected future",
		"released applied ", "released applied superseded", "released duplicate ", "released rejected parked_expired",
	} {
		if all[what] == 0 {
			t.Errorf("no %q: the comparison says nothing about it", what)
		}
	}
}

func FuzzOracle_ForgettingAndSortingChangeNoAnswer(f *testing.F) {
	f.Add([]byte("streamgauge streamgauge streamgauge streamgauge"))
	f.Add(make([]byte, 120))
	f.Fuzz(func(t *testing.T, script []byte) { scripted(t, script[:min(len(script), 6*200)]) })
}
