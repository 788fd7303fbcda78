package window

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// Decode reads a stored head value. shape must be that of the version in the header: shapes gives it, or nil, which is an error. The
// customer asks for its sealed chunks by Missing. The result does not share memory with b. Fails with what is wrong on any other bytes.
func Decode(b []byte, shapes func(version int32) *Shape) (*Customer, error) {
	c, err := decodeHead(b, shapes)
	if err != nil {
		return nil, fmt.Errorf("stored customer: %w", err)
	}
	return c, nil
}

func decodeHead(b []byte, shapes func(version int32) *Shape) (*Customer, error) {
	if len(b) < headerSize {
		return nil, fmt.Errorf("%d bytes, too short", len(b))
	}
	if b[8] != Format {
		return nil, fmt.Errorf("format %d, this version reads %d", b[8], Format)
	}
	if _, err := checked(b[:headerSize]); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	version := int32(binary.BigEndian.Uint32(b[9:]))
	length, frame := uint64(binary.BigEndian.Uint32(b[13:])), uint64(binary.BigEndian.Uint32(b[17:]))
	if length != uint64(len(b)) || frame < 4 || frame > length-headerSize {
		return nil, fmt.Errorf("%d bytes with a frame of %d, the header says %d", len(b), frame, length)
	}
	shape := shapes(version)
	if shape == nil {
		return nil, fmt.Errorf("folded under configuration %d, which is not known here", version)
	}
	c := &Customer{shape: shape}
	c.head.width = shape.compile().stored
	c.lsn, c.watermark = int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[21:]))
	if err := c.decodeFrame(b[headerSize : headerSize+frame]); err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	d := records{c: c, to: &c.head, columns: storedColumns(shape)}
	for rest := b[headerSize+frame:]; len(rest) > 0; {
		n, k := binary.Uvarint(rest)
		if k <= 0 || k > 1 && rest[k-1] == 0 || n > uint64(len(rest)-k) || len(rest)-k-int(n) < 4 {
			return nil, errors.New("segment: bad length")
		}
		size := k + int(n) + 4
		body, err := checked(rest[:size])
		if err != nil {
			return nil, fmt.Errorf("segment: %w", err)
		}
		if d.b = body[k:]; d.all() != nil {
			return nil, fmt.Errorf("segment: %w", d.err)
		}
		rest = rest[size:]
	}
	if c.head.n > 0 && c.head.row[c.head.n-1].time > c.watermark {
		return nil, errors.New("a row is behind the watermark")
	}
	c.derive()
	for i := range c.head.row {
		c.head.row[i].bits = c.classify(&c.head, i)
	}
	c.head.ids.rebuild(c.head.row)
	c.store.known, c.store.lsn, c.store.length, c.store.frame = true, c.lsn, len(b), int(frame)
	c.store.rows, c.store.last, c.store.words, c.store.numbers = d.rows, d.last, d.inverse(), uint32(len(d.words))
	return c, nil
}

// checked returns b without its checksum, which must be right.
func checked(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, errShort
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return nil, fmt.Errorf("checksum %08x, want %08x", got, sum)
	}
	return body, nil
}

