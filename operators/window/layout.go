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
const Format = 1

// The stored form, in order; varints are unsigned LEB128, signed ones zigzag:
//
//	lsn 8 bytes big endian · format 1 byte · team, id (varint length, bytes) · watermark, knownFrom, gone (presence byte, varint)
//	retention, version varints · since: n, then per entry key 8 bytes, time, blind (presence byte, varint)
//	dictionary: n, then (length, bytes) · rows: n, then per row: time delta, amount, id 8, origin 4, flags 1, text ids
//	crc32c 4 bytes over everything before it
//
// The dictionary holds what the rows use, in their order of first use, and varints are of the shortest form: one state has one form, and
// a trimmed customer's bytes follow from the log alone. Running sums, class bits, the id filter and the dictionary's index are derived
// when it is read.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the customer's stored form to b. Rows that the horizon hides should be trimmed before.
func (c *Customer) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(c.lsn))
	b = append(b, Format)
	b = appendText(b, c.team)
	b = appendText(b, c.id)
	for _, t := range []int64{c.watermark, c.knownFrom, c.gone} {
		b = appendTime(b, t)
	}
	b = binary.AppendUvarint(b, uint64(c.retention))
	b = binary.AppendUvarint(b, uint64(c.version))
	b = binary.AppendUvarint(b, uint64(len(c.left)))
	for _, l := range c.left {
		b = binary.BigEndian.AppendUint64(b, l.key)
		b = appendTime(b, l.time)
		b = appendTime(b, l.blind)
	}
	used, number := c.words()
	b = binary.AppendUvarint(b, uint64(len(used)))
	for _, v := range used {
		b = appendText(b, c.dict.values[v-1])
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
			b = binary.AppendUvarint(b, uint64(number[v]))
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
	c.watermark, c.knownFrom, c.gone = d.time(), d.time(), d.time()
	c.retention = int64(d.upto(math.MaxInt64))
	c.version = int32(d.upto(math.MaxInt32))
	c.left = make([]leftTime, d.length(10))
	for i := range c.left {
		c.left[i] = leftTime{key: d.uint64(), time: d.time(), blind: d.time()}
	}
	c.dict.values = make([]string, d.length(1))
	for i := range c.dict.values {
		c.dict.values[i] = d.text()
	}
	rows := d.rows(len(c.dict.values))
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes behind the rows", len(d.b))
	}
	if d.err != nil {
		return nil, fmt.Errorf("stored customer: %w", d.err)
	}
	if c.shape = shapes(c.version); c.shape == nil {
		return nil, fmt.Errorf("stored customer: folded under configuration %d, which is not known here", c.version)
	}
	if !slices.EqualFunc(c.left, c.shape.Since, func(l leftTime, s Since) bool { return l.key == s.Key }) {
		return nil, fmt.Errorf("stored customer: its %d since conditions are not the %d of configuration %d", len(c.left), len(c.shape.Since), c.version)
	}
	c.load(rows)
	return c, nil
}

// load derives what is not stored.
func (c *Customer) load(rows []row) {
	c.dict.reindex()
	c.rows = rows
	c.recount()
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

// rows reads the rows; their text ids must bring in 1 to words one after the other.
func (d *decoder) rows(words int) []row {
	rows := make([]row, d.length(14+texts))
	last, used := int64(0), uint64(0)
	for i := range rows {
		r := &rows[i]
		last += d.varint()
		r.time, r.amount, r.id, r.origin, r.flags = last, d.varint(), d.uint64(), d.uint32(), rowFlags(d.byte())
		for j := range r.text {
			v := d.uvarint()
			switch {
			case v > used+1 || v > uint64(words):
				d.fail("row %d: text id %d, %d of %d in use", i, v, used, words)
			case v > used:
				used = v
			}
			r.text[j] = uint32(v)
		}
		if i > 0 && r.time < rows[i-1].time {
			d.fail("row %d out of order", i)
		}
	}
	if used != uint64(words) {
		d.fail("%d of %d texts in use", used, words)
	}
	return rows
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
