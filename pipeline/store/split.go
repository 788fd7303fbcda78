package store

import "strconv"

// Limits of one call: what a Redis does at a stretch, in which nobody else is served. 128 keys take about 0.3 ms.
const (
	callKeys  = 128
	callBytes = 256 << 10 // one value above it travels in a call of its own
)

// What a call does, in order; a guard, chunks, the head and dead chunks of one customer follow each other. The letters go over the wire.
const (
	opGuard = 'G' // reads the head's LSN: it decides about the chunks that follow
	opChunk = 'C' // SET, if the head's LSN is not larger than the entry's
	opWhole = 'S' // SET, if the stored LSN is not larger than the entry's
	opDelta = 'D' // SETRANGE twice, if LSN and length are those expected
	opDead  = 'X' // DEL, if the head's LSN is the entry's by now: the head that does not name the chunk is there
)

type op struct {
	kind  byte
	name  string // without the partition's prefix
	entry *Entry
	value []byte // of opChunk
}

// size counts what travels: keys and bytes.
func (o *op) size() int {
	n := len(o.name) + len(o.value)
	switch o.kind {
	case opWhole:
		n += len(o.entry.Value)
	case opDelta:
		n += len(o.entry.Delta.Header) + len(o.entry.Delta.Tail)
	}
	return n
}

// call is what is applied as one step.
type call struct {
	ops   []op
	bytes int
}

func (c *call) add(o op) {
	c.ops = append(c.ops, o)
	c.bytes += o.size()
}

// split makes the calls of a flush, one at least. A customer with its chunks stays in one call where the limits let it. Where they do
// not, chunks come before their head and the dead after it, in every prefix of the calls; each call that holds a part of it asks for the
// head's LSN again.
func split(entries []Entry, maxKeys, maxBytes int) []call {
	calls := []call{{}}
	last := func() *call { return &calls[len(calls)-1] }
	fits := func(keys, bytes int) bool {
		c := last()
		empty := len(c.ops) == 0 || len(c.ops) == 1 && c.ops[0].kind == opGuard
		return empty || len(c.ops)+keys <= maxKeys && c.bytes+bytes <= maxBytes
	}
	var ops []op
	for i := range entries {
		ops = entryOps(ops[:0], &entries[i])
		total := 0
		for j := range ops {
			total += ops[j].size()
		}
		if !fits(len(ops), total) {
			calls = append(calls, call{})
		}
		for _, o := range ops {
			if !fits(1, o.size()) {
				calls = append(calls, call{})
				if o.kind != opWhole && o.kind != opDelta {
					last().add(ops[0]) // the guard
				}
			}
			last().add(o)
		}
	}
	return calls
}

func entryOps(ops []op, e *Entry) []op {
	id := hashed(e.Key)
	head := op{kind: opWhole, name: headName(id), entry: e}
	if e.Delta != nil {
		head.kind = opDelta
	}
	if len(e.Chunks) == 0 && len(e.Dead) == 0 {
		return append(ops, head)
	}
	ops = append(ops, op{kind: opGuard, name: head.name, entry: e})
	for i := range e.Chunks {
		ops = append(ops, op{kind: opChunk, name: chunkName(id, e.Chunks[i].Name), entry: e, value: e.Chunks[i].Value})
	}
	ops = append(ops, head)
	for _, name := range e.Dead {
		ops = append(ops, op{kind: opDead, name: chunkName(id, name), entry: e})
	}
	return ops
}

func headName(id string) string { return "h:" + id }

func chunkName(id string, n ChunkName) string {
	return "c:" + id + ":" + strconv.FormatUint(n.Seq, 10) + "." + strconv.FormatUint(uint64(n.Version), 10)
}
