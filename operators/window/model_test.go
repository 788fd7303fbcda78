package window_test

import (
	"fmt"
	"math/big"
	"slices"
	"time"

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
	stated  *int64          // time of the newest stateChange that was applied
	left    bool            // some configuration's horizon hid it when the next one came
	unseen  []string        // since conditions that came after it had left
	lost    []window.Column // retained by a later configuration only
}

// filter is a rule's filter on past events, told twice: for the engine's Past and for the model's event.
type filter struct {
	name      string
	column    *window.Column // that it reads; nil: the amount or the kind
	uncounted bool           // asks for the state, so it also takes what does not count
	past      func(p *schemas.Past) bool
	naive     func(x *seen) bool
}

func textIs(col window.Column, want string) filter {
	return filter{
		name: fmt.Sprintf("%v == %q", col, want), column: &col,
		past: func(p *schemas.Past) bool {
			v, ok := p.Attr(col.Attr)
			if col.Attr == "" {
				v, ok = p.Get(col.Field)
			}
			return ok && v == want
		},
		naive: func(x *seen) bool { v, ok := x.text(col); return ok && v == want },
	}
}

func amountFrom(lo int64) filter {
	return filter{
		name:  fmt.Sprintf("amount >= %d", lo),
		past:  func(p *schemas.Past) bool { return p.HasAmount && p.Amount >= lo },
		naive: func(x *seen) bool { return x.amount() && x.e.Amount >= lo },
	}
}

func kindIs(k schemas.Kind) filter {
	return filter{
		name:  "kind == " + k.String(),
		past:  func(p *schemas.Past) bool { return p.Kind == k },
		naive: func(x *seen) bool { return x.e.Kind == k },
	}
}

// scan is a condition on a past event and the current one.
type scan struct {
	column *window.Column
	past   func(p, this *schemas.Past) bool
	naive  func(x, this *seen) bool
}

func nearAmount() scan {
	return scan{
		past: func(p, q *schemas.Past) bool {
			return p.HasAmount && q.HasAmount && p.Amount-q.Amount < 20*schemas.Micro
		},
		naive: func(x, y *seen) bool { return x.amount() && y.amount() && x.e.Amount-y.e.Amount < 20*schemas.Micro },
	}
}

func otherCountry() scan {
	col := window.Column{Field: schemas.FieldCountry}
	return scan{
		column: &col,
		past: func(p, q *schemas.Past) bool {
			a, ok := p.Get(schemas.FieldCountry)
			b, also := q.Get(schemas.FieldCountry)
			return ok && also && a != b
		},
		naive: func(x, y *seen) bool {
			a, ok := x.text(col)
			b, also := y.text(col)
			return ok && also && a != b
		},
	}
}

// text is the event's value of a column, as far as the engine was asked to retain it.
func (x *seen) text(col window.Column) (string, bool) {
	if slices.Contains(x.lost, col) {
		return "", false
	}
	return textOf(&x.e, col)
}

// amount says whether the event has an amount in the base currency.
func (x *seen) amount() bool { return x.base && x.e.HasAmount }

// textOf reads the event's struct fields by itself.
func textOf(e *schemas.Event, col window.Column) (string, bool) {
	if col.Attr != "" {
		for _, a := range e.Attributes {
			if a.Name == col.Attr {
				return a.Value, true
			}
		}
		return "", false
	}
	if col.Field == schemas.FieldDirection {
		return map[schemas.Side]string{schemas.SideOut: "OUT", schemas.SideIn: "IN"}[e.Side], e.Side != schemas.SideNone
	}
	v := map[schemas.Field]string{
		schemas.FieldCurrency: e.Currency, schemas.FieldCounterparty: e.Counterparty, schemas.FieldChannel: e.Channel,
		schemas.FieldCountry: e.Country, schemas.FieldState: e.State, schemas.FieldType: e.Type,
	}[col.Field]
	return v, e.Present>>col.Field&1 == 1
}

