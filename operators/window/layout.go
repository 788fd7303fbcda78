package window

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// Format is the version byte of a stored customer. A reader takes this one and no other; golden files hold it.
const Format = 2

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Whole appends the customer's whole stored form to b. Rows that the horizon hides should be trimmed before.
func (c *Customer) Whole(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(c.lsn))
	b = append(b, Format)
	b = binary.AppendUvarint(b, uint64(c.shape.Version))
	b = appendText(b, c.team)
	b = appendText(b, c.id)
	for _, t := range []int64{c.watermark, c.floor, c.knownFrom, c.baseFrom, c.gone} {
		b = appendTime(b, t)
	}
	b = binary.AppendUvarint(b, uint64(len(c.colFrom)))
	for _, t := range c.colFrom {
		b = appendTime(b, t)
	}
	b = binary.AppendUvarint(b, uint64(len(c.left)))
	for _, l := range c.left {
		b = binary.BigEndian.AppendUint64(b, l.key)
		b = appendTime(b, l.time)
		b = appendTime(b, l.blind)
	}
	b = binary.AppendUvarint(b, uint64(len(c.held)))
	for _, h := range c.held {
		b = binary.BigEndian.AppendUint64(b, h.ID)
		b = binary.AppendVarint(b, h.Appended)
		b = binary.AppendVarint(b, h.LSN)
		b = appendText(b, string(h.Record))
	}
	used, number := c.words()
	b = binary.AppendUvarint(b, uint64(len(used)))
	for _, v := range used {
		b = appendText(b, c.dict.value(v))
	}
	b = binary.AppendUvarint(b, uint64(len(c.row)))
	last := int64(0)
	for i := range c.row {
		r := &c.row[i]
		b = binary.AppendVarint(b, r.time-last)
		last = r.time
		b = binary.AppendVarint(b, r.amount)
		b = binary.BigEndian.AppendUint64(b, r.id)
		b = binary.BigEndian.AppendUint32(b, r.origin)
		b = append(b, byte(r.flags))
		for _, v := range c.text(i) {
			b = binary.AppendUvarint(b, uint64(number[v]))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(c.stated)))
	for _, s := range c.stated {
		b = binary.BigEndian.AppendUint64(b, s.id)
		b = binary.AppendVarint(b, s.at)
		b = binary.AppendUvarint(b, uint64(number[s.text]))
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// Decode reads a stored customer. shape must be that of the version in the header: shapes gives it, or nil, which is an error. The
// result does not share memory with b. Fails with what is wrong on any other bytes.
func Decode(b []byte, shapes func(version int32) *Shape) (*Customer, error) {
	if len(b) < 13 {
		return nil, fmt.Errorf("stored customer: %d bytes, too short", len(b))
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return nil, fmt.Errorf("stored customer: checksum %08x, want %08x", got, sum)
	}
	if body[8] != Format {
		return nil, fmt.Errorf("stored customer: format %d, this version reads %d", body[8], Format)
	}
	d := decoder{b: body[9:]}
	version := int32(d.upto(math.MaxInt32))
	shape := shapes(version)
	if shape == nil {
		return nil, fmt.Errorf("stored customer: folded under configuration %d, which is not known here", version)
	}
	c := &Customer{shape: shape}
	p := shape.compile()
	c.width = p.stored
	c.lsn = int64(binary.BigEndian.Uint64(body))
	c.team, c.id = d.text(), d.text()
	c.watermark, c.floor, c.knownFrom, c.baseFrom, c.gone = d.time(), d.time(), d.time(), d.time(), d.time()
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
	c.dict.values = make([]string, d.length(1))
	for i := range c.dict.values {
		c.dict.values[i] = d.text()
	}
	c.dict.reindex()
	c.rows.row = make([]row, d.length(14+c.width))
	c.texts = make([]uint32, len(c.rows.row)*c.width)
	last := int64(0)
	for i := range c.rows.row {
		r := &c.rows.row[i]
		last += d.varint()
		r.time, r.amount, r.id, r.origin, r.flags = last, d.varint(), d.uint64(), d.uint32(), rowFlags(d.byte())
		for j := range c.width {
			c.text(i)[j] = uint32(d.upto(uint64(len(c.dict.values))))
		}
		if i > 0 && r.time < c.row[i-1].time {
			d.fail("row %d out of order", i)
		}
	}
	for range d.length(10) {
		c.stated = append(c.stated, stated{id: d.uint64(), at: d.varint(), text: uint32(d.upto(uint64(len(c.dict.values))))})
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes behind the rows", len(d.b))
	}
	if d.err != nil {
		return nil, fmt.Errorf("stored customer: %w", d.err)
	}
	if len(c.colFrom) != len(shape.Columns) || !slices.EqualFunc(c.left, p.since, func(l leftTime, s sinceUse) bool { return l.key == s.key }) {
		return nil, fmt.Errorf("stored customer: its %d columns and %d since conditions are not those of configuration %d", len(c.colFrom), len(c.left), version)
	}
	for i := range c.row {
		c.row[i].bits = c.classify(i)
	}
	return c, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTime(b []byte, t int64) []byte {
	if t == noTime {
		return append(b, 0)
	}
	return binary.AppendVarint(append(b, 1), t)
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
