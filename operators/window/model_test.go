package window_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// The naive model: every event that was ever accepted, in a list, and every answer by looking at all of them. It shares nothing with
// the package but the schemas' words.

// seen is one accepted event; its place in model.events is its log position.
type seen struct {
	e       schemas.Event
	base    bool
	counted bool
	left    int32 // version of the configuration that had it behind its horizon when the next one came; 0 none
}

// filter is a rule's filter on past events, told twice: for the engine's Past and for the model's event.
type filter struct {
	name      string
	uncounted bool // asks for the state, so it also takes what does not count
	past      func(p *schemas.Past) bool
	naive     func(x *seen) bool
}

func textIs(f schemas.Field, want string) filter {
	return filter{
		name:  fmt.Sprintf("%s == %q", f, want),
		past:  func(p *schemas.Past) bool { v, ok := p.Get(f); return ok && v == want },
		naive: func(x *seen) bool { v, ok := textOf(&x.e, f); return ok && v == want },
	}
}

func amountFrom(lo int64) filter {
	return filter{
		name:  fmt.Sprintf("amount >= %d", lo),
		past:  func(p *schemas.Past) bool { return p.HasAmount && p.Amount >= lo },
		naive: func(x *seen) bool { return x.base && x.e.HasAmount && x.e.Amount >= lo },
	}
}

func stateIs(want string) filter {
	f := textIs(schemas.FieldState, want)
	f.uncounted = true
	return f
}

func kindIs(k schemas.Kind) filter {
	return filter{
		name:  "kind == " + k.String(),
		past:  func(p *schemas.Past) bool { return p.Kind == k },
		naive: func(x *seen) bool { return x.e.Kind == k },
	}
}

// textOf reads the event's struct fields by itself.
func textOf(e *schemas.Event, f schemas.Field) (string, bool) {
	if f == schemas.FieldDirection {
		return map[schemas.Side]string{schemas.SideOut: "OUT", schemas.SideIn: "IN"}[e.Side], e.Side != schemas.SideNone
	}
	v := map[schemas.Field]string{
		schemas.FieldCurrency: e.Currency, schemas.FieldCounterparty: e.Counterparty, schemas.FieldChannel: e.Channel,
		schemas.FieldCountry: e.Country, schemas.FieldState: e.State, schemas.FieldType: e.Type,
	}[f]
	return v, e.Present>>f&1 == 1
}

// plan is one configuration.
type plan struct {
	version   int32
	retention int64
	filters   []filter
	since     []int // filter indexes, window.All allowed
}

// sinceName is the identity of a since condition across configurations.
func (p *plan) sinceName(i int) string {
	if f := p.since[i]; f >= 0 {
		return p.filters[f].name
	}
	return "all"
}

func (p *plan) shape() *window.Shape {
	s := &window.Shape{Version: p.version, Retention: p.retention}
	s.Classify = func(x *schemas.Past) (bits uint64) {
		for i, f := range p.filters {
			if (x.Counted || f.uncounted) && f.past(x) {
				bits |= 1 << i
			}
		}
		return bits
	}
	for i, f := range p.since {
		key := uint64(14695981039346656037)
		for _, c := range []byte(p.sinceName(i)) {
			key = (key ^ uint64(c)) * 1099511628211
		}
		s.Since = append(s.Since, window.Since{Key: key, Bit: f})
	}
	return s
}

type model struct {
	plan   plan
	events []seen
	wm     *int64           // largest accepted time
	known  *int64           // windows that begin before it are warming
	born   map[string]int32 // since conditions of the plan: the version that brought each
}

func newModel(p plan) *model {
	m := &model{plan: p, born: map[string]int32{}}
	for i := range p.since {
		m.born[p.sinceName(i)] = p.version
	}
	return m
}

func (m *model) horizon() *int64 {
	if m.wm == nil {
		return nil
	}
	h := *m.wm - m.plan.retention
	return &h
}

// accept takes the event in and returns its log position.
func (m *model) accept(e schemas.Event, base, counted bool) int {
	m.events = append(m.events, seen{e: e, base: base, counted: counted})
	if m.wm == nil || e.Time > *m.wm {
		m.wm = &e.Time
	}
	return len(m.events) - 1
}