// plan is one configuration.
type plan struct {
	version    int32
	retention  int64
	base       string
	zone       *time.Location
	columns    []window.Column
	filters    []filter
	scans      []scan
	spans      []window.Span
	aggregates []window.Aggregate
}

func (p *plan) shape() *window.Shape {
	s := &window.Shape{Version: p.version, Retention: p.retention, Base: p.base, Zone: p.zone, Columns: p.columns, Spans: p.spans, Aggregates: p.aggregates}
	reads := func(c *window.Column) []int {
		if c == nil {
			return nil
		}
		return []int{slices.Index(p.columns, *c)}
	}
	for _, f := range p.filters {
		key := uint64(14695981039346656037)
		for _, c := range []byte(f.name) {
			key = (key ^ uint64(c)) * 1099511628211
		}
		s.Filters = append(s.Filters, window.Filter{Key: key, Columns: reads(f.column), Match: func(x *schemas.Past) bool {
			return (x.Counted || f.uncounted) && f.past(x)
		}})
	}
	for _, x := range p.scans {
		s.Scans = append(s.Scans, window.Scan{Columns: reads(x.column), Match: x.past})
	}
	return s
}

type model struct {
	plan   plan
	limits window.Limits
	events []seen
	held   []window.Held
	wm     *int64                   // largest accepted time
	floor  *int64                   // too many are newer
	known  *int64                   // windows that begin before it are warming
	base   *int64                   // the same for amounts
	cols   map[window.Column]*int64 // the same by column
	blind  map[string]*int64        // since conditions by name: newest time of an event that may have met it unseen
}

// sinceNames are the plan's since conditions: name to filter.
func (p *plan) sinceNames() map[string]int {
	names := map[string]int{}
	for _, a := range p.aggregates {
		if a.Func == window.Since && a.Filter == window.All {
			names["all"] = a.Filter
		} else if a.Func == window.Since {
			names[p.filters[a.Filter].name] = a.Filter
		}
	}
	return names
}

func newModel(p plan, l window.Limits) *model {
	m := &model{plan: p, limits: l, cols: map[window.Column]*int64{}, blind: map[string]*int64{}}
	for _, c := range p.columns {
		m.cols[c] = nil
	}
	for name := range p.sinceNames() {
		m.blind[name] = nil
	}
	return m
}

// clone is a copy that further events do not change.
func (m *model) clone() *model {
	n := *m
	n.events, n.held = slices.Clone(m.events), slices.Clone(m.held)
	return &n
}

func (m *model) horizon() *int64 {
	if m.wm == nil {
		return nil
	}
	h := *m.wm - m.plan.retention
	return later(m.floor, h)
}

// accept takes the event in and returns its log position.
func (m *model) accept(e schemas.Event, base, counted bool) int {
	e.Attributes = slices.Clone(e.Attributes)
	x := seen{e: e, base: base && (m.base == nil || e.Time > *m.base), counted: counted}
	for c, from := range m.cols {
		if from != nil && e.Time <= *from {
			x.lost = append(x.lost, c)
		}
	}
	m.events = append(m.events, x)
	if m.wm == nil || e.Time > *m.wm {
		m.wm = &e.Time
	}
	var times []int64
	for i := range m.events {
		if x := &m.events[i]; m.visible(x) {
			times = append(times, x.e.Time)
		}
	}
	if slices.Sort(times); len(times) > m.limits.Events {
		m.floor = &times[len(times)-m.limits.Events-1]
	}
	return len(m.events) - 1
}

func (m *model) visible(x *seen) bool { return !x.left && x.e.Time > *m.horizon() }

