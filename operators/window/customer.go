package window

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/streamgauge/streamgauge/schemas"
)

// Shape is what one configuration asks of every customer.
type Shape struct {
	Version   int32
	Retention int64                        // ms; R of the contract
	Base      string                       // the base currency; amounts in others are no data
	Classify  func(p *schemas.Past) uint64 // bit f set: the past event meets filter f; uncounted events only where the filter asks for state
	Since     []Since                      // conditions of which the newest time must outlive the horizon
}

// Since is one condition of since(…).
type Since struct {
	Key uint64 // hash of the condition's text: its name in stored headers
	Bit int    // its class bit; −1: every counted event meets it
}

// Customer is one customer's windows. Made by New or Decode; it belongs to one lane.
type Customer struct {
	team, id string
	header
	reservoir
	dict  dictionary
	shape *Shape
}

// header is the part of a customer that a savepoint copies whole.
type header struct {
	lsn       int64 // offset + 1 of the last record folded in; 0 never
	watermark int64 // largest time of an accepted payment or transaction; noTime before the first
	knownFrom int64 // windows that begin before it are warming: an earlier configuration did not retain so much
	retention int64 // of the configuration that was last adopted
	version   int32 // of that configuration
	gone      int64 // newest time of a row that left; noTime: none did
	left      []leftTime
}

// leftTime is what is kept for a since condition of the events that left the reservoir.
type leftTime struct {
	key   uint64
	time  int64 // newest time at which one met it; noTime: none did
	blind int64 // newest time at which one left before the condition was known; noTime: none had
}

const noTime = math.MinInt64

// New makes a customer without history, complete under shape.
func New(team, id string, shape *Shape) *Customer {
	c := &Customer{team: team, id: id, shape: shape}
	c.header = header{watermark: noTime, knownFrom: noTime, retention: shape.Retention, version: shape.Version, gone: noTime}
	for _, s := range shape.Since {
		c.left = append(c.left, leftTime{key: s.Key, time: noTime, blind: noTime})
	}
	return c
}

// Team and ID name the customer.
func (c *Customer) Team() string { return c.team }

// ID is the customer's id inside the team.
func (c *Customer) ID() string { return c.id }

// LSN is offset + 1 of the last record folded in, 0 before the first.
func (c *Customer) LSN() int64 { return c.lsn }

// Version is the configuration that the customer was last folded under.
func (c *Customer) Version() int32 { return c.version }

// Watermark is the largest time of an accepted event; ok is false before the first.
func (c *Customer) Watermark() (t int64, ok bool) { return c.watermark, c.watermark != noTime }

// Horizon is watermark − R: an event at it or before is beyond retention, and invisible. noTime before the first event.
func (c *Customer) Horizon() int64 {
	if c.watermark == noTime {
		return noTime
	}
	return c.watermark - c.shape.Retention
}

// Len is the number of rows held; some may be invisible already.
func (c *Customer) Len() int { return len(c.rows) }

// Known says whether a window that begins at from (exclusive) is complete; otherwise why is "horizon" or "warming".
func (c *Customer) Known(from int64) (why string, ok bool) {
	switch {
	case from < c.Horizon():
		return "horizon", false
	case from < c.knownFrom:
		return "warming", false
	}
	return "", true
}

// IDHash is the 8 bytes by which an event id is known: of SHA-256, so that nobody can make two ids meet.
func IDHash(id string, side schemas.Side) uint64 {
	var b [256]byte
	h := sha256.Sum256(append(append(b[:0], byte(side)), id...))
	return binary.BigEndian.Uint64(h[:])
}

// OriginHash is the 4 bytes by which an input record's place is known.
func OriginHash(o *schemas.Origin) uint32 {
	var b [256]byte
	x := append(b[:0], o.Topic...)
	x = binary.BigEndian.AppendUint32(append(x, 0), uint32(o.Partition))
	h := sha256.Sum256(binary.BigEndian.AppendUint64(x, uint64(o.Offset)))
	return binary.BigEndian.Uint32(h[:])
}

// Identity is what a second event with a known id is compared by.
type Identity struct {
	Kind      schemas.Kind
	Time      int64
	Amount    int64
	HasAmount bool
	Origin    uint32
}

// Find returns the identity of the visible event with this id hash.
func (c *Customer) Find(id uint64) (Identity, bool) {
	i := c.find(id, c.Horizon())
	if i < 0 {
		return Identity{}, false
	}
	r := &c.rows[i]
	kind := schemas.KindPayment
	if r.flags&rowTransaction != 0 {
		kind = schemas.KindTransaction
	}
	return Identity{Kind: kind, Time: r.time, Amount: r.amount, HasAmount: r.flags&rowHasAmount != 0, Origin: r.origin}, true
}

