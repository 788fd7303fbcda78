package window

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// Format is the version byte of a stored customer. A reader takes this one and no other; golden files hold it.
const Format = 1

// The stored form, in order; varints are unsigned LEB128, signed ones zigzag:
//
//	lsn 8 bytes big endian · format 1 byte · team, id (varint length, bytes) · watermark, first, knownFrom (presence byte, varint)
//	retention, version varints · since: n, then per entry key 8 bytes, flags, time varint
//	dictionary: n, then (length, bytes) · rows: n, then per row: time delta, amount, id 8, origin 4, flags 1, text ids
//	crc32c 4 bytes over everything before it
//
// Running sums, class bits, the id filter and the dictionary's index are derived when it is read.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the customer's stored form to b. Rows that the horizon hides should be trimmed before.
func (c *Customer) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(c.lsn))
	b = append(b, Format)
	b = appendText(b, c.team)
	b = appendText(b, c.id)
	for _, t := range []int64{c.watermark, c.first, c.knownFrom} {
		b = appendTime(b, t)
	}
	b = binary.AppendUvarint(b, uint64(c.retention))
	b = binary.AppendUvarint(b, uint64(c.version))
	b = binary.AppendUvarint(b, uint64(len(c.left)))
	for _, l := range c.left {
		b = binary.BigEndian.AppendUint64(b, l.key)
		b = append(b, boolByte(l.incomplete))
		b = appendTime(b, l.time)
	}
	b = binary.AppendUvarint(b, uint64(len(c.dict.values)))
	for _, v := range c.dict.values {
		b = appendText(b, v)
	}
	b = binary.AppendUvarint(b, uint64(len(c.rows)))
	last := int64(0)
	for i := range c.rows {
		r := &c.rows[i]
		b = binary.AppendVarint(b, r.time-last)
		last = r.time
		b = binary.AppendVarint(b, r.amount)
		b = binary.BigEndian.AppendUint64(b, r.id)
		b = binary.BigEndian.AppendUint32(b, r.origin)
		b = append(b, byte(r.flags))
		for _, v := range r.text {
			b = binary.AppendUvarint(b, uint64(v))
		}
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
	c := &Customer{}
	c.lsn = int64(binary.BigEndian.Uint64(body))
	c.team, c.id = d.text(), d.text()
	c.watermark, c.first, c.knownFrom = d.time(), d.time(), d.time()
	c.retention = int64(d.uvarint())
	c.version = int32(d.uvarint())
	c.left = make([]leftTime, d.length(10))
	for i := range c.left {
		c.left[i] = leftTime{key: d.uint64(), incomplete: d.byte() != 0, time: d.time()}
	}
	c.dict.values = make([]string, d.length(1))
	for i := range c.dict.values {
		c.dict.values[i] = d.text()
	}
	rows := make([]row, d.length(14+texts))
	last := int64(0)
	for i := range rows {
		r := &rows[i]
		last += d.varint()
		r.time, r.amount, r.id, r.origin, r.flags = last, d.varint(), d.uint64(), d.uint32(), rowFlags(d.byte())
		for j := range r.text {
			v := d.uvarint()
			if v > uint64(len(c.dict.values)) {
				d.fail("text id %d of %d", v, len(c.dict.values))
			}
			r.text[j] = uint32(v)
		}
		if i > 0 && r.time < rows[i-1].time {
			d.fail("row %d out of order", i)
		}
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes behind the rows", len(d.b))
	}
	if d.err != nil {
		return nil, fmt.Errorf("stored customer: %w", d.err)
	}
	if c.shape = shapes(c.version); c.shape == nil {
		return nil, fmt.Errorf("stored customer: folded under configuration %d, which is not known here", c.version)
	}
	if len(c.left) != len(c.shape.Since) {
		return nil, fmt.Errorf("stored customer: %d since conditions, configuration %d has %d", len(c.left), c.version, len(c.shape.Since))
	}
	c.load(rows)
	return c, nil
}

// load derives what is not stored.
func (c *Customer) load(rows []row) {
	c.dict.reindex()
	c.rows = rows
	for i := range c.rows {
		r := &c.rows[i]
		r.sum, r.count = c.sum, c.count
		c.sum = c.sum.Add(r.base())
		c.count += r.counted()
	}
	c.reclassify()
	c.ids.rebuild(c.rows)
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

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
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
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.b = d.b[n:]
	return v
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
	n := d.uvarint()
	if n > math.MaxInt32 {
		d.fail("text of %d bytes", n)
	}
	return string(d.take(int(n)))
}

func (d *decoder) time() int64 {
	switch d.byte() {
	case 0:
		return noTime
	case 1:
		return d.varint()
	}
	d.fail("bad time")
	return 0
}