func (m *model) adopt(p plan) {
	if h := m.horizon(); h != nil {
		for i := range m.events {
			if x := &m.events[i]; x.left == 0 && x.e.Time <= *h {
				x.left = m.plan.version
			}
		}
		if p.retention != m.plan.retention {
			if k := *m.wm - min(p.retention, m.plan.retention); m.known == nil || k > *m.known {
				m.known = &k
			}
		}
	}
	born := map[string]int32{}
	for i := range p.since {
		name := p.sinceName(i)
		born[name] = p.version
		if v, had := m.born[name]; had {
			born[name] = v
		}
	}
	m.born, m.plan = born, p
}

// find is the identity of the newest visible event with this id and side.
func (m *model) find(id string, side schemas.Side) *seen {
	var best *seen
	h := m.horizon()
	for i := range m.events {
		x := &m.events[i]
		if x.e.ID == id && x.e.Side == side && x.left == 0 && x.e.Time > *h && (best == nil || x.e.Time >= best.e.Time) {
			best = x
		}
	}
	return best
}

// why says why a window that begins at from cannot be answered; empty if it can.
func (m *model) why(from int64) string {
	switch h := m.horizon(); {
	case h != nil && from < *h:
		return "horizon"
	case m.known != nil && from < *m.known:
		return "warming"
	}
	return ""
}

// in calls fn for every event ever accepted with time in (from, to] that belongs to the class, but not for the event at position skip.
func (m *model) in(from, to int64, class, skip int, fn func(x *seen)) {
	for i := range m.events {
		x := &m.events[i]
		if i != skip && x.e.Time > from && x.e.Time <= to && m.belongs(x, class) {
			fn(x)
		}
	}
}

func (m *model) belongs(x *seen, class int) bool {
	if class == window.All {
		return x.counted
	}
	f := m.plan.filters[class]
	return (x.counted || f.uncounted) && f.naive(x)
}

// answer is everything that can be asked of one window, as text.
type answer struct {
	count      int64
	sum        string
	amounts    int64
	lo, hi     int64
	hasExtreme bool
	distinct   [schemas.NumFields]int64
}

func (m *model) answer(from, to int64, class, skip int) (a answer) {
	sum := new(big.Int)
	var values [schemas.NumFields]map[string]bool
	for f := range values {
		values[f] = map[string]bool{}
	}
	m.in(from, to, class, skip, func(x *seen) {
		a.count++
		for f := range values {
			if v, ok := textOf(&x.e, schemas.Field(f)); ok {
				values[f][v] = true
			}
		}
		if !x.base || !x.e.HasAmount {
			return
		}
		sum.Add(sum, big.NewInt(x.e.Amount))
		if a.amounts++; a.amounts == 1 || x.e.Amount < a.lo {
			a.lo = x.e.Amount
		}
		if a.amounts == 1 || x.e.Amount > a.hi {
			a.hi = x.e.Amount
		}
		a.hasExtreme = true
	})
	for f := range values {
		a.distinct[f] = int64(len(values[f]))
	}
	a.sum = sum.String()
	return a
}

// since is the time of the newest event before position at, in (time, log) order, that meets condition s. refused says that the engine
// cannot know: it no longer holds an event that could be the answer.
func (m *model) since(s, at int) (t int64, found, refused bool) {
	e, born := m.events[at].e.Time, m.born[m.plan.sinceName(s)]
	var truth, held, newest, unseen *int64
	for i := range m.events[:at] {
		x := &m.events[i]
		meets := m.belongs(x, m.plan.since[s])
		if meets && x.e.Time <= e {
			truth = later(truth, x.e.Time)
		}
		switch {
		case x.left != 0 && x.left < born: // it left before anybody asked for the condition
			unseen = later(unseen, x.e.Time)
		case x.left != 0 && meets: // of these only the newest time is kept
			newest = later(newest, x.e.Time)
		case meets && x.e.Time <= e:
			held = later(held, x.e.Time)
		}
	}
	if newest != nil && *newest <= e {
		held = later(held, *newest)
	} else if newest != nil {
		unseen = later(unseen, *newest)
	}
	if unseen != nil && (held == nil || *held < min(*unseen, e)) {
		return 0, false, true
	}
	if (held == nil) != (truth == nil) || held != nil && *held != *truth {
		panic("BUG: the model would give a wrong answer where it could refuse")
	}
	if held == nil {
		return 0, false, false
	}
	return *held, true, false
}

func later(a *int64, b int64) *int64 {
	if a != nil && *a >= b {
		return a
	}
	return &b
}

// big128 reads an Int128 by its bytes.
func big128(x schemas.Int128) *big.Int {
	b := x.Bytes()
	v := new(big.Int).SetBytes(b[:])
	if b[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return v
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }
