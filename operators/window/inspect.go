package window

import "github.com/streamgauge/streamgauge/schemas"

// Retained is one event as the windows keep it.
type Retained struct {
	schemas.Past
	Stated bool // its state is a stateChange's, not the one that it came with
	Place  Place
}

// Last returns the newest n visible events, oldest first. Chunks that they stand in must be resident.
func (c *Customer) Last(n int) []Retained {
	end := c.end()
	from := max(c.after(c.Horizon()), end-n)
	out := make([]Retained, end-from)
	for k := range out {
		b, i := c.locate(from + k)
		c.past(b, i, &out[k].Past)
		out[k].Stated, out[k].Place = b.row[i].flags&rowStated != 0, Place{pos: from + k}
	}
	return out
}

// KnownFrom is the time behind which history is complete; ok is false where it always was. Windows that begin before it are warming.
func (c *Customer) KnownFrom() (t int64, ok bool) { return c.knownFrom, c.knownFrom != noTime }

// ChunkNames are the sealed chunks that the head names, in order.
func (c *Customer) ChunkNames() []ChunkName {
	names := make([]ChunkName, len(c.blocks))
	for i, b := range c.blocks {
		names[i] = b.name()
	}
	return names
}
