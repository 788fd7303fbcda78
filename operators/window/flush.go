package window

import "slices"

// ChunkName names one version of a sealed chunk of a customer.
type ChunkName struct {
	Seq     uint64
	Version uint32
}

// Chunk is a sealed chunk's bytes; they never change.
type Chunk struct {
	Name  ChunkName
	Value []byte
}

// Delta changes a stored head value: Header overwrites it from byte 0 on, Tail goes behind byte Length. It may be applied only to a value
// with this LSN (its first 8 bytes, big endian) and length.
type Delta struct {
	FromLSN int64
	Length  int
	Header  []byte
	Tail    []byte
}

// Write is what the store needs to hold a customer as it is now.
type Write struct {
	LSN    int64       // of the customer after the write
	Value  []byte      // the whole head value; nil where Delta says the change
	Delta  *Delta      // nil where Value is whole
	Chunks []Chunk     // named by the head value; to be there before it is
	Dead   []ChunkName // no longer named by the head value: they may be deleted once it is there

	length, rows int
}

// storeState is what the store is known to hold; no answer depends on it.
type storeState struct {
	known  bool // it holds the customer as it was at lsn, in length bytes
	whole  bool // the next write cannot be a delta: more has changed than rows that came and states
	lsn    int64
	length int
	rows   int         // in its head value, those that have left the customer too
	coded              // how its head value goes on
	chunks []ChunkName // that it may hold
}

// Write prepares what brings the store to the customer's present state: the change since the last write that arrived, or everything.
// Between transactions only. Each Write is answered by Acked or Unsure before the next one is asked for.
func (c *Customer) Write() *Write {
	c.Trim()
	w := &Write{LSN: c.lsn}
	if c.store.whole || !c.store.known || c.store.rows+c.fresh > 2*c.head.n+garbage {
		w.Value, c.store.coded = c.whole(nil)
		w.length, w.rows = len(w.Value), c.head.n
		c.writeChunks(w)
	} else {
		w.Delta = c.delta()
		w.length, w.rows = w.Delta.Length+len(w.Delta.Tail), c.store.rows+c.fresh
	}
	for i, left := c.head.n-1, c.fresh; left > 0; i-- {
		if r := &c.head.row[i]; r.flags&rowFresh != 0 {
			r.flags &^= rowFresh
			left--
		}
	}
	c.fresh, c.restated, c.store.whole = 0, nil, false
	return w
}

// garbage is how many rows that have left the head value holds at least before it is written anew.
const garbage = 64

// writeChunks adds the chunks that the store does not have, and those that it has for nothing.
func (c *Customer) writeChunks(w *Write) {
	names := make(map[ChunkName]bool, len(c.blocks))
	for _, b := range c.blocks {
		names[b.name()] = true
		if !b.stored {
			w.Chunks = append(w.Chunks, Chunk{Name: b.name(), Value: c.appendChunk(nil, b)})
		}
	}
	for _, n := range c.store.chunks {
		if !names[n] {
			w.Dead = append(w.Dead, n)
		}
	}
}

func (b *block) name() ChunkName { return ChunkName{b.seq, b.version} }

// Acked tells that the store has taken w whole. Between transactions only.
func (c *Customer) Acked(w *Write) {
	c.store.known, c.store.lsn, c.store.length, c.store.rows = true, w.LSN, w.length, w.rows
	c.store.chunks = slices.DeleteFunc(c.store.chunks, func(n ChunkName) bool { return slices.Contains(w.Dead, n) })
	c.wrote(w)
	for k, b := range c.blocks {
		if !b.stored && slices.ContainsFunc(w.Chunks, func(x Chunk) bool { return x.Name == b.name() }) {
			c.blocks[k].stored = true
		}
	}
}

// Unsure tells that it is not known what of w the store has taken, or that its delta does not fit what is there: the next one is whole.
// Between transactions only.
func (c *Customer) Unsure(w *Write) {
	c.store.known = false
	c.wrote(w)
}

// wrote notes chunks that the store may have now.
func (c *Customer) wrote(w *Write) {
	for _, x := range w.Chunks {
		if !slices.Contains(c.store.chunks, x.Name) {
			c.store.chunks = append(c.store.chunks, x.Name)
		}
	}
}
