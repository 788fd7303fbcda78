package model

import (
	"fmt"
	"slices"
)

// customers in a run. Few, so that every flush, replay and delayed call meets the customers of the others.
const customers = 3

// kind of a record of the log.
type kind uint8

const (
	event   kind = iota // a payment, at any time: in order, or late into the head or into a sealed chunk
	state               // a retraction or restoration of an earlier event
	control             // a configuration switch
)

// record is one record of the log. What it does to a customer, and its verdict, follow from the log alone.
type record struct {
	kind     kind
	customer int
	key      int64 // event: its own place in time; state: the place of the event that it names
	counted  bool  // state: whether that event counts from here on
	config   uint8 // control
	look     int   // event: which of the rows the verdict quotes, modulo their number; makes a verdict depend on one boundary chunk
}

func (r record) String() string {
	switch r.kind {
	case control:
		return fmt.Sprintf("configuration %d", r.config)
	case state:
		return fmt.Sprintf("customer %d, event at %d.%d counts: %v", r.customer, r.key>>20, r.key&(1<<20-1), r.counted)
	default:
		return fmt.Sprintf("customer %d, event at %d", r.customer, r.key>>20)
	}
}

// row is one retained event.
type row struct {
	key     int64 // time << 20 | offset: rows stand in time order, ties in log order
	config  uint8 // in force where it was folded; stands for every rate and mapping that a row takes from its configuration
	counted bool
}

