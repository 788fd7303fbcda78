// Package oracle says what the engine should have said, by brute force and by other means: it reads the log of topic events and works out
// for every record the outcome, every feature and every rule's verdict straight from the contract. It shares the schemas with the
// engine and nothing else: no window is kept up, no rule text is parsed. Every aggregate is one pass over the customer's events, and the
// rules of the library stand here a second time, by hand.
//
// oracle.go decides what becomes of a record, customer.go keeps a customer's events, feature.go measures, verdict.go judges; diff.go
// compares with a fact, check.go with all facts and results of a run.
//
// It reckons with one configuration from the first control record of a partition to the end of the log, and without the cap of five
// million events a customer. The second evaluation of late events, at the watermark, is not in it yet.
package oracle

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/streamgauge/streamgauge/schemas"
)

// Config is what the oracle must know of the configuration in force: the caller says it, so that no code of the engine does.
type Config struct {
	Retention    int64         // ms; longest window plus slack
	BaseCurrency string        // ISO 4217
	Counted      []string      // states whose events count; upper case
	Uncounted    []string      // states whose events do not; an event with a state in neither list is rejected
	Features     []Feature     // in the order of the facts
	Rules        []string      // ids of the library's rules in force, in the order of the facts; nil: none
	Others       bool          // the configuration holds more rules and features than these: they, levels and stages are not compared
	HumanFrom    schemas.Level // from this level on a human decides; above EXTREME: never
	Generation   int32         // of the topology, from 1
	Prefix       string        // of CloudEvents' types, with or without its last dot: "app.amlyze"
}

// Default is the built-in library with its policy, features and five rules. Its retention is 31 days: the longest window, 30 days, and a
// day's slack.
func Default() Config {
	cfg := Config{
		Retention: 31 * day, BaseCurrency: "EUR", HumanFrom: schemas.LevelHigh, Generation: 1, Prefix: "app.amlyze",
		Counted:   []string{"SUCCESSFUL", "EXECUTED", "CREATED", "PROCESSING", "SENT"},
		Uncounted: []string{"DECLINED", "REFUSED", "EXPIRED", "FAILED", "REVERSED", "REFUNDED", "SUSPENDED"},
		Rules:     RuleIDs(),
	}
	for _, side := range []schemas.Side{schemas.SideOut, schemas.SideIn} {
		for _, f := range []struct {
			name string
			fn   Func
		}{{"n", Count}, {"sum", Sum}} {
			for _, days := range []int64{1, 7, 30} {
				cfg.Features = append(cfg.Features, Feature{
					Name: fmt.Sprintf("%s_%s_%dd", strings.ToLower(side.String()), f.name, days), Func: f.fn, Window: days * day, Side: side,
				})
			}
		}
	}
	return cfg
}

// futureTolerance is how far an event's time may be ahead of its append time (DESIGN, contract 2).
const futureTolerance = 5 * minute

const (
	minute = int64(60_000) // ms
	hour   = 60 * minute
	day    = 24 * hour
)

// Record is one record of topic events.
type Record struct {
	Partition int32
	Offset    int64
	Appended  int64         // ms; the broker's append time
	Event     schemas.Event // as decoded; copied where the oracle keeps it
	Broken    bool          // the record's value is no event: to be rejected, for whatever reason
}

// Want is what must have become of a record.
type Want struct {
	Partition int32
	Offset    int64
	Appended  int64
	Event     schemas.Event
	Broken    bool // reason, event and lateness are not compared

	Outcome schemas.Outcome
	Reason  string
	Late    bool

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
}

// Measured is a feature's exact value, in 10⁻⁶ units, or that it is not determinable.
type Measured struct {
	Name  string
	Value schemas.Int128
	ND    bool
}

// Judged is a rule's verdict.
type Judged struct {
	Rule    string
	Verdict schemas.Verdict
}

// Oracle is the state of all partitions. Not safe for concurrent use.
type Oracle struct {
	cfg        Config
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
	var bad []error
	if cfg.Retention <= 0 {
		bad = append(bad, fmt.Errorf("retention %d ms: must be above 0", cfg.Retention))
	}
	if cfg.BaseCurrency == "" {
		bad = append(bad, errors.New(`base currency "": must be given, such as EUR`))
	}
	longest := func(what string, window int64) {
		if window > cfg.Retention {
			bad = append(bad, fmt.Errorf("%s: window of %d ms is longer than the retention of %d ms", what, window, cfg.Retention))
		}
	}
	names := map[string]bool{}
	for i := range cfg.Features {
		f := &cfg.Features[i]
		if err := f.validate(); err != nil {
			bad = append(bad, err)
		}
		if names[f.Name] {
			bad = append(bad, fmt.Errorf("feature %q: given twice", f.Name))
		}
		names[f.Name] = true
		longest("feature "+f.Name, f.Window)
	}
	for _, id := range cfg.Rules {
		r, ok := libraryRule(id)
		if !ok {
			bad = append(bad, fmt.Errorf("rule %q: the oracle knows %v", id, RuleIDs()))
			continue
		}
		longest("rule "+id, r.window)
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("oracle: %w", errors.Join(bad...))
	}
	cfg.Prefix = strings.TrimSuffix(cfg.Prefix, ".") + "."
	return &Oracle{cfg: cfg, partitions: map[int32]*partition{}}, nil
}

