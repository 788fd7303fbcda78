package window

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/streamgauge/streamgauge/schemas"
)

// Shape is what one configuration asks of every customer. It must not change after its first use; lanes may share it.
type Shape struct {
	Version    int32
	Retention  int64          // ms; R of the contract: longest window + slack
	Base       string         // the base currency; amounts in others are no data
	Zone       *time.Location // of calendar spans; nil is UTC
	Columns    []Column       // what is retained of past events besides time, amount, kind and side; distinct
	Filters    []Filter       // conditions on the past event alone (cost class B); the index is the class bit; at most 64
	Scans      []Scan         // conditions on past and current event together (cost class D)
	Spans      []Span         // distinct windows
	Aggregates []Aggregate    // the index is the slot in Measure's result

	once sync.Once
	prog *program
}

// Column is a text field, or where Attr is not empty an attribute, of past events.
type Column struct {
	Field schemas.Field
	Attr  string
}

// of returns the event's value.
func (c Column) of(e *schemas.Event) (string, bool) {
	if c.Attr != "" {
		return e.Attr(c.Attr)
	}
	return e.Text(c.Field)
}

// Filter is a condition on one past event.
type Filter struct {
	Key     uint64                     // hash of the condition's text: its name in stored headers, for since
	Columns []int                      // indexes of Shape.Columns that Match reads: where one is not known for a window, neither is the filter
	Match   func(p *schemas.Past) bool // decides alone, also whether an uncounted event meets it; must keep nothing of p
}

// Scan is a condition on one past event and the current one.
type Scan struct {
	Columns []int // indexes of Shape.Columns that Match reads, of either event
	Match   func(past, this *schemas.Past) bool
}

// Unit says how a Span's bounds follow from τ.
type Unit uint8

const (
	NoUnit  Unit = iota // (τ−Delay−Length, τ−Delay]
	Day                 // [local midnight, τ]
	Week                // [local Monday, τ]: ISO
	Month               // [the first, τ]
	Quarter             // [the first of January, April, July or October, τ]
	Year                // [the first of January, τ]
	Daily               // the Length/24h whole local days before τ's
)

// Span is a window as seen from τ.
type Span struct {
	Length int64 // ms; for Daily whole days of 24 h; 0 for the calendar units
	Delay  int64 // ms; 0 where Unit is not NoUnit
	Unit   Unit
}

// Func is an aggregate's function.
type Func uint8

const (
	Count       Func = iota // events; of nothing 0
	Sum                     // 10⁻⁶ of the base currency; of nothing 0
	Avg                     // half-even; of nothing absent
	Min                     // of nothing absent
	Max                     // of nothing absent
	Stddev                  // of the population, half-even from exact integers; of nothing absent
	First                   // amount or text of the earliest event that has the field; of nothing absent
	Last                    // amount or text of the latest event that has the field; of nothing absent
	Distinct                // different texts; of nothing 0; beyond MaxDistinct absent
	Since                   // ms from the latest event before the current one, in (time, log) order, to τ; of none absent
	DailyMean               // half-even, over the days' sums or counts (10⁻⁶ of one); of no day absent
	DailyStddev             // of the population, half-even; of no day absent
	DailyMax                // of no day absent
	DailyDays               // local days with at least one event; of nothing 0
	numFuncs
)

// Aggregate is one measured value over the customer's counted events, or over those that its filter takes.
type Aggregate struct {
	Func   Func
	Span   int   // index into Shape.Spans; meaningless for Since
	Prior  bool  // without the current event; Since never includes it
	Field  int   // Amount, an index into Shape.Columns, or NoField: of count, since, and daily counts. Events without the field do not take part
	Filter int   // index into Shape.Filters; All for every counted event
	Equal  []int // indexes into Shape.Columns: only events with the current event's value (cost class C); one that lacks it equals nothing
	Scan   int   // index into Shape.Scans; NoScan for none
}

// Special values of an Aggregate's fields.
const (
	All     = -1
	NoScan  = -1
	Amount  = -1
	NoField = -2
)

// Value is what one aggregate came to; Why says why there is none.
type Value = schemas.Measured

// Reasons of absent values.
const (
	WhyHorizon = schemas.WhyHorizon
	WhyWarming = schemas.WhyWarming
	WhyCap     = schemas.WhyCap
	WhyNone    = schemas.WhyNone
	WhySince   = schemas.WhySince
)

