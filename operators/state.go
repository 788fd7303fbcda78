package operators

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// Configuration is one compiled snapshot with what it asks of every customer.
type Configuration struct {
	*rule.Set
	Shape *window.Shape
}

// NewConfiguration derives the windows' shape from a compiled set.
func NewConfiguration(set *rule.Set) *Configuration {
	p := &set.Plan
	s := &window.Shape{Version: set.Version, Retention: p.Retention, Base: set.Policy.BaseCurrency}
	var columns [schemas.NumFields]int
	for f := range schemas.NumFields {
		if p.Fields&(1<<f) != 0 {
			columns[f] = len(s.Columns)
			s.Columns = append(s.Columns, window.Column{Field: f})
		}
	}
	all := make([]int, len(s.Columns))
	for i := range all {
		all[i] = i
	}
	for i := range p.Filters {
		f := &p.Filters[i]
		h := fnv.New64a()
		h.Write([]byte(f.Text))
		s.Filters = append(s.Filters, window.Filter{Key: h.Sum64(), Columns: all, Match: func(x *schemas.Past) bool {
			return (x.Counted || f.Uncounted) && f.Match(x)
		}})
	}
	for _, a := range p.Aggregates {
		w := window.Aggregate{Func: funcs[a.Func], Prior: a.Prior, Field: window.NoField, Filter: a.Filter, Scan: window.NoScan}
		if a.Func != rule.Since {
			span := window.Span{Length: a.Window}
			if w.Span = slices.Index(s.Spans, span); w.Span < 0 {
				w.Span = len(s.Spans)
				s.Spans = append(s.Spans, span)
			}
		}
		if f, ok := a.Field.Text(); ok {
			w.Field = columns[f]
		} else if a.Field == rule.Amount {
			w.Field = window.Amount
		}
		s.Aggregates = append(s.Aggregates, w)
	}
	return &Configuration{Set: set, Shape: s}
}

var funcs = [...]window.Func{rule.Count: window.Count, rule.Sum: window.Sum, rule.Avg: window.Avg, rule.Min: window.Min, rule.Max: window.Max,
	rule.Distinct: window.Distinct, rule.Since: window.Since}

// State is what one lane holds of one partition: its customers, and the configurations that its log went through. Changes belong to a
// transaction: Begin, then Commit or Rollback. Not safe for concurrent use.
type State struct {
	Generation, Partition int32

	history   []*Configuration // ascending by version, the current one last
	customers map[string]*Customer
	journal   []change
	txn       uint64
	dirty     []*Customer
	configs   int // len(history) at Begin
	windows   window.Journal
	scratch   window.Scratch
	measured  []window.Value
}

// Customer is a customer in the state.
type Customer struct {
	*window.Customer
	key   string
	txn   uint64 // the transaction that last changed it
	dirty bool   // changed since it was last handed to a flush
}

// change is one entry of the undo journal.
type change struct {
	customer *Customer
	kind     changeKind
}

type changeKind uint8

const (
	created changeKind = iota
	saved
)

// NewState makes an empty state. history are the configurations that the partition's log went through so far, ascending.
func NewState(generation, partition int32, history []*Configuration) *State {
	return &State{Generation: generation, Partition: partition, history: history, customers: map[string]*Customer{}}
}

// Current is the configuration in force, nil before the partition's first control record.
func (s *State) Current() *Configuration {
	if len(s.history) == 0 {
		return nil
	}
	return s.history[len(s.history)-1]
}

// Switch makes c the configuration in force: its control record is at this place of the log. A version that is not above the current
// one changes nothing (a second control record of the same apply, or an overtaken one) and reports false.
func (s *State) Switch(c *Configuration) bool {
	if cur := s.Current(); cur != nil && c.Version <= cur.Version {
		return false
	}
	s.history = append(s.history[:len(s.history):len(s.history)], c)
	return true
}

// Shape gives window.Decode the shape of a version that this partition went through, or nil.
func (s *State) Shape(version int32) *window.Shape {
	for _, c := range s.history {
		if c.Version == version {
			return c.Shape
		}
	}
	return nil
}

// Has reports whether the customer is held.
func (s *State) Has(key []byte) bool {
	_, ok := s.customers[string(key)]
	return ok
}

// Len is the number of customers held.
func (s *State) Len() int { return len(s.customers) }