// Step says what must become of the partition's next record. Offsets of a partition ascend, gaps allowed.
func (o *Oracle) Step(r *Record) Want {
	p := o.partitions[r.Partition]
	if p == nil {
		p = &partition{last: -1, customers: map[customerKey]*customer{}}
		o.partitions[r.Partition] = p
	}
	if r.Offset <= p.last {
		panic(fmt.Sprintf("BUG: oracle: partition %d offset %d after %d", r.Partition, r.Offset, p.last))
	}
	p.last = r.Offset
	w := Want{
		Partition: r.Partition, Offset: r.Offset, Appended: r.Appended, Event: r.Event, Broken: r.Broken,
		Outcome: schemas.Rejected, generation: o.cfg.Generation, prefix: o.cfg.Prefix, currency: o.cfg.BaseCurrency, others: o.cfg.Others,
	}
	w.Event.Attributes, w.Event.Flags = slices.Clone(r.Event.Attributes), slices.Clone(r.Event.Flags)
	switch kind := r.Event.Kind; {
	case r.Broken:
	case kind == schemas.KindControl:
		w.Outcome = schemas.Applied
		p.version = max(p.version, r.Event.Control.Version)
	case kind == schemas.KindPayment, kind == schemas.KindTransaction:
		w.Config = p.version
		o.admit(p.of(&r.Event), &w)
	default:
		w.Reason = "unsupported_kind"
	}
	return w
}

// of returns the event's customer.
func (p *partition) of(e *schemas.Event) *customer {
	k := customerKey{e.Organisation, e.Team, e.Customer}
	c := p.customers[k]
	if c == nil {
		c = &customer{ids: map[identity]*schemas.Event{}}
		p.customers[k] = c
	}
	return c
}

// admit takes the checks of DESIGN, contract 3, in their order.
func (o *Oracle) admit(c *customer, w *Want) {
	e := &w.Event
	w.Late = c.started && e.Time < c.watermark
	known := c.ids[identity{e.ID, e.Side}] // what lies beyond the retention is no longer in it
	switch {
	case e.Time > w.Appended+futureTolerance:
		w.Reason = "future"
	case c.started && e.Time <= c.watermark-o.cfg.Retention:
		w.Reason = "beyond_retention"
	case known != nil && known.Origin == e.Origin:
		w.Outcome, w.Reason = schemas.Duplicate, "redelivery"
	case known != nil && sameContent(known, e):
		w.Outcome = schemas.Duplicate
	case known != nil:
		w.Reason = "conflict"
	case !o.knowsState(e):
		w.Reason = "unknown_state"
	default:
		o.assess(c, w)
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

func (o *Oracle) knowsState(e *schemas.Event) bool {
	state, given := e.Text(schemas.FieldState)
	return !given || slices.Contains(o.cfg.Counted, state) || slices.Contains(o.cfg.Uncounted, state)
}

// assess folds the event in and judges it.
func (o *Oracle) assess(c *customer, w *Want) {
	e := &w.Event
	w.Outcome = schemas.Assessed
	kept := *e
	x := entry{event: &kept, time: e.Time, side: e.Side, position: w.Offset}
	if currency, given := e.Text(schemas.FieldCurrency); e.HasAmount && (!given || currency == o.cfg.BaseCurrency) {
		x.amount, x.hasAmount = e.Amount, true
	}
	state, given := e.Text(schemas.FieldState)
	x.counted = !given || !slices.Contains(o.cfg.Uncounted, state)
	c.insert(x, o.cfg.Retention)
	w.BaseAmount, w.HasBase = x.amount, x.hasAmount

	v := view{customer: c, event: &x, retention: o.cfg.Retention}
	for i := range o.cfg.Features {
		w.Features = append(w.Features, o.cfg.Features[i].measure(&v))
	}
	for _, id := range o.cfg.Rules {
		r, _ := libraryRule(id)
		verdict := r.judge(&v)
		w.Rules = append(w.Rules, Judged{id, verdict})
		if verdict == schemas.Hit {
			w.Level = max(w.Level, r.level)
			w.Score += r.score
		}
	}
	w.Open = w.Level >= o.cfg.HumanFrom
	w.Assessment = schemas.AssessmentGUID(o.cfg.Generation, w.Partition, w.Offset, e)
}
