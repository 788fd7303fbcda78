// Package oracle says what the engine should have said, by brute force and by other means: it reads the log of topic events and works out
// for every record the outcome, every feature and every rule's verdict straight from the contract. It shares the schemas with the
// engine and nothing else: no window is kept up, no rule text is parsed. Every aggregate is one pass over the customer's events, and the
// rules of the library stand here a second time, by hand.
//
// oracle.go decides what becomes of a record, state.go what becomes of a stateChange, customer.go keeps a customer's events, feature.go
// selects those of a window, aggregate.go adds them up, calendar.go knows local days, verdict.go judges; diff.go compares with a fact,
// check.go with all facts, results.go and rejections.go with what else a run put out. config.go is what the oracle must be told.
//
// It reckons with one configuration from the first control record of a partition to the end of the log, and without the cap of five
// million events a customer.
package oracle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/streamgauge/streamgauge/schemas"
)

// futureTolerance is how far an event's time may be ahead of its append time (DESIGN, contract 2).
const futureTolerance = 5 * minute

// Record is one record of topic events.
type Record struct {
	Partition int32
	Offset    int64
	Appended  int64         // ms; the broker's append time
	Event     schemas.Event // as decoded; copied where the oracle keeps it
	Broken    bool          // the record's value is no event: to be rejected, for whatever reason
}

// Want is what one fact must say: what became of a record, or of a stateChange that it released.
type Want struct {
	Partition int32
	Offset    int64
	Seq       int32 // 0: the record itself
	Appended  int64 // of the record, for what it released too: log time belongs to a place of the log
	Event     schemas.Event
	Broken    bool // reason, event and lateness are not compared

	Outcome schemas.Outcome
	Reason  string
	Late    bool // before the watermark; of payments and transactions only, since states do not stand on that clock

	// Of assessed events only.
	Config     int32 // version of the last control record before
	BaseAmount int64
	HasBase    bool
	Features   []Measured
	Rules      []Judged
	Level      schemas.Level
	Score      int32
	Open       bool // a human must decide
	Assessment string

	generation int32
	prefix     string // of CloudEvents' types
	currency   string // Config.BaseCurrency
	others     bool   // Config.Others
	rejections bool   // Config.Rejections
}

// Measured is a feature's exact value, in 10⁻⁶ units, or that it is not determinable.
type Measured struct {
	Name  string
	Value schemas.Int128
	ND    bool
}

// Judged is a rule's verdict.
type Judged struct {
	Rule        string
	Verdict     schemas.Verdict
	AtWatermark bool // a HIT that only the second evaluation of a late event found
}

// Oracle is the state of all partitions. Not safe for concurrent use.
type Oracle struct {
	cfg        Config
	rules      []*Rule // in the order of the facts
	calendar   *calendar
	partitions map[int32]*partition
}

// partition is one log.
type partition struct {
	last      int64 // offset of the last record; −1 before the first
	version   int32 // of the configuration in force; 0 before the first control record
	customers map[customerKey]*customer
}

type customerKey struct{ organisation, team, customer string }

// New makes an oracle that has seen nothing. It fails with every mistake of the configuration at once.
func New(cfg Config) (*Oracle, error) {
	rules, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	cfg.Prefix = strings.TrimSuffix(cfg.Prefix, ".") + "."
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	return &Oracle{cfg: cfg, rules: rules, calendar: &calendar{cfg.Zone, map[date]int64{}}, partitions: map[int32]*partition{}}, nil
}

// Step says what must become of the partition's next record, and of the stateChanges that it releases, in the order of their facts. Offsets
// of a partition ascend, gaps allowed.
func (o *Oracle) Step(r *Record) (w Want, released []Want) {
	p := o.partitions[r.Partition]
	if p == nil {
		p = &partition{last: -1, customers: map[customerKey]*customer{}}
		o.partitions[r.Partition] = p
	}
	if r.Offset <= p.last {
		panic(fmt.Sprintf("BUG: oracle: partition %d offset %d after %d", r.Partition, r.Offset, p.last))
	}
	p.last = r.Offset
	w = Want{
		Partition: r.Partition, Offset: r.Offset, Appended: r.Appended, Event: clone(&r.Event), Broken: r.Broken, Outcome: schemas.Rejected,
		generation: o.cfg.Generation, prefix: o.cfg.Prefix, currency: o.cfg.BaseCurrency, others: o.cfg.Others, rejections: o.cfg.Rejections,
	}
	switch kind := r.Event.Kind; {
	case r.Broken:
	case kind == schemas.KindControl:
		w.Outcome = schemas.Applied
		p.version = max(p.version, r.Event.Control.Version)
	case kind == schemas.KindPayment, kind == schemas.KindTransaction, kind == schemas.KindStateChange:
		t := turn{oracle: o, customer: p.of(&r.Event), record: &w}
		t.expire()
		if kind == schemas.KindStateChange {
			t.stateChange()
		} else {
			w.Config = p.version
			t.admit()
		}
		released = t.released
	default:
		w.Reason = "unsupported_kind"
	}
	return w, released
}

