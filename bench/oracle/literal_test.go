package oracle

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// literal is the contract read aloud over the whole log, with nothing sorted and nothing forgotten: the checker's checker.
type literal struct {
	cfg      Config
	accepted []literalEvent // of one customer, in log order
}

type literalEvent struct {
	schemas.Event
	counted bool
}

// step returns the outcome, the reason and the features as text.
func (m *literal) step(e schemas.Event, appended int64) string {
	wm, started := int64(0), false
	for _, x := range m.accepted {
		wm, started = max(wm, x.Time), true
	}
	retention := m.cfg.Retention
	if e.Time > appended+5*60_000 {
		return "rejected future"
	}
	if started && e.Time <= wm-retention {
		return "rejected beyond_retention"
	}
	for _, x := range m.accepted {
		if x.ID != e.ID || x.Side != e.Side || x.Time <= wm-retention {
			continue
		}
		switch {
		case x.Origin == e.Origin:
			return "duplicate redelivery"
		case x.Time == e.Time && x.Amount == e.Amount:
			return "duplicate "
		}
		return "rejected conflict"
	}
	late := started && e.Time < wm
	m.accepted = append(m.accepted, literalEvent{e, e.State != "DECLINED"})
	wm = max(wm, e.Time)
	s := fmt.Sprint("assessed late ", late)
	for _, f := range m.cfg.Features {
		s += " " + f.Name + "=" + m.feature(f, e.Time, wm-retention)
	}
	last, found := int64(0), false
	for _, x := range m.accepted[:len(m.accepted)-1] { // all of them stand before e in the log
		if x.counted && x.Time <= e.Time && (!found || x.Time > last) {
			last, found = x.Time, true
		}
	}
	return s + fmt.Sprint(" since=", e.Time-last, found)
}

func (m *literal) feature(f Feature, now, horizon int64) string {
	if now-f.Window < horizon {
		return "ND"
	}
	var n, sum int64
	var all []int64
	var names []string
	for _, x := range m.accepted {
		if x.Time <= now-f.Window || x.Time > now || !x.counted || f.Side != schemas.SideNone && x.Side != f.Side {
			continue
		}
		n++
		sum += x.Amount
		all = append(all, x.Amount)
		if text, given := x.Text(f.Field); given && !slices.Contains(names, text) {
			names = append(names, text)
		}
	}
	switch {
	case f.Func == Count:
		return fmt.Sprint(n)
	case f.Func == Distinct:
		return fmt.Sprint(len(names))
	case f.Func == Sum:
		return schemas.FormatAmount(sum)
	case n == 0:
		return "ND"
	case f.Func == Min:
		return schemas.FormatAmount(slices.Min(all))
	case f.Func == Max:
		return schemas.FormatAmount(slices.Max(all))
	}
	return schemas.I128(sum).DivRound(uint64(n)).Decimal()
}

// told is what the oracle says in the words of literal.
func told(w *Want, since string) string {
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
	return s + since
}

// scripted are events of one customer, six bytes each: a time that wanders around ever later ones, few amounts, ids and counterparties.
func scripted(t *testing.T, script []byte) {
	cfg := plain(100,
		Feature{Name: "n", Func: Count, Window: 60}, Feature{Name: "all", Func: Count, Window: 100}, Feature{Name: "sum", Func: Sum, Window: 40, Side: schemas.SideOut},
		Feature{Name: "avg", Func: Avg, Window: 30}, Feature{Name: "min", Func: Min, Window: 20}, Feature{Name: "max", Func: Max, Window: 90, Side: schemas.SideIn},
		Feature{Name: "cp", Func: Distinct, Window: 70, Field: schemas.FieldCounterparty})
	l, m := newLog(t, cfg), &literal{cfg: cfg}
	for i := 0; len(script) >= 6; i++ {
		b := script[:6]
		script = script[6:]
		e := schemas.Event{
			Kind: schemas.KindPayment, Customer: "c", Time: 1000 + int64(i)*3 + int64(b[0]) - int64(b[1]), Amount: int64(int8(b[2])) * 500_001, HasAmount: true,
			Side: schemas.Side(b[3] % 3), ID: fmt.Sprint(i - int(b[4]%4)*int(b[4]%5)), Origin: schemas.Origin{Topic: "t", Offset: int64(i - int(b[5]>>4)%3)},
		}
		if b[5]&1 == 0 {
			e.SetText(schemas.FieldCounterparty, fmt.Sprint(b[5]&6))
		}
		if b[4] > 230 {
			e.SetText(schemas.FieldState, "DECLINED")
		}
		appended := e.Time + 300_000 - int64(b[3]>>3) + 2
		want := m.step(e, appended)
		w := l.oracle.Step(&Record{Offset: int64(i), Appended: appended, Event: e})
		since := ""
		if w.Outcome == schemas.Assessed {
			c := l.oracle.partitions[0].customers[customerKey{customer: "c"}]
			at := slices.IndexFunc(c.events, func(x entry) bool { return x.position == int64(i) })
			ms, ok := (&view{customer: c, event: &c.events[at], retention: cfg.Retention}).since()
			if !ok {
				ms = e.Time
			}
			since = fmt.Sprint(" since=", ms, ok)
		}
		if got := told(&w, since); got != want {
			t.Fatalf("event %d %+v:\n got %s\nwant %s", i, e, got, want)
		}
	}
}

func TestOracle_ForgettingAndSortingChangeNoAnswer(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 0, 6*300)
		for range 6 * 300 / 8 {
			script = binary.LittleEndian.AppendUint64(script, r.Uint64())
		}
		scripted(t, script)
	}
}

func FuzzOracle_ForgettingAndSortingChangeNoAnswer(f *testing.F) {
	f.Add([]byte("streamgauge streamgauge streamgauge streamgauge"))
	f.Add(make([]byte, 120))
	f.Fuzz(func(t *testing.T, script []byte) { scripted(t, script[:min(len(script), 6*200)]) })
}