// program is what Measure needs of a Shape, worked out once.
type program struct {
	zone   *time.Location
	text   []int // by column: index among the stored columns, or direction
	stored int   // columns that rows store
	state  int   // index among the stored columns of the state, or noColumn
	prior  bool  // some sums or dists are without the current event
	since  []sinceUse
	series []series
	dists  []series   // of which different values are counted
	spans  []spanPlan // by span
	slow   []slowGroup
	daily  []dailyGroup
	sinces []sinceOut
}

// sinceUse is one distinct condition of since(…).
type sinceUse struct {
	key    uint64
	filter int
	series int
}

// series is the events that meet a filter and have a column.
type series struct {
	filter int
	col    int // stored column, direction or noColumn
}

// spanPlan is what is measured of one span without looking at its events one by one.
type spanPlan struct {
	sums   [2][]group // of all events; without the current one
	dists  [2][]distOut
	series []int // that the sums read
	counts []int // that the dists read
	idle   bool  // neither
}

// group is the aggregates over one series of a span, each a slot or −1.
type group struct {
	series                                      int
	count, sum, avg, min, max, dev, first, last int // of the amount
	firstText, lastText                         int // of the series' column
	column                                      int // of the shape, for firstText and lastText
}

type distOut struct{ dist, slot int }

type sinceOut struct{ use, slot int }

// slowGroup is aggregates for which the events of the window are looked at: equalities, scans, and distinct of a delayed window.
type slowGroup struct {
	like  Aggregate // span, prior, filter, equal and scan are those of all of them
	equal []int     // stored columns
	slots []int
	texts bool // different values are counted
}

// dailyGroup is the aggregates over the same days' totals.
type dailyGroup struct {
	like   Aggregate
	slots  []int
	slow   bool // with an equality or a scan
	series int
}

// compile works the shape out at its first use; it panics on indexes that point nowhere.
func (s *Shape) compile() *program {
	s.once.Do(func() { s.prog = s.newProgram() })
	return s.prog
}

func (s *Shape) newProgram() *program {
	s.check()
	p := &program{zone: s.Zone, spans: make([]spanPlan, len(s.Spans)), state: noColumn}
	if p.zone == nil {
		p.zone = time.UTC
	}
	for _, c := range s.Columns {
		if c.Attr == "" && c.Field == schemas.FieldDirection {
			p.text = append(p.text, direction)
			continue
		}
		if c.Attr == "" && c.Field == schemas.FieldState {
			p.state = p.stored
		}
		p.text = append(p.text, p.stored)
		p.stored++
	}
	for _, a := range s.Aggregates {
		if a.Func == Since && !slices.ContainsFunc(p.since, func(u sinceUse) bool { return u.key == s.key(a.Filter) }) {
			p.since = append(p.since, sinceUse{s.key(a.Filter), a.Filter, place(&p.series, series{a.Filter, noColumn})})
		}
	}
	slices.SortFunc(p.since, func(a, b sinceUse) int { return cmp.Compare(a.key, b.key) })
	for slot := range s.Aggregates {
		p.plan(s, slot)
	}
	for k := range p.spans {
		x := &p.spans[k]
		p.prior = p.prior || len(x.sums[1])+len(x.dists[1]) > 0
		for h := range 2 {
			for _, g := range x.sums[h] {
				place(&x.series, g.series)
			}
			for _, d := range x.dists[h] {
				place(&x.counts, d.dist)
			}
		}
		x.idle = len(x.series)+len(x.counts) == 0
	}
	return p
}

// place is the index of x in all, where it is put if it is new.
func place[T comparable](all *[]T, x T) int {
	if i := slices.Index(*all, x); i >= 0 {
		return i
	}
	*all = append(*all, x)
	return len(*all) - 1
}

// plan decides how an aggregate is measured.
func (p *program) plan(s *Shape, slot int) {
	a := &s.Aggregates[slot]
	one := len(a.Equal) > 0 || a.Scan != NoScan
	switch {
	case a.Func == Since:
		p.sinces = append(p.sinces, sinceOut{slices.IndexFunc(p.since, func(u sinceUse) bool { return u.key == s.key(a.Filter) }), slot})
	case a.Func >= DailyMean:
		p.planDaily(a, slot, one)
	case one || a.Func == Distinct && s.Spans[a.Span].Delay > 0:
		p.planSlow(a, slot)
	case a.Func == Distinct:
		d := place(&p.dists, series{a.Filter, p.text[a.Field]})
		out := &p.spans[a.Span].dists[half(a.Prior)]
		*out = append(*out, distOut{d, slot})
	default:
		p.planSum(a, slot)
	}
}

