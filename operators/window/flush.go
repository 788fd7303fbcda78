package window

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
	LSN    int64  // of the customer after the write
	Value  []byte // the whole head value; nil where Delta says the change
	Delta  *Delta
	Chunks []Chunk     // to be written before the head value
	Dead   []ChunkName // no longer named by the head value
}

// Write prepares what brings the store to the customer's present state: the change since the last write that arrived, or everything.
// Between transactions only. Each Write is answered by Acked or Unsure before the next.
func (c *Customer) Write() *Write {
	c.Trim()
	return &Write{LSN: c.lsn, Value: c.Whole(nil)}
}

// Acked tells that the store has taken w.
func (c *Customer) Acked(w *Write) {}

// Unsure tells that it is not known what of the last Write the store has taken, or that it does not fit there: the next one is whole.
func (c *Customer) Unsure() {}

// Missing appends the names of the sealed chunks that must be supplied before an event at this time, and with this id, is looked up,
// folded and measured, or its state is set.
func (c *Customer) Missing(b []ChunkName, at int64, id uint64) []ChunkName { return b }

// Supply gives the customer a chunk that Missing named. Fails with what is wrong on any other bytes.
func (c *Customer) Supply(name ChunkName, value []byte) error { return nil }

// Release drops what is stored and not needed for the next event in order, to give memory back.
func (c *Customer) Release() {}

// Bytes is about how much memory the customer holds.
func (c *Customer) Bytes() int { return len(c.row)*40 + len(c.texts)*4 }
