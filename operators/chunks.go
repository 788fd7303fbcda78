package operators

import (
	"fmt"

	"github.com/streamgauge/streamgauge/operators/window"
)

// ChunkRef is a sealed chunk of a customer that the window store has and memory has not.
type ChunkRef struct {
	Key  []byte // CustomerKey
	Name window.ChunkName
}

// Missing names the chunks that must be supplied before the items, each of another customer, go through the chain. It is asked again
// until it names none: what one chunk holds decides what else is needed. Inside a transaction, for it brings customers that have chunks
// to the configuration in force.
func (s *State) Missing(refs []ChunkRef, items []*Item) []ChunkRef {
	for _, it := range items {
		c, ok := s.customers[string(it.Key)]
		if !ok || !c.Sealed() {
			continue
		}
		s.adopt(c)
		c.lean = false
		s.names = c.Missing(s.names[:0], it.Event.Time, window.IDHash(it.Event.ID, it.Event.Side))
		for _, name := range s.names {
			refs = append(refs, ChunkRef{Key: it.Key, Name: name})
		}
	}
	return refs
}

// Supply gives a customer a chunk that Missing named. Fails with what is wrong on other bytes.
func (s *State) Supply(ref ChunkRef, value []byte) error {
	c, ok := s.customers[string(ref.Key)]
	if !ok {
		panic(fmt.Sprintf("BUG: partition %d: chunk %d.%d of a customer that is not here", s.Partition, ref.Name.Seq, ref.Name.Version))
	}
	return c.Supply(ref.Name, value)
}

// adopt brings a customer to the configuration in force, through all between.
func (s *State) adopt(c *Customer) {
	if c.Version() == s.Current().Version {
		return
	}
	for _, conf := range s.history {
		if conf.Version > c.Version() {
			s.touch(c)
			c.Adopt(conf.Shape)
		}
	}
}