// clone is e with memory of its own.
func clone(e *schemas.Event) schemas.Event {
	c := *e
	c.Attributes, c.Flags = slices.Clone(e.Attributes), slices.Clone(e.Flags)
	return c
}

// of returns the event's customer.
func (p *partition) of(e *schemas.Event) *customer {
	k := customerKey{e.Organisation, e.Team, e.Customer}
	c := p.customers[k]
	if c == nil {
		c = &customer{ids: map[identity]*Past{}}
		p.customers[k] = c
	}
	return c
}

// turn is one record on its way through its customer.
type turn struct {
	oracle   *Oracle
	customer *customer
	record   *Want
	released []Want
}

// admit takes the checks of DESIGN, contract 3, in their order.
func (t *turn) admit() {
	c, w, cfg := t.customer, t.record, &t.oracle.cfg
	e := &w.Event
	w.Late = c.started && e.Time < c.watermark
	known := c.ids[identity{e.ID, e.Side}] // what lies beyond the retention is no longer in it
	switch {
	case e.Time > w.Appended+futureTolerance:
		w.Reason = "future"
	case c.started && e.Time <= c.watermark-cfg.Retention:
		w.Reason = "beyond_retention"
	case known != nil && known.first.Origin == e.Origin:
		w.Outcome, w.Reason = schemas.Duplicate, "redelivery"
	case known != nil && sameContent(known.first, e):
		w.Outcome = schemas.Duplicate
	case known != nil:
		w.Reason = "conflict"
	case e.Has(schemas.FieldState) && !cfg.knows(e.State):
		w.Reason = "unknown_state"
	default:
		t.assess()
	}
}

// sameContent: same kind, time and amount; without an amount, the same canonical content.
func sameContent(a, b *schemas.Event) bool {
	if a.Kind != b.Kind || a.Time != b.Time || a.HasAmount != b.HasAmount {
		return false
	}
	if a.HasAmount {
		return a.Amount == b.Amount
	}
	x := *a
	x.Origin = b.Origin
	d := &differences{}
	d.event(&x, b, "")
	return len(d.list) == 0
}

// assess folds the event in, applies the stateChanges that came before it, and judges it.
func (t *turn) assess() {
	o, w := t.oracle, t.record
	w.Outcome = schemas.Assessed
	x := o.past(w)
	t.customer.insert(x, o.cfg.Retention)
	t.release(x)
	w.BaseAmount, w.HasBase = x.Amount, x.HasAmount

	v := view{customer: t.customer, this: x, tau: x.Time, retention: o.cfg.Retention, calendar: o.calendar}
	for i := range o.cfg.Features {
		m := v.measure(&o.cfg.Features[i])
		w.Features = append(w.Features, Measured{Name: o.cfg.Features[i].Name, Value: m.Number, ND: !m.Known})
	}
	for _, r := range o.rules {
		j := v.judgeTwice(r, o.cfg.Once)
		w.Rules = append(w.Rules, j)
		if j.Verdict == schemas.Hit {
			w.Level = max(w.Level, r.Level)
			w.Score += r.Score
		}
	}
	w.Open = w.Level >= o.cfg.HumanFrom
	w.Assessment = schemas.AssessmentGUID(o.cfg.Generation, w.Partition, w.Offset, &w.Event)
}

// past is the record's event as it is kept.
func (o *Oracle) past(w *Want) *Past {
	first, seen := w.Event, w.Event
	if !seen.Has(schemas.FieldCurrency) {
		seen.SetText(schemas.FieldCurrency, o.cfg.BaseCurrency)
	}
	x := &Past{Time: first.Time, Side: first.Side, position: w.Offset, first: &first, seen: &seen, Counted: true}
	if first.HasAmount && seen.Currency == o.cfg.BaseCurrency {
		x.Amount, x.HasAmount = first.Amount, true
	}
	if first.Has(schemas.FieldState) {
		x.state = known{given: true, state: first.State, time: first.Time}
		x.Counted = o.cfg.counts(first.State)
	}
	return x
}
