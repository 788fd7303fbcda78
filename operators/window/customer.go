package window

import (
	"math"

	"github.com/streamgauge/streamgauge/schemas"
)

// Customer is one customer's windows. Made by New or Decode; it belongs to one lane.
type Customer struct {
	team, id string
	header
	reservoir
	dict    dictionary
	held    []Held
	shape   *Shape
	journal *Journal // of the transaction that changed the customer; nil between transactions
	store   storeState
	windows *windows // of a Scratch's pool, where the customer is followed; see windows.c

	knownBehind int64 // the largest of knownFrom, baseFrom and colFrom
	gap         int   // dropped rows whose memory may still be held
}

// header is the part of a customer that a journal copies whole.
type header struct {
	lsn       int64 // offset + 1 of the last record that changed the customer; 0 never
	watermark int64 // largest time of an accepted payment or transaction; noTime before the first
	floor     int64 // events at it or before are invisible because more than MaxEvents are newer; noTime: none are
	knownFrom int64 // windows that begin before it are warming: an earlier configuration did not retain so much
	baseFrom  int64 // the same for the base currency's amounts
	gone      int64 // newest time of a row that left; noTime: none did
	left      []leftTime
	colFrom   []int64  // the same as knownFrom, by column; replaced, never changed
	seq       uint64   // of the next chunk that is sealed
	fresh     int      // rows of the head that the store does not have
	restated  []uint64 // ids of other rows of the head whose state the store does not have; replaced, never changed
}

// leftTime is what is kept for a since condition of the events that left the reservoir.
type leftTime struct {
	key   uint64
	time  int64 // newest time at which one met it; noTime: none did
	blind int64 // newest time at which one may have met it unseen, before the condition was known; noTime: none
}

const noTime = math.MinInt64

// New makes a customer without history, complete under shape.
func New(team, id string, shape *Shape) *Customer {
	p := shape.compile()
	c := &Customer{team: team, id: id, shape: shape}
	c.header = header{watermark: noTime, floor: noTime, knownFrom: noTime, baseFrom: noTime, gone: noTime}
	c.left = make([]leftTime, len(p.since))
	for i, s := range p.since {
		c.left[i] = leftTime{key: s.key, time: noTime, blind: noTime}
	}
	c.colFrom = make([]int64, len(shape.Columns))
	for i := range c.colFrom {
		c.colFrom[i] = noTime
	}
	c.head.width = p.stored
	c.derive()
	return c
}

// Team and ID name the customer.
func (c *Customer) Team() string { return c.team }

// ID is the customer's id inside the team.
func (c *Customer) ID() string { return c.id }

// LSN is offset + 1 of the last record that changed the customer, 0 before the first.
func (c *Customer) LSN() int64 { return c.lsn }

// Version is the configuration that the customer was last folded under.
func (c *Customer) Version() int32 { return c.shape.Version }

// Watermark is the largest time of an accepted event; ok is false before the first.
func (c *Customer) Watermark() (t int64, ok bool) { return c.watermark, c.watermark != noTime }

// Horizon is watermark − R, or later where more than MaxEvents would be visible: an event at it or before is beyond retention, and
// invisible. The smallest int64 before the first event.
func (c *Customer) Horizon() int64 {
	if c.watermark == noTime {
		return noTime
	}
	return max(c.watermark-c.shape.Retention, c.floor)
}

// Len is the number of events held; some may be invisible already.
func (c *Customer) Len() int { return c.end() - c.begin() }

// why says why a window that begins at from (exclusive) is not complete; empty if it is.
func (c *Customer) why(from int64) string {
	switch {
	case from < c.Horizon():
		return WhyHorizon
	case from < c.knownFrom:
		return WhyWarming
	}
	return ""
}