func (m *model) adopt(p plan) {
	rebased := p.base != m.plan.base
	if m.wm != nil {
		for i := range m.events {
			x := &m.events[i]
			x.left = !m.visible(x)
		}
		if p.retention != m.plan.retention {
			m.known = later(m.known, *m.wm-min(p.retention, m.plan.retention))
		}
		if rebased {
			m.base = m.wm
			for i := range m.events {
				m.events[i].base = false
			}
		}
	}
	cols, blind := map[window.Column]*int64{}, map[string]*int64{}
	for _, c := range p.columns {
		from, had := m.cols[c]
		if !had && c != (window.Column{Field: schemas.FieldDirection}) {
			from = m.wm
			for i := range m.events {
				x := &m.events[i]
				x.lost = append(slices.Clip(x.lost), c)
			}
		}
		cols[c] = from
	}
	for name, f := range p.sinceNames() {
		b, had := m.blind[name]
		for i := range m.events {
			if x := &m.events[i]; x.left && rebased && f != window.All {
				x.unseen = append(slices.Clip(x.unseen), name)
			}
		}
		for i := range m.events {
			if x := &m.events[i]; x.left && !had {
				b = later(b, x.e.Time)
				x.unseen = append(slices.Clip(x.unseen), name)
			}
		}
		if f != window.All && m.base != nil {
			b = later(b, *m.base)
		}
		if f != window.All && p.filters[f].column != nil && cols[*p.filters[f].column] != nil {
			b = later(b, *cols[*p.filters[f].column])
		}
		blind[name] = b
	}
	m.cols, m.blind, m.plan = cols, blind, p
}

// find is the newest visible event with this id and side.
func (m *model) find(id string, side schemas.Side) *seen {
	var best *seen
	for i := range m.events {
		x := &m.events[i]
		if x.e.ID == id && x.e.Side == side && m.visible(x) && (best == nil || x.e.Time >= best.e.Time) {
			best = x
		}
	}
	return best
}

// setState gives an event a state.
func (m *model) setState(id string, side schemas.Side, at int64, state string, counted bool) window.StateResult {
	x := m.find(id, side)
	switch {
	case x == nil:
		return window.StateUnknown
	case x.stated == nil && at < x.e.Time || x.stated != nil && at < *x.stated:
		return window.StateSuperseded
	case x.stated != nil && at == *x.stated && state == x.e.State:
		return window.StateRepeated
	}
	x.stated, x.counted = &at, counted
	x.e.SetText(schemas.FieldState, state)
	return window.StateApplied
}

// bounds are a span's (from, to], by walking the calendar.
func (m *model) bounds(s window.Span, at int64) (from, to int64) {
	t := time.UnixMilli(at).In(m.plan.zone)
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, m.plan.zone)
	switch s.Unit {
	case window.NoUnit:
		return at - s.Delay - s.Length, at - s.Delay
	case window.Daily:
		return midnight.AddDate(0, 0, -int(s.Length/day)).UnixMilli() - 1, midnight.UnixMilli() - 1
	case window.Week:
		for midnight.Weekday() != time.Monday {
			midnight = midnight.AddDate(0, 0, -1)
		}
	case window.Month, window.Quarter, window.Year:
		for midnight.Day() != 1 || s.Unit == window.Quarter && (midnight.Month()-1)%3 != 0 || s.Unit == window.Year && midnight.Month() != 1 {
			midnight = midnight.AddDate(0, 0, -1)
		}
	}
	return midnight.UnixMilli() - 1, at
}

// why says why what an aggregate reads of a window that begins at from is not known; empty if it is.
func (m *model) why(a *window.Aggregate, from int64) string {
	if from < *m.horizon() {
		return "horizon"
	}
	need := []*int64{m.known}
	column := func(c window.Column) { need = append(need, m.cols[c]) }
	if a.Field == window.Amount || a.Filter != window.All || a.Scan != window.NoScan {
		need = append(need, m.base)
	}
	if a.Field >= 0 {
		column(m.plan.columns[a.Field])
	}
	for _, e := range a.Equal {
		column(m.plan.columns[e])
	}
	if a.Filter != window.All && m.plan.filters[a.Filter].column != nil {
		column(*m.plan.filters[a.Filter].column)
	}
	if a.Scan != window.NoScan && m.plan.scans[a.Scan].column != nil {
		column(*m.plan.scans[a.Scan].column)
	}
	for _, n := range need {
		if n != nil && from < *n {
			return "warming"
		}
	}
	return ""
}

