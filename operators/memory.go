package operators

// A partition's customers are kept in memory up to a budget; what the window store holds as it is here may go, and is loaded again with
// its customer's next event. Which ones go decides about speed alone: no answer depends on it.

// Bytes is about how much memory the partition's customers hold, as of their last change.
func (s *State) Bytes() int { return s.bytes }

// weigh takes a customer's size anew.
func (s *State) weigh(c *Customer) {
	now := c.Bytes() + customerBytes + len(c.key)
	s.bytes += now - c.size
	c.size = now
}

// customerBytes is what a customer takes here beside its windows: the struct, its place in the map and the ring.
const customerBytes = 160

// enter puts a customer among those that may be evicted.
func (s *State) enter(c *Customer) {
	c.place = len(s.ring)
	s.ring = append(s.ring, c)
	s.weigh(c)
}

// leave takes a customer out of memory.
func (s *State) leave(c *Customer) {
	delete(s.customers, c.key)
	last := len(s.ring) - 1
	s.ring[c.place] = s.ring[last]
	s.ring[c.place].place = c.place
	s.ring[last] = nil
	s.ring = s.ring[:last]
	s.bytes -= c.size
}

// Evict brings the partition's customers down to budget bytes, as far as they are clean: neither changed since their last flush nor
// under way in one. Those that were not asked for since the last round go first (the clock algorithm); of one with sealed chunks, the
// chunks go before the rest. It reports how many customers and chunk-holders gave memory back. Between transactions only.
func (s *State) Evict(budget int) (gave int) {
	for range 2 * len(s.ring) {
		if s.bytes <= budget || len(s.ring) == 0 {
			break
		}
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		c := s.ring[s.hand]
		switch {
		case c.Sealed() && !c.lean:
			c.Release()
			c.lean = true
			s.weigh(c)
			gave++
		case c.recent:
			c.recent = false
		case !c.dirty && !c.flying:
			s.leave(c) // another one stands at the hand now
			gave++
			continue
		}
		s.hand++
	}
	return gave
}
