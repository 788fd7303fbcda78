package window

import "slices"

// Savepoint is what a transaction needs to put a customer back: taken before the first change of a transaction, restored after its
// folds were taken out again in reverse order.
type Savepoint struct {
	header
	words int         // dictionary entries
	rows  []row       // only by SaveAll
	sum   reservoir   // only by SaveAll
	dict  *dictionary // only by SaveAll
	shape *Shape
}

// Save takes a savepoint before folds: cheap, it copies the header. No Trim and no Adopt may run until it is restored or let go.
func (c *Customer) Save() Savepoint {
	return Savepoint{header: c.header, words: len(c.dict.values), shape: c.shape}
}

// SaveAll takes a savepoint before Adopt, which rewrites every row: it copies them.
func (c *Customer) SaveAll() Savepoint {
	s := c.Save()
	s.rows, s.sum = slices.Clone(c.rows), c.reservoir
	s.dict = &dictionary{values: slices.Clone(c.dict.values)}
	return s
}

// Unfold takes the row at place out again; the last Fold first.
func (c *Customer) Unfold(place int) { c.remove(place) }

// Restore puts the customer back to the savepoint, after every later Fold was unfolded.
func (c *Customer) Restore(s Savepoint) {
	c.header, c.shape = s.header, s.shape
	if s.dict == nil {
		c.dict.truncate(s.words)
		return
	}
	c.reservoir = s.sum
	c.rows = s.rows
	c.ids.rebuild(c.rows)
	c.dict = *s.dict
	c.dict.reindex()
}