// Put adds a customer as the store holds it.
func (s *State) Put(key []byte, c *window.Customer) {
	s.customers[string(key)] = &Customer{Customer: c, key: string(key)}
}

// customer returns the event's customer, brought to the current configuration; a new one is created.
func (s *State) customer(key []byte, e *schemas.Event) *Customer {
	c, ok := s.customers[string(key)]
	if !ok {
		c = &Customer{Customer: window.New(strings.Clone(e.Team), strings.Clone(e.Customer), s.Current().Shape), key: string(key)}
		s.customers[c.key] = c
		s.journal = append(s.journal, change{customer: c, kind: created})
	}
	for _, conf := range s.history {
		if conf.Version > c.Version() {
			s.touch(c)
			c.Adopt(conf.Shape)
		}
	}
	return c
}

// fold is window.Customer.Fold with undo.
func (s *State) fold(c *Customer, it *Item, base, counted bool) window.Place {
	s.touch(c)
	return c.Fold(&it.Event, it.id, base, counted, it.Offset+1)
}

// touch begins the customer's part of the transaction.
func (s *State) touch(c *Customer) {
	if c.txn != s.txn {
		c.txn = s.txn
		s.windows.Save(c.Customer)
		s.journal = append(s.journal, change{customer: c, kind: saved})
	}
}

// Begin starts a transaction's changes.
func (s *State) Begin() {
	if len(s.journal) > 0 {
		panic(fmt.Sprintf("BUG: partition %d: Begin with %d changes open", s.Partition, len(s.journal)))
	}
	s.txn++
	s.configs = len(s.history)
}

// Commit keeps the changes since Begin and marks the changed customers dirty.
func (s *State) Commit() {
	s.windows.Commit()
	for i := range s.journal {
		switch c := s.journal[i].customer; {
		case c.txn != s.txn: // created for an event that was then rejected
			delete(s.customers, c.key)
		case !c.dirty:
			c.dirty = true
			s.dirty = append(s.dirty, c)
		}
	}
	s.clearJournal()
}

// Rollback undoes the changes since Begin, newest first.
func (s *State) Rollback() {
	s.windows.Rollback()
	for i := len(s.journal) - 1; i >= 0; i-- {
		switch ch := &s.journal[i]; ch.kind {
		case created:
			delete(s.customers, ch.customer.key)
		case saved:
			ch.customer.txn = 0
		}
	}
	s.history = s.history[:s.configs]
	s.clearJournal()
}

func (s *State) clearJournal() {
	clear(s.journal)
	s.journal = s.journal[:0]
}

// Dirty is the number of customers that the store does not hold as they are.
func (s *State) Dirty() int { return len(s.dirty) }

// Saved is one customer's bytes for the store.
type Saved struct {
	Key   []byte // CustomerKey
	Value []byte
	c     *Customer
}

// TakeDirty encodes the dirty customers at the last commit and takes them as clean; a flush that does not arrive gives them back with
// Redo. Rows that no window sees any more are forgotten here.
func (s *State) TakeDirty() []Saved {
	out := make([]Saved, 0, len(s.dirty))
	for _, c := range s.dirty {
		c.dirty = false
		out = append(out, Saved{Key: []byte(c.key), Value: c.Write().Value, c: c})
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
	return out
}

// Redo marks customers dirty again whose flush is not known to have arrived.
func (s *State) Redo(saved []Saved) {
	for _, x := range saved {
		if !x.c.dirty && s.customers[x.c.key] == x.c {
			x.c.dirty = true
			s.dirty = append(s.dirty, x.c)
		}
	}
}

// Holds reports whether the customer as the store had it holds the record at offset already; if so the customer counts as changed.
func (s *State) Holds(key []byte, offset int64) bool {
	c, ok := s.customers[string(key)]
	if !ok || c.LSN() <= offset {
		return false
	}
	if !c.dirty {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
	return true
}

// Runs splits items into runs in which no customer comes twice, and calls fn for each in log order.
func (s *State) Runs(items []*Item, fn func(run []*Item) error) error {
	seen := map[string]struct{}{}
	from := 0
	for i, it := range items {
		if _, twice := seen[string(it.Key)]; twice {
			if err := fn(items[from:i:i]); err != nil {
				return err
			}
			clear(seen)
			from = i
		}
		seen[string(it.Key)] = struct{}{}
	}
	if from < len(items) {
		return fn(items[from:])
	}
	return nil
}