// Fold takes an accepted event in at its own time and returns its place for the aggregates; the place is valid until the next Fold.
// base says whether the event's amount is in the base currency, counted whether its state counts, id is its IDHash.
func (c *Customer) Fold(e *schemas.Event, id uint64, base, counted bool, lsn int64) (place int) {
	x := row{time: e.Time, amount: e.Amount, id: id, origin: OriginHash(&e.Origin)}
	set := func(b bool, f rowFlags) {
		if b {
			x.flags |= f
		}
	}
	set(e.HasAmount, rowHasAmount)
	set(base && e.HasAmount, rowHasBase)
	set(counted, rowCounted)
	set(e.Kind == schemas.KindTransaction, rowTransaction)
	set(e.Side == schemas.SideOut, rowOut)
	set(e.Side == schemas.SideIn, rowIn)
	for f := schemas.FieldDirection + 1; f < schemas.NumFields; f++ {
		if v, ok := e.Text(f); ok {
			x.text[f-1] = c.dict.id(v)
		}
	}
	x.bits = c.classify(&x)
	c.watermark = max(c.watermark, e.Time)
	c.lsn = lsn
	return c.insert(x)
}

// pasts keeps what Classify reads out of the garbage collector's way: a call through a function value moves it to the heap.
var pasts = sync.Pool{New: func() any { return new(schemas.Past) }}

func (c *Customer) classify(r *row) uint64 {
	p := pasts.Get().(*schemas.Past)
	defer pasts.Put(p)
	*p = schemas.Past{}
	p.Time, p.Amount, p.HasAmount = r.time, r.amount, r.flags&rowHasBase != 0
	p.Kind = schemas.KindPayment
	if r.flags&rowTransaction != 0 {
		p.Kind = schemas.KindTransaction
	}
	switch {
	case r.flags&rowOut != 0:
		p.Set(schemas.FieldDirection, schemas.SideOut.String())
	case r.flags&rowIn != 0:
		p.Set(schemas.FieldDirection, schemas.SideIn.String())
	}
	for i, v := range r.text {
		if v != 0 {
			p.Set(schemas.Field(i+1), c.dict.values[v-1])
		}
	}
	p.Counted = r.flags&rowCounted != 0
	return c.shape.Classify(p)
}

// Adopt switches the customer to the next configuration; versions must be adopted in the log's order, none left out. The switch is
// the same whether old rows are still held or not: everything that the old configuration's horizon hides goes first.
func (c *Customer) Adopt(s *Shape) {
	c.Trim()
	if s.Retention != c.retention && c.watermark != noTime {
		c.knownFrom = max(c.knownFrom, c.watermark-min(s.Retention, c.retention))
	}
	left := make([]leftTime, 0, len(s.Since))
	for _, x := range s.Since {
		l := leftTime{key: x.Key, time: noTime, blind: c.gone}
		if i := slices.IndexFunc(c.left, func(o leftTime) bool { return o.key == x.Key }); i >= 0 {
			l = c.left[i]
		}
		left = append(left, l)
	}
	if s.Base != c.shape.Base {
		c.rebase(s.Base)
	}
	c.left, c.shape, c.retention, c.version = left, s, s.Retention, s.Version
	c.reclassify()
}

// rebase decides anew which retained amounts are in the base currency, and with them the running sums.
func (c *Customer) rebase(base string) {
	for i := range c.rows {
		r := &c.rows[i]
		r.flags &^= rowHasBase
		if v := r.text[schemas.FieldCurrency-1]; r.flags&rowHasAmount != 0 && v != 0 && c.dict.values[v-1] == base {
			r.flags |= rowHasBase
		}
	}
	c.recount()
}

func (c *Customer) reclassify() {
	for i := range c.rows {
		c.rows[i].bits = c.classify(&c.rows[i])
	}
}

// Trim forgets the rows that the horizon hides and keeps of them what since still needs. No answer depends on when it runs.
func (c *Customer) Trim() {
	if c.watermark == noTime || len(c.rows) == 0 || c.rows[0].time > c.Horizon() {
		return
	}
	n := c.after(c.Horizon())
	left := slices.Clone(c.left) // a savepoint may share the old one
	for j, s := range c.shape.Since {
		for i := range c.rows[:n] {
			if c.rows[i].meets(s.Bit) {
				left[j].time = max(left[j].time, c.rows[i].time)
			}
		}
	}
	c.left, c.gone = left, max(c.gone, c.rows[n-1].time)
	if c.drop(n) {
		c.sweepDictionary()
	}
}

// sweepDictionary rebuilds the dictionary where most of it is no longer used.
func (c *Customer) sweepDictionary() {
	if len(c.dict.values) <= smallDictionary {
		return
	}
	used, number := c.words()
	if 2*len(used) > len(c.dict.values) {
		return
	}
	values := make([]string, len(used))
	for i, v := range used {
		values[i] = c.dict.values[v-1]
	}
	c.dict = dictionary{values: values}
	c.dict.reindex()
	for i := range c.rows {
		for j, v := range c.rows[i].text {
			c.rows[i].text[j] = number[v]
		}
	}
}

// words lists the dictionary ids that rows use, in the rows' order of first use; number is the place of each id in it, from 1.
func (c *Customer) words() (used, number []uint32) {
	number = make([]uint32, len(c.dict.values)+1)
	for i := range c.rows {
		for _, v := range c.rows[i].text {
			if v != 0 && number[v] == 0 {
				used = append(used, v)
				number[v] = uint32(len(used))
			}
		}
	}
	return used, number
}