func (m *model) belongs(x *seen, f int) bool {
	if f == window.All {
		return x.counted
	}
	return (x.counted || m.plan.filters[f].uncounted) && m.plan.filters[f].naive(x)
}

// answer is what one aggregate comes to for the event at log position pos, seen from at.
func (m *model) answer(a *window.Aggregate, pos int, at int64) window.Value {
	if a.Func == window.Since {
		return m.since(a, pos, at)
	}
	from, to := m.bounds(m.plan.spans[a.Span], at)
	if why := m.why(a, from); why != "" {
		return window.Value{Why: why}
	}
	var in []*seen // in (time, log) order
	window_, equal := 0, 0
	for i := range m.events {
		x := &m.events[i]
		if !(x.e.Time > from && x.e.Time <= to) {
			continue
		}
		window_++
		if a.Prior && i == pos || !m.belongs(x, a.Filter) {
			continue
		}
		same := true
		for _, c := range a.Equal {
			v, ok := x.text(m.plan.columns[c])
			w, also := m.events[pos].text(m.plan.columns[c])
			same = same && ok && also && v == w
		}
		if !same {
			continue
		}
		if equal++; a.Scan == window.NoScan || m.plan.scans[a.Scan].naive(x, &m.events[pos]) {
			in = append(in, x)
		}
	}
	if a.Scan != window.NoScan && window_ > m.limits.Scanned || len(a.Equal) > 0 && a.Scan == window.NoScan && equal > m.limits.Equal {
		return window.Value{Why: "cap"}
	}
	slices.SortStableFunc(in, func(x, y *seen) int { return int(x.e.Time - y.e.Time) })
	return m.reduce(a, in)
}

func (m *model) reduce(a *window.Aggregate, in []*seen) window.Value {
	var amounts []*big.Int
	var texts []string
	for _, x := range in {
		if x.amount() {
			amounts = append(amounts, big.NewInt(x.e.Amount))
		}
		if a.Field >= 0 {
			if v, ok := x.text(m.plan.columns[a.Field]); ok {
				texts = append(texts, v)
			}
		}
	}
	switch a.Func {
	case window.Count:
		return value(big.NewInt(int64(len(in))))
	case window.Distinct:
		slices.Sort(texts)
		n := len(slices.Compact(texts))
		if n > m.limits.Distinct {
			return window.Value{Why: "cap"}
		}
		return value(big.NewInt(int64(n)))
	case window.First, window.Last:
		switch {
		case a.Field >= 0 && len(texts) > 0 && a.Func == window.First:
			return window.Value{S: texts[0]}
		case a.Field >= 0 && len(texts) > 0:
			return window.Value{S: texts[len(texts)-1]}
		case a.Field < 0 && len(amounts) > 0 && a.Func == window.First:
			return value(amounts[0])
		case a.Field < 0 && len(amounts) > 0:
			return value(amounts[len(amounts)-1])
		}
		return window.Value{Why: "no events"}
	case window.DailyMean, window.DailyStddev, window.DailyMax, window.DailyDays:
		return statistics(a.Func, m.days(a, in))
	}
	return statistics(a.Func, amounts)
}

// days are the sums or counts of the local days that have any.
func (m *model) days(a *window.Aggregate, in []*seen) (out []*big.Int) {
	byDay := map[string]*big.Int{}
	for _, x := range in {
		if a.Field == window.Amount && !x.amount() {
			continue
		}
		d := time.UnixMilli(x.e.Time).In(m.plan.zone).Format(time.DateOnly)
		if byDay[d] == nil {
			byDay[d] = new(big.Int)
			out = append(out, byDay[d])
		}
		if a.Field == window.Amount {
			byDay[d].Add(byDay[d], big.NewInt(x.e.Amount))
		} else {
			byDay[d].Add(byDay[d], big.NewInt(schemas.Micro))
		}
	}
	return out
}