// whyOf is why for what aggregate a reads.
func (c *Customer) whyOf(a *Aggregate, from int64) string {
	if why := c.why(from); why != "" {
		return why
	}
	known := int64(noTime)
	if a.Field == Amount || a.Filter != All || a.Scan != NoScan { // a condition may read the amount
		known = c.baseFrom
	}
	if a.Field >= 0 {
		known = max(known, c.colFrom[a.Field])
	}
	for _, col := range a.Equal {
		known = max(known, c.colFrom[col])
	}
	if a.Scan != NoScan {
		known = max(known, c.columnsFrom(c.shape.Scans[a.Scan].Columns))
	}
	if a.Filter != All {
		known = max(known, c.columnsFrom(c.shape.Filters[a.Filter].Columns))
	}
	if from < known {
		return WhyWarming
	}
	return ""
}

func (c *Customer) columnsFrom(cols []int) int64 {
	known := int64(noTime)
	for _, col := range cols {
		known = max(known, c.colFrom[col])
	}
	return known
}

// Identity is what a second event with a known id is compared by.
type Identity struct {
	Kind      schemas.Kind
	Time      int64
	Amount    int64
	HasAmount bool
	Origin    uint32
}

// derive works out what the header implies.
func (c *Customer) derive() {
	c.knownBehind = max(c.knownFrom, c.baseFrom)
	for _, t := range c.colFrom {
		c.knownBehind = max(c.knownBehind, t)
	}
}

// Find returns the identity of the visible event with this id hash.
func (c *Customer) Find(id uint64) (Identity, bool) {
	pos := c.find(id)
	if pos < 0 {
		return Identity{}, false
	}
	r := c.rowAt(pos)
	return Identity{Kind: r.kind(), Time: r.time, Amount: r.amount, HasAmount: r.flags&rowHasAmount != 0, Origin: r.origin}, true
}

// Place is where an event stands in its customer's history; it is valid until the customer's next change.
type Place struct {
	pos int
}

// Fold takes an accepted event in at its own time and returns its place for Measure. base says whether the event's amount is in the base
// currency, counted whether its state counts; id is its IDHash, lsn its offset + 1.
func (c *Customer) Fold(e *schemas.Event, id uint64, base, counted bool, lsn int64) Place {
	x := row{time: e.Time, amount: e.Amount, id: id, origin: OriginHash(&e.Origin), flags: rowFresh}
	if e.HasAmount {
		x.flags |= rowHasAmount
		if base && e.Time > c.baseFrom {
			x.flags |= rowHasBase
		}
	}
	if counted {
		x.flags |= rowCounted
	}
	if e.Kind == schemas.KindTransaction {
		x.flags |= rowTransaction
	}
	switch e.Side {
	case schemas.SideOut:
		x.flags |= rowOut
	case schemas.SideIn:
		x.flags |= rowIn
	}
	c.changed(lsn)
	c.watermark = max(c.watermark, e.Time)
	pos := c.insert(x)
	b, i := c.locate(pos)
	c.fillText(b.text(i), e)
	b.row[i].bits = c.classify(b, i)
	if b == &c.head {
		if c.fresh++; c.journal != nil {
			c.journal.add(undo{customer: c, kind: undoFold, place: pos})
		}
	}
	if w := c.windows; w != nil && w.fits(c) {
		w.insert(pos)
	}
	c.settle(pos)
	c.raiseFloor()
	return Place{pos: pos}
}

// fillText sets a row's columns to those of its event; what is not known as of the event's time stays absent.
func (c *Customer) fillText(text []uint32, e *schemas.Event) {
	for k := range c.shape.Columns {
		if j := c.shape.prog.text[k]; j >= 0 && e.Time > c.colFrom[k] {
			if v, ok := c.shape.Columns[k].of(e); ok {
				text[j] = c.dict.id(v)
			}
		}
	}
}

// raiseFloor moves the horizon where more than MaxEvents are visible.
func (c *Customer) raiseFloor() {
	over := c.end() - limits.Events
	if over <= c.begin() {
		return
	}
	if first := c.after(c.Horizon()); over > first {
		c.floor, c.store.whole = c.rowAt(over-1).time, true
	}
}
