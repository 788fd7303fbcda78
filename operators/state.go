package operators

import (
	"fmt"
	"strings"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// State is what one lane holds of one partition: its customers, and the configurations that its log went through. Changes belong to a
// transaction: Begin, then Commit or Rollback. Not safe for concurrent use.
type State struct {
	Generation, Partition int32

	history   []*Configuration // ascending by version, the current one last
	customers map[string]*Customer
	dirty     []*Customer
	scratch   window.Scratch
	names     []window.ChunkName // of Missing, reused

	ring  []*Customer // all, for Evict
	hand  int
	bytes int

	// Of the open transaction.
	txn     uint64
	journal window.Journal
	created []*Customer
	touched []*Customer
	configs int // len(history) at Begin
}

// Customer is a customer in the state.
type Customer struct {
	*window.Customer
	key   string
	txn   uint64 // the transaction that last changed it
	dirty bool   // changed since it was last handed to a flush

	flying bool // in a flush of which nothing is known yet
	recent bool // asked for since Evict last came by
	lean   bool // released its chunks since it was last asked for
	place  int  // in State.ring; −1 until its first commit
	size   int  // bytes, as of its last change
}

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
	x := &Customer{Customer: c, key: string(key), recent: true}
	s.customers[x.key] = x
	s.enter(x)
}

// customer returns the event's customer, brought to the current configuration; a new one is created.
func (s *State) customer(key []byte, e *schemas.Event) *Customer {
	c, ok := s.customers[string(key)]
	if !ok {
		c = &Customer{Customer: window.New(strings.Clone(e.Team), strings.Clone(e.Customer), s.Current().Shape), key: string(key), place: -1}
		s.customers[c.key] = c
		s.created = append(s.created, c)
	}
	c.recent = true
	s.adopt(c)
	return c
}

// touch must come before the transaction's first change of a customer: it makes the change undoable, and dirty once it is committed.
func (s *State) touch(c *Customer) {
	if c.txn != s.txn {
		c.txn = s.txn
		s.journal.Save(c.Customer)
		s.touched = append(s.touched, c)
	}
}

// Begin starts a transaction's changes.
func (s *State) Begin() {
	if len(s.touched)+len(s.created) > 0 {
		panic(fmt.Sprintf("BUG: partition %d: Begin with %d changes open", s.Partition, len(s.touched)+len(s.created)))
	}
	s.txn++
	s.configs = len(s.history)
}

// Commit keeps the changes since Begin and marks the changed customers dirty.
func (s *State) Commit() {
	s.journal.Commit()
	for _, c := range s.created {
		if c.txn != s.txn { // created for an event that was then rejected
			delete(s.customers, c.key)
		}
	}
	for _, c := range s.touched {
		s.markDirty(c)
		if c.place < 0 {
			s.enter(c)
		} else {
			s.weigh(c)
		}
	}
	s.end()
}

// Rollback undoes the changes since Begin.
func (s *State) Rollback() {
	s.journal.Rollback()
	for _, c := range s.touched {
		c.txn = 0
	}
	for _, c := range s.created {
		delete(s.customers, c.key)
	}
	s.history = s.history[:s.configs]
	s.end()
}

func (s *State) end() {
	clear(s.created)
	clear(s.touched)
	s.created, s.touched = s.created[:0], s.touched[:0]
}

func (s *State) markDirty(c *Customer) {
	if !c.dirty {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
}

// Dirty is the number of customers that the store does not hold as they are.
func (s *State) Dirty() int { return len(s.dirty) }

// Saved is what the store needs to hold one customer as it is now.
type Saved struct {
	Key []byte // CustomerKey
	*window.Write
	c *Customer
}

// TakeDirty takes the dirty customers, as of the last commit, as clean: Acked says that the store holds them, Redo that this is not
// known. One of the two must come before the next TakeDirty. Events that no window sees any more are forgotten here.
func (s *State) TakeDirty() []Saved {
	out := make([]Saved, 0, len(s.dirty))
	for _, c := range s.dirty {
		c.dirty, c.flying = false, true
		out = append(out, Saved{Key: []byte(c.key), Write: c.Write(), c: c})
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
	return out
}

// Acked says that the store holds what was taken.
func (s *State) Acked(saved []Saved) {
	for _, x := range saved {
		x.c.flying = false
		x.c.Acked(x.Write)
	}
}

// Redo marks customers dirty again whose flush is not known to have arrived; their next one is whole.
func (s *State) Redo(saved []Saved) {
	for _, x := range saved {
		x.c.flying = false
		x.c.Unsure(x.Write)
		if s.customers[x.c.key] == x.c {
			s.markDirty(x.c)
		}
	}
}

// Holds reports whether the customer as the store had it reflects the record at offset, before which version is in force, already; if so
// the customer counts as changed. One that has gone on to a later configuration reflects all before that, though its LSN may be of an
// earlier record: the one that took it there may have been a duplicate.
func (s *State) Holds(key []byte, offset int64, version int32) bool {
	c, ok := s.customers[string(key)]
	if !ok || c.LSN() <= offset && c.Version() <= version {
		return false
	}
	s.markDirty(c)
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
