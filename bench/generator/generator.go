// Package generator makes a bank's day out of a seed: customers with habits, payments and transactions as producers would send them, and
// laundering patterns planted among them, each with a label. The same configuration gives the same bytes on every machine: all decisions
// are integer arithmetic on PCG streams, no float and no map order takes part.
//
// The way of one record: clock.go says when the next ordinary event happens, account.go and behaviour.go whose it is and what, pattern.go
// and near.go plant what is to be found and what only looks like it, epoch.go merges these by event time and disorder.go by arrival,
// with repeats, conflicts and broken bytes among them; render.go writes the producers' formats. quality.go says afterwards what was found.
//
// The generator knows the formats of the input topics and nothing of the engine: whether its records are understood is the engine's affair.
//
// log.go is a second generator with other aims: no bank, but the log of topic events itself, with everything in it that an engine may meet
// there and no decoder in between (logconfig.go: how much of what; logevent.go: payments and transactions; logstate.go: stateChanges).
package generator

import "github.com/streamgauge/streamgauge/schemas"

// Event is one record for an input topic, with what the generator knows about it. Its memory is the caller's.
type Event struct {
	Topic string // schemas.Payments or schemas.Transactions; a customer uses one of them only
	Key   string // the customer; the producer's record key
	Value []byte // JSON, unless Class is Poison

	Class    Class
	ID       string // the producer's id; empty for Poison
	Customer string
	Time     int64 // event time, ms since 1970 UTC; for Poison the time at which it arrives
	Arrival  int64 // ms; when a producer would send it: Time plus the delay that Disorder gave it
}

// Class says what a record is there for.
type Class uint8

const (
	Ordinary        Class = iota // a customer's normal behaviour
	History                      // a dormant customer's only event before the period
	Planted                      // part of a labelled laundering pattern
	Near                         // part of a labelled near miss
	Repeat                       // a record that was sent before, byte for byte
	Conflict                     // a known id with another amount or time
	Future                       // a stamp far ahead of Config.Now
	BeyondRetention              // older than the customer's newest event by Config.Retention or more
	Poison                       // bytes that are no event
	NumClasses
)

// Classes lists the classes' names by value.
var Classes = [NumClasses]string{"ordinary", "history", "planted", "near", "repeat", "conflict", "future", "beyond_retention", "poison"}

func (c Class) String() string { return Classes[c] }

// Label says where a pattern, or a near miss of it, was planted.
type Label struct {
	Pattern  string // the id of the rule that is to find it: VEL_OUT, …
	Near     bool   // planted to stay below the rule's thresholds
	Customer string
	FirstID  string // by event time
	LastID   string
	First    int64 // ms; event time of FirstID
	Last     int64 // ms; event time of LastID
}

// Generator yields records in order of arrival. Not safe for concurrent use.
type Generator struct {
	cfg      Config
	accounts accounts
	merge    merge
	disorder disorder
	ids      uint64 // the last id given out

	emitted int64
	tally   [NumClasses]int64
	open    []openLabel
	labels  []Label
}

// openLabel is a label of which left records are still to come.
type openLabel struct {
	Label
	left int
}

// draft is a record before it has bytes.
type draft struct {
	class   Class
	account int
	label   int // 1 + index of its label in Generator.open; 0 for none
	id      uint64
	time    int64 // ms
	arrival int64 // ms
	seq     uint64

	cents                                          int64 // of the currency
	out                                            bool
	counterparty, channel, country, currency, kind string
	status                                         string
}

// New makes a generator. It fails with every mistake of the configuration at once.
func New(cfg Config) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.fill()
	g := &Generator{cfg: cfg}
	g.accounts = newAccounts(&g.cfg)
	g.merge = newMerge(g)
	g.disorder = newDisorder(g)
	return g, nil
}

// Next returns the next record, and false after the last one.
func (g *Generator) Next() (Event, bool) {
	if g.cfg.Events > 0 && g.emitted == g.cfg.Events {
		return Event{}, false
	}
	d := g.disorder.next()
	g.emitted++
	g.tally[d.class]++
	a := &g.accounts.list[d.account]
	e := Event{Class: d.class, Customer: a.name(d.account), Time: d.time, Arrival: d.arrival, Topic: schemas.Payments}
	if a.flat {
		e.Topic = schemas.Transactions
	}
	e.Key = e.Customer
	if d.class == Poison {
		e.Value = g.disorder.poison(&d)
		return e, true
	}
	e.ID = idText(&d, a.flat)
	e.Value = g.render(nil, &d)
	g.disorder.remember(&d)
	g.close(&d)
	return e, true
}

// Labels returns the labels whose records have all been emitted, in the order in which they were completed. It is the caller's copy.
func (g *Generator) Labels() []Label { return append([]Label(nil), g.labels...) }

// Tally returns how many records of each class have been emitted.
func (g *Generator) Tally() [NumClasses]int64 { return g.tally }

// close books a labelled record and completes its label with the last one.
func (g *Generator) close(d *draft) {
	if d.label == 0 || d.class != Planted && d.class != Near {
		return
	}
	l := &g.open[d.label-1]
	if l.left--; l.left == 0 {
		g.labels = append(g.labels, l.Label)
	}
}

// newID gives out the next producer's id.
func (g *Generator) newID() uint64 {
	g.ids++
	return g.ids
}