func mix(x uint64) uint64 { // splitmix64's finalizer
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (r row) mix() uint64 {
	x := mix(uint64(r.key)+0x9e3779b97f4a7c15) + uint64(r.config)
	if r.counted {
		x = ^x
	}
	return mix(x)
}

// name is the name of a stored chunk.
type name struct {
	seq, version int
}

// chunk is a sealed run of rows and what the directory in the head says of it.
type chunk struct {
	name
	first, last int64 // keys
	n           int
	sum         uint64 // over its rows
	edited      int    // LSN of its last change
	rows        []row  // nil: not in memory
}

// customer is one customer's windows. Values are immutable but for which chunks are in memory: a change makes a new customer, undo keeps
// the old one.
type customer struct {
	lsn    int   // offset + 1 of the last record folded in
	config uint8 // in force there
	next   int   // seq of the next chunk
	floor  int64 // rows up to here have left the horizon
	dir    []chunk
	rows   []row  // the head: the newest rows
	tail   []unit // every change since the customer was last loaded, for deltas; the model never cuts it
}

// Rows in the head above which the oldest are sealed, and how many of them. Small, so that a run of a hundred records seals, edits and
// drops chunks of every customer.
const (
	headRows  = 4
	chunkRows = 2
)

// kept is how many chunks a customer keeps: retention, which a configuration may change.
func kept(config uint8) int { return 2 + int(config%2) }

// folding is one fold under way.
type folding struct {
	c     *customer
	rules *rules
	fresh func(name) bool // whether the store may hold the name: only the ablation that counts versions by flush asks
	miss  *name           // the chunk that is not in memory and is needed: the fold did not happen
}

// fold applies a record to a customer (nil: unknown so far). It returns a new customer, or the name of the chunk that must be in memory.
func fold(old *customer, r record, offset int, config uint8, ru *rules, fresh func(name) bool) (*customer, *name) {
	c := &customer{}
	if old != nil {
		*c = *old
	}
	f := folding{c: c, rules: ru, fresh: fresh}
	c.lsn, c.config = offset+1, config
	c.tail = c.tail[:len(c.tail):len(c.tail)]
	if r.key > c.floor {
		if i := c.chunkOf(r.key); i >= 0 {
			f.edit(i, r)
		} else {
			f.head(r)
		}
	}
	if f.miss != nil {
		return nil, f.miss
	}
	if !ru.noSeal && len(c.rows) > headRows {
		f.seal()
	}
	for len(c.dir) > kept(config) {
		d := c.dir[0]
		c.floor = d.last
		c.dir = slices.Clone(c.dir[1:])
		c.log(unit{op: opDrop, chunk: d.stored()})
	}
	return c, nil
}

// chunkOf returns the chunk where a key belongs, −1 for the head.
func (c *customer) chunkOf(key int64) int {
	n := len(c.dir)
	if n == 0 || key > c.dir[n-1].last {
		return -1
	}
	for i := n - 1; i > 0; i-- {
		if key >= c.dir[i].first {
			return i
		}
	}
	return 0
}

func (c *customer) log(u unit) {
	u.lsn = c.lsn
	c.tail = append(c.tail, u)
}

func (f *folding) head(r record) {
	c := f.c
	if r.kind == event {
		w := row{key: r.key, config: c.config, counted: true}
		c.rows = insert(c.rows, w)
		c.log(unit{op: opRow, row: w})
		return
	}
	if rows := recount(c.rows, r); rows != nil {
		c.rows = rows
		c.log(unit{op: opCount, row: row{key: r.key, counted: r.counted}})
	}
}

func (f *folding) edit(i int, r record) {
	c := f.c
	d := c.dir[i]
	if d.rows == nil {
		f.miss = &d.name
		return
	}
	if r.kind == event {
		d.rows = insert(d.rows, row{key: r.key, config: c.config, counted: true})
	} else {
		rows := recount(d.rows, r)
		if rows == nil {
			return
		}
		d.rows = rows
	}
	switch {
	case f.rules.chunkInPlace:
	case f.rules.versionPerFlush && !f.fresh(d.name):
	default:
		d.version++
	}
	d.describe(c.lsn)
	c.dir = slices.Clone(c.dir)
	c.dir[i] = d
	c.log(unit{op: opEdit, chunk: d.stored()})
}

func (f *folding) seal() {
	c := f.c
	d := chunk{name: name{seq: c.next}, rows: slices.Clone(c.rows[:chunkRows])}
	d.describe(c.lsn)
	c.next++
	c.rows = c.rows[chunkRows:len(c.rows):len(c.rows)]
	c.dir = append(slices.Clone(c.dir), d)
	c.log(unit{op: opSeal, chunk: d.stored()})
}

// describe sets what the directory says of the chunk's rows.
func (d *chunk) describe(lsn int) {
	d.first, d.last, d.n, d.sum, d.edited = d.rows[0].key, d.rows[len(d.rows)-1].key, len(d.rows), 0, lsn
	for _, w := range d.rows {
		d.sum += w.mix()
	}
}

// stored is the chunk as the head's directory has it.
func (d chunk) stored() chunk {
	d.rows = nil
	return d
}

// insert returns rows with w at its place; rows stays as it is.
func insert(rows []row, w row) []row {
	i := len(rows)
	for i > 0 && rows[i-1].key > w.key {
		i--
	}
	out := make([]row, 0, len(rows)+2)
	out = append(append(out, rows[:i]...), w)
	return append(out, rows[i:]...)
}

// recount returns rows with the named one counted or not, nil if it is not there.
func recount(rows []row, r record) []row {
	for i := range rows {
		if rows[i].key == r.key {
			rows = slices.Clone(rows)
			rows[i].counted = r.counted
			return rows
		}
	}
	return nil
}

// verdict of the record that was folded last: it reads the head, the directory's sums and, of one chunk, the rows. It names the chunk if
// that is not in memory.
func (c *customer) verdict(r record) (uint64, *name) {
	n, sum := len(c.rows), uint64(0)
	for _, w := range c.rows {
		sum += w.mix()
	}
	for i := range c.dir {
		n += c.dir[i].n
		sum += c.dir[i].sum
	}
	v := mix(sum+uint64(n)) + uint64(c.config)
	if r.kind != event || n == 0 {
		return v, nil
	}
	at := r.look % n
	for i := range c.dir {
		d := &c.dir[i]
		switch {
		case at >= d.n:
			at -= d.n
		case d.rows == nil:
			return 0, &d.name
		case at >= len(d.rows):
			return mix(v), nil // a chunk shorter than its directory says: reads as some wrong value
		default:
			return mix(v + d.rows[at].mix()), nil
		}
	}
	return mix(v + c.rows[at].mix()), nil
}

// op is what a unit of the stored head does.
type op uint8

const (
	opNone  op = iota // a hole, as SETRANGE behind the end leaves one
	opRow             // a row comes into the head
	opCount           // a row of the head counts, or does not
	opSeal            // the oldest rows of the head become a chunk
	opEdit            // a chunk has a new version
	opDrop            // the oldest chunk leaves
	opChunk           // whole form: a chunk of the directory
)

// unit is one segment of the stored head. Each says all that it does: it does not matter what stands before it, as long as that is the
// customer at the LSN before.
type unit struct {
	op    op
	lsn   int
	row   row
	chunk chunk
}

// header begins the stored head. It depends on the customer at its LSN alone, never on how the units behind it are laid out.
type header struct {
	lsn    int
	config uint8
	next   int
	floor  int64
}

// value is the stored head of a customer; immutable.
type value struct {
	header
	units []unit
}

func (c *customer) header() header {
	return header{lsn: c.lsn, config: c.config, next: c.next, floor: c.floor}
}

// whole is the customer's head as written by SET.
func (c *customer) whole() *value {
	v := &value{header: c.header(), units: make([]unit, 0, len(c.dir)+len(c.rows))}
	for _, d := range c.dir {
		v.units = append(v.units, unit{op: opChunk, chunk: d.stored()})
	}
	for _, w := range c.rows {
		v.units = append(v.units, unit{op: opRow, row: w})
	}
	return v
}

// open reads a stored head: a customer without a chunk in memory. ok is false for bytes that no writer of ours makes.
func (v *value) open() (c *customer, ok bool) {
	c = &customer{lsn: v.lsn, config: v.config, next: v.next, floor: v.floor}
	for _, u := range v.units {
		switch u.op {
		case opRow:
			c.rows = insert(c.rows, u.row)
		case opCount:
			rows := recount(c.rows, record{key: u.row.key, counted: u.row.counted})
			if rows == nil {
				return nil, false
			}
			c.rows = rows
		case opSeal:
			if len(c.rows) < chunkRows {
				return nil, false
			}
			c.rows = c.rows[chunkRows:]
			c.dir = append(c.dir, u.chunk)
		case opChunk:
			c.dir = append(c.dir, u.chunk)
		case opEdit:
			i := slices.IndexFunc(c.dir, func(d chunk) bool { return d.seq == u.chunk.seq })
			if i < 0 {
				return nil, false
			}
			c.dir[i] = u.chunk
		case opDrop:
			if len(c.dir) == 0 || c.dir[0].seq != u.chunk.seq {
				return nil, false
			}
			c.dir = c.dir[1:]
		case opNone:
			return nil, false
		}
	}
	return c, true
}