func half(prior bool) int {
	if prior {
		return 1
	}
	return 0
}

func (p *program) planSum(a *Aggregate, slot int) {
	x := series{a.Filter, noColumn}
	if a.Field >= 0 {
		x.col = p.text[a.Field]
	}
	n := place(&p.series, x)
	groups := &p.spans[a.Span].sums[half(a.Prior)]
	for i := range *groups {
		if g := &(*groups)[i]; g.series == n && g.take(a, slot) {
			return
		}
	}
	g := group{n, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, a.Field}
	g.take(a, slot)
	*groups = append(*groups, g)
}

// take gives the aggregate its place in the group, and reports false where another one has it.
func (g *group) take(a *Aggregate, slot int) bool {
	at := [...]*int{Count: &g.count, Sum: &g.sum, Avg: &g.avg, Min: &g.min, Max: &g.max, Stddev: &g.dev, First: &g.first, Last: &g.last}[a.Func]
	if a.Field >= 0 {
		at = &g.firstText
		if a.Func == Last {
			at = &g.lastText
		}
	}
	if *at >= 0 {
		return false
	}
	*at = slot
	return true
}

func (p *program) planSlow(a *Aggregate, slot int) {
	for i := range p.slow {
		b := &p.slow[i].like
		if b.Span == a.Span && b.Prior == a.Prior && b.Filter == a.Filter && b.Scan == a.Scan && b.Field == a.Field && slices.Equal(b.Equal, a.Equal) {
			p.slow[i].slots = append(p.slow[i].slots, slot)
			p.slow[i].texts = p.slow[i].texts || a.Func == Distinct
			return
		}
	}
	p.slow = append(p.slow, slowGroup{like: *a, equal: p.columns(a.Equal), slots: []int{slot}, texts: a.Func == Distinct})
}

func (p *program) columns(of []int) (out []int) {
	for _, c := range of {
		out = append(out, p.text[c])
	}
	return out
}

func (p *program) planDaily(a *Aggregate, slot int, slow bool) {
	for i := range p.daily {
		b := &p.daily[i].like
		if b.Span == a.Span && b.Prior == a.Prior && b.Filter == a.Filter && b.Scan == a.Scan && b.Field == a.Field && slices.Equal(b.Equal, a.Equal) {
			p.daily[i].slots = append(p.daily[i].slots, slot)
			return
		}
	}
	p.daily = append(p.daily, dailyGroup{like: *a, slots: []int{slot}, slow: slow, series: place(&p.series, series{a.Filter, noColumn})})
}

func (s *Shape) key(filter int) uint64 {
	if filter == All {
		return 0
	}
	return s.Filters[filter].Key
}

// check panics where an aggregate cannot be measured: a planner's mistake, not a user's.
func (s *Shape) check() {
	if len(s.Filters) > 64 {
		panic(fmt.Sprintf("BUG: %d filters, a row has 64 class bits", len(s.Filters)))
	}
	for slot, a := range s.Aggregates {
		bad := a.Filter < All || a.Filter >= len(s.Filters) || a.Scan < NoScan || a.Scan >= len(s.Scans) || a.Func >= numFuncs ||
			a.Field < NoField || a.Field >= len(s.Columns) || a.Func != Since && (a.Span < 0 || a.Span >= len(s.Spans))
		if !bad {
			text, daily := a.Field >= 0, s.Spans != nil && a.Func != Since && s.Spans[a.Span].Unit == Daily
			switch a.Func {
			case Count:
				bad = a.Field != NoField
			case Since:
				bad = len(a.Equal) > 0 || a.Scan != NoScan || a.Field != NoField
			case Sum, Avg, Min, Max, Stddev:
				bad = a.Field != Amount
			case Distinct:
				bad = !text
			case First, Last:
				bad = a.Field == NoField
			default:
				bad = text || !daily
			}
			bad = bad || daily && a.Func < DailyMean
		}
		if bad {
			panic(fmt.Sprintf("BUG: aggregate %d cannot be measured: %+v", slot, a))
		}
	}
}