func statistics(f window.Func, v []*big.Int) window.Value {
	n, sum, sq := big.NewInt(int64(len(v))), new(big.Int), new(big.Int)
	for _, x := range v {
		sum.Add(sum, x)
		sq.Add(sq, new(big.Int).Mul(x, x))
	}
	switch {
	case f == window.Sum:
		return value(sum)
	case f == window.DailyDays:
		return value(n)
	case len(v) == 0:
		return window.Value{Why: "no events"}
	}
	switch f {
	case window.Avg, window.DailyMean:
		return value(halfEven(new(big.Rat).SetFrac(sum, n)))
	case window.Stddev, window.DailyStddev:
		d := new(big.Int).Mul(n, sq)
		return value(rootOver(d.Sub(d, new(big.Int).Mul(sum, sum)), n))
	}
	best := v[0]
	for _, x := range v {
		if c := x.Cmp(best); c < 0 && f == window.Min || c > 0 && f != window.Min {
			best = x
		}
	}
	return value(best)
}

// halfEven rounds to an integer.
func halfEven(r *big.Rat) *big.Int {
	num, den := new(big.Int).Mul(r.Num(), big.NewInt(2)), r.Denom()
	num.Add(num, den) // floor((2r+1)/2), then ties to even
	q, rest := new(big.Int).DivMod(num, new(big.Int).Mul(den, big.NewInt(2)), new(big.Int))
	if rest.Sign() == 0 && q.Bit(0) == 1 {
		q.Sub(q, big.NewInt(1))
	}
	return q
}

// rootOver is √d/n, half-even.
func rootOver(d, n *big.Int) *big.Int {
	// floor(2·√d/n) tells the half, and whether something is behind it the rest.
	four := new(big.Int).Mul(d, big.NewInt(4))
	twice := new(big.Int).Sqrt(four)
	twice.Div(twice, n)
	exact := new(big.Int).Mul(twice, n)
	exact.Mul(exact, exact)
	q := new(big.Int).Rsh(twice, 1)
	if twice.Bit(0) == 1 && (exact.Cmp(four) != 0 || q.Bit(0) == 1) {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// value is an integer as the package gives it, from its bytes.
func value(x *big.Int) window.Value {
	var b [16]byte
	if x.Sign() < 0 {
		x = new(big.Int).Add(x, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return window.Value{I: schemas.Int128FromBytes([16]byte(x.FillBytes(b[:])))}
}

// since is the ms from the newest event before position pos, in (time, log) order, that meets the condition, to at. It is warming where
// the engine no longer holds an event that could be the answer.
func (m *model) since(a *window.Aggregate, pos int, at int64) window.Value {
	name := "all"
	if a.Filter != window.All {
		name = m.plan.filters[a.Filter].name
	}
	e, unseen := m.events[pos].e.Time, m.blind[name]
	var held, newest *int64
	for i := range m.events {
		x := &m.events[i]
		meets := m.belongs(x, a.Filter)
		switch {
		case !meets:
		case !m.visible(x) && !slices.Contains(x.unseen, name): // of these only the newest time is kept
			newest = later(newest, x.e.Time)
		case m.visible(x) && (x.e.Time < e || x.e.Time == e && i < pos):
			held = later(held, x.e.Time)
		}
	}
	if newest != nil && *newest <= e {
		held = later(held, *newest)
	} else if newest != nil {
		unseen = later(unseen, *newest)
	}
	if unseen != nil && (held == nil || *held < min(*unseen, e)) {
		return window.Value{Why: "warming"}
	}
	if held == nil {
		return window.Value{Why: "no earlier event"}
	}
	return window.Value{I: schemas.I128(at - *held)}
}

func later(a *int64, b int64) *int64 {
	if a != nil && *a >= b {
		return a
	}
	return &b
}