func (c *Customer) decodeFrame(b []byte) error {
	body, err := checked(b)
	if err != nil {
		return err
	}
	d := decoder{b: body}
	c.team, c.id = d.text(), d.text()
	c.floor, c.knownFrom, c.baseFrom, c.gone = d.time(), d.time(), d.time(), d.time()
	c.colFrom = make([]int64, d.length(1))
	for i := range c.colFrom {
		c.colFrom[i] = d.time()
	}
	c.left = make([]leftTime, d.length(10))
	for i := range c.left {
		c.left[i] = leftTime{key: d.uint64(), time: d.time(), blind: d.time()}
	}
	for range d.length(11) {
		c.held = append(c.held, Held{ID: d.uint64(), Appended: d.varint(), LSN: d.varint(), Record: []byte(d.text())})
	}
	c.header.seq = d.uvarint()
	last, start := int64(0), 0
	for range d.length(5) {
		x := &block{seq: d.uvarint(), version: uint32(d.upto(math.MaxUint32)), n: int(d.upto(MaxEvents)), start: start, stored: true}
		x.width = c.head.width
		x.first = last + d.varint()
		x.last = x.first + int64(d.upto(math.MaxInt64))
		if x.n == 0 || x.last < x.first || len(c.blocks) > 0 && x.first < last || x.last > c.watermark || x.seq >= c.header.seq ||
			slices.ContainsFunc(c.blocks, func(y *block) bool { return y.seq == x.seq }) {
			d.fail("chunk %d does not follow the one before", x.seq)
		}
		last, start = x.last, start+x.n
		c.blocks = append(c.blocks, x)
		c.store.chunks = append(c.store.chunks, x.name())
	}
	c.head.start = start
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes behind it", len(d.b))
	}
	if d.err != nil {
		return d.err
	}
	if len(c.colFrom) != len(c.shape.Columns) || !slices.EqualFunc(c.left, c.shape.prog.since, func(l leftTime, s sinceUse) bool { return l.key == s.key }) {
		return fmt.Errorf("its %d columns and %d since conditions are not those of configuration %d", len(c.colFrom), len(c.left), c.shape.Version)
	}
	if len(c.held) > MaxHeld {
		return fmt.Errorf("%d stateChanges are held, at most %d are", len(c.held), MaxHeld)
	}
	return nil
}

// storedColumns are the shape's columns that rows store, in their order.
func storedColumns(s *Shape) (out []Column) {
	for k, col := range s.Columns {
		if s.prog.text[k] >= 0 {
			out = append(out, col)
		}
	}
	return out
}

// decodeChunk reads a chunk's rows into b, as the customer's shape has them.
func (c *Customer) decodeChunk(b *block, value []byte) error {
	body, err := checked(value)
	if err != nil {
		return err
	}
	d := records{c: c, to: &block{width: c.head.width}}
	d.b = body
	if f := d.byte(); d.err == nil && f != Format {
		return fmt.Errorf("format %d, this version reads %d", f, Format)
	}
	if seq, version := d.uvarint(), d.uvarint(); seq != b.seq || version != uint64(b.version) {
		return fmt.Errorf("it says that it is %d.%d", seq, version)
	}
	for range d.length(2) {
		d.columns = append(d.columns, Column{Field: schemas.Field(d.byte()), Attr: d.text()})
	}
	n := d.upto(uint64(len(d.b)))
	if d.all() != nil {
		return d.err
	}
	x := d.to
	if uint64(x.n) != n || x.n != b.n || x.row[0].time != b.first || x.row[x.n-1].time != b.last || !d.ordered {
		return fmt.Errorf("its %d rows are not the %d of the directory", x.n, b.n)
	}
	b.width = c.head.width
	b.row, b.texts, b.stated, b.minis, b.valid = slices.Clip(x.row), slices.Clip(x.texts), x.stated, nil, 0
	return nil
}

// records reads rows and states into a block.
type records struct {
	decoder
	c       *Customer
	to      *block
	columns []Column // of the rows, as they are written
	move    []int    // by written column: the shape's, or −1
	words   []uint32 // by number in the value: the dictionary id
	last    int64
	rows    int
	ordered bool
}

// all reads records to the end of d.b and returns d.err.
func (d *records) all() error {
	if d.move == nil {
		d.ordered = true
		d.move = make([]int, len(d.columns))
		for j, col := range d.columns {
			d.move[j] = slices.Index(d.c.shape.Columns, col)
			if slices.Index(d.columns, col) != j {
				d.fail("column %v twice", col)
			}
		}
	}
	for d.err == nil && len(d.b) > 0 {
		if f := d.byte(); f&recordState != 0 {
			d.state(f)
		} else {
			d.row(rowFlags(f))
		}
	}
	return d.err
}

func (d *records) row(flags rowFlags) {
	d.last += d.varint()
	x := row{time: d.last, flags: flags}
	if flags&rowHasAmount != 0 {
		x.amount = d.varint()
	} else if flags&rowHasBase != 0 {
		d.fail("a base amount without an amount")
	}
	x.id, x.origin = d.uint64(), d.uint32()
	if d.rows++; d.rows > 8*limits.Chunk+garbage {
		d.fail("more than %d rows", 8*limits.Chunk+garbage)
	}
	if x.time <= d.c.baseFrom {
		x.flags &^= rowHasBase
	}
	i := d.to.after(x.time)
	d.ordered = d.ordered && i == d.to.n
	d.to.insert(i, x)
	text := d.to.text(i)
	for j := range d.columns {
		v := d.word()
		if k := d.move[j]; k >= 0 && x.time > d.c.colFrom[k] && d.c.shape.prog.text[k] >= 0 {
			text[d.c.shape.prog.text[k]] = v
		}
	}
	if flags&rowStated != 0 {
		d.stated(stated{id: x.id, at: x.time + d.varint(), text: d.word()})
	}
}

func (d *records) stated(s stated) {
	k, there := findStated(d.to.stated, s.id)
	if s.text == 0 {
		d.fail("a state without a text")
	}
	if there {
		d.to.stated[k] = s
	} else {
		d.to.stated = slices.Insert(d.to.stated, k, s)
	}
}

func (d *records) state(f byte) {
	if f > recordState+1 || d.to != &d.c.head {
		d.fail("record of kind %d", f)
		return
	}
	s := stated{id: d.uint64(), at: d.varint(), text: d.word()}
	i := d.to.findAny(s.id)
	if i < 0 {
		d.fail("a state of no row")
		return
	}
	d.stated(s)
	if d.err == nil {
		d.c.restate(d.to, i, &s, f == recordState+1)
	}
}

// word reads a text and gives its dictionary id, 0 where it is absent.
func (d *records) word() uint32 {
	switch v := d.uvarint(); {
	case v == 0:
		return 0
	case v == 1:
		id := d.c.dict.id(d.text())
		if d.err == nil {
			d.words = append(d.words, id)
		}
		return id
	case v-2 < uint64(len(d.words)):
		return d.words[v-2]
	}
	d.fail("a text that is not there yet")
	return 0
}

// inverse is by dictionary id − 1 the number in the value, from 1.
func (d *records) inverse() []uint32 {
	out := make([]uint32, len(d.c.dict.ends))
	for n, id := range d.words {
		out[id-1] = uint32(n) + 1
	}
	return out
}

// decoder reads on after an error and returns zeros; err is the first one.
type decoder struct {
	b   []byte
	err error
}

var errShort = errors.New("too short")

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.b = nil
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n > len(d.b) {
		if d.err == nil {
			d.err = errShort
		}
		d.b = nil
		return nil
	}
	x := d.b[:n]
	d.b = d.b[n:]
	return x
}

func (d *decoder) byte() byte {
	if x := d.take(1); x != nil {
		return x[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if x := d.take(8); x != nil {
		return binary.BigEndian.Uint64(x)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if x := d.take(4); x != nil {
		return binary.BigEndian.Uint32(x)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 { // short, too long for 64 bits, or not of the shortest form
		d.fail("bad number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) upto(limit uint64) uint64 {
	v := d.uvarint()
	if v > limit {
		d.fail("number %d beyond %d", v, limit)
		return 0
	}
	return v
}

// varint is uvarint of the zigzag form.
func (d *decoder) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// length reads a count of elements that take at least size bytes each, so that hostile bytes cannot ask for much memory.
func (d *decoder) length(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail("%d elements in %d bytes", n, len(d.b))
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	return string(d.take(int(d.upto(math.MaxInt32))))
}

func (d *decoder) time() int64 {
	switch d.byte() {
	case 0:
		return noTime
	case 1:
		if t := d.varint(); t != noTime {
			return t
		}
	}
	d.fail("bad time")
	return 0
}
