package window

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// Format is the version byte of a stored customer and its chunks. A reader takes this one and no other; golden files hold it.
const Format = 2

// The stored form of the head, in order; numbers of fixed width are big endian, varints LEB128 of the shortest form, signed ones zigzag:
//
//	header, headerSize bytes: lsn 8 · format 1 · version 4 · length of the value 4 · length of the frame 4 · watermark 8 · crc32c 4
//	frame: team, id (length, bytes) · floor, knownFrom, baseFrom, gone (presence byte, varint) · colFrom: n times · since: n, per entry key
//	8, time, blind · held: n, per entry id 8, append time, lsn, record · next seq · directory: n, per chunk seq, version, rows, time of the
//	first − that of the last before, of the last − that of the first · crc32c 4
//	segments, each: length, records, crc32c 4; in log order
//
// A record is a row or, with the top bit of its first byte set, a state that a row before it got:
//
//	row: flags 1 · time − that of the row before · amount, where it has one · id 8 · origin 4 · a text per column · state, where it has one
//	state: 128 or, where it counts, 129 · id 8 · time · text
//
// A text is 0 where absent, 1 and (length, bytes) where it is new in the value, else 2 + its number, counted from 0 by first use. A
// change appends a segment and overwrites the header; Whole has one segment, of the visible rows in (time, log) order: one state has one
// such form. Sums, class bits and indexes are derived when it is read.
//
// A chunk: format 1 · seq, version · columns: n, per column field 1 and attribute (length, bytes) · rows: n, records · crc32c 4. It names
// its columns, because it outlives configurations.
const headerSize = 33

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte, from int) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// header returns the fixed part for a value of this length.
func (c *Customer) appendHeader(b []byte, length, frame int) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(c.lsn))
	b = append(b, Format)
	b = binary.BigEndian.AppendUint32(b, uint32(c.shape.Version))
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	b = binary.BigEndian.AppendUint32(b, uint32(frame))
	b = binary.BigEndian.AppendUint64(b, uint64(c.watermark))
	return checksum(b, start)
}

// Whole appends the customer's whole head value to b. Between transactions only: it trims.
func (c *Customer) Whole(b []byte) []byte {
	c.Trim()
	b, _ = c.whole(b)
	return b
}

// coded is how far a value's texts and times have been written.
type coded struct {
	words   []uint32 // by dictionary id − 1: number of the text in the value, from 1; 0: not there
	numbers uint32   // texts so far
	last    int64    // time of the last row
	frame   int      // length of the frame
}

func (c *Customer) whole(b []byte) ([]byte, coded) {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	b = c.appendFrame(b)
	e := encoder{c: c, coded: coded{frame: len(b) - start - headerSize, words: make([]uint32, len(c.dict.ends))}}
	for i := range c.head.row {
		e.row(&c.head, i)
	}
	b = appendSegment(b, e.b)
	c.appendHeader(b[start:start], len(b)-start, e.frame)
	return b, e.coded
}

func appendSegment(b, records []byte) []byte {
	start := len(b)
	b = binary.AppendUvarint(b, uint64(len(records)))
	return checksum(append(b, records...), start)
}

// delta is the change since the write that the store is known to have.
func (c *Customer) delta() *Delta {
	for len(c.store.words) < len(c.dict.ends) {
		c.store.words = append(c.store.words, 0)
	}
	e := encoder{c: c, coded: c.store.coded}
	first := c.head.n
	for left := c.fresh; left > 0; {
		if first--; c.head.row[first].flags&rowFresh != 0 {
			left--
		}
	}
	for i := first; i < c.head.n; i++ {
		if c.head.row[i].flags&rowFresh != 0 {
			e.row(&c.head, i)
		}
	}
	for k, id := range c.restated {
		if i := c.head.findAny(id); i >= 0 && !slices.Contains(c.restated[:k], id) {
			e.state(&c.head, i)
		}
	}
	c.store.coded = e.coded
	d := &Delta{FromLSN: c.store.lsn, Length: c.store.length, Tail: appendSegment(nil, e.b)}
	d.Header = c.appendHeader(nil, d.Length+len(d.Tail), c.store.frame)
	return d
}

// findAny returns the index of the newest row with this id, or −1.
func (b *block) findAny(id uint64) int {
	for i := len(b.row) - 1; i >= 0; i-- {
		if b.row[i].id == id {
			return i
		}
	}
	return -1
}

func (c *Customer) appendFrame(b []byte) []byte {
	start := len(b)
	b = appendText(b, c.team)
	b = appendText(b, c.id)
	for _, t := range [...]int64{c.floor, c.knownFrom, c.baseFrom, c.gone} {
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
		b = binary.AppendUvarint(b, uint64(len(h.Record)))
		b = append(b, h.Record...)
	}
	b = binary.AppendUvarint(b, c.seq)
	b = binary.AppendUvarint(b, uint64(len(c.blocks)))
	last := int64(0)
	for _, x := range c.blocks {
		b = binary.AppendUvarint(b, x.seq)
		b = binary.AppendUvarint(b, uint64(x.version))
		b = binary.AppendUvarint(b, uint64(x.n))
		b = binary.AppendVarint(b, x.first-last)
		b = binary.AppendUvarint(b, uint64(x.last-x.first))
		last = x.last
	}
	return checksum(b, start)
}

// appendChunk appends a sealed chunk's bytes.
func (c *Customer) appendChunk(b []byte, x *block) []byte {
	start := len(b)
	b = append(b, Format)
	b = binary.AppendUvarint(b, x.seq)
	b = binary.AppendUvarint(b, uint64(x.version))
	b = binary.AppendUvarint(b, uint64(c.shape.prog.stored))
	for k, col := range c.shape.Columns {
		if c.shape.prog.text[k] >= 0 {
			b = append(b, byte(col.Field))
			b = appendText(b, col.Attr)
		}
	}
	b = binary.AppendUvarint(b, uint64(x.n))
	e := encoder{c: c, coded: coded{words: make([]uint32, len(c.dict.ends))}}
	for i := range x.rows() {
		e.row(x, i)
	}
	return checksum(append(b, e.b...), start)
}

// encoder writes records.
type encoder struct {
	c *Customer
	b []byte
	coded
}

func (e *encoder) row(x *block, i int) {
	r := &x.row[i]
	e.b = append(e.b, byte(r.flags&rowStored))
	e.b = binary.AppendVarint(e.b, r.time-e.last)
	e.last = r.time
	if r.flags&rowHasAmount != 0 {
		e.b = binary.AppendVarint(e.b, r.amount)
	}
	e.b = binary.BigEndian.AppendUint64(e.b, r.id)
	e.b = binary.BigEndian.AppendUint32(e.b, r.origin)
	for _, v := range x.text(i) {
		e.text(v)
	}
	if r.flags&rowStated != 0 {
		k, _ := findStated(x.stated, r.id)
		e.b = binary.AppendVarint(e.b, x.stated[k].at-r.time)
		e.text(x.stated[k].text)
	}
}

func (e *encoder) state(x *block, i int) {
	r := &x.row[i]
	k, _ := findStated(x.stated, r.id)
	e.b = append(e.b, recordState|byte(r.flags&rowCounted/rowCounted))
	e.b = binary.BigEndian.AppendUint64(e.b, r.id)
	e.b = binary.AppendVarint(e.b, x.stated[k].at)
	e.text(x.stated[k].text)
}

const recordState = 0x80

func (e *encoder) text(v uint32) {
	switch {
	case v == 0:
		e.b = append(e.b, 0)
	case e.words[v-1] == 0:
		e.numbers++
		e.words[v-1] = e.numbers
		e.b = append(e.b, 1)
		e.b = appendText(e.b, e.c.dict.value(v))
	default:
		e.b = binary.AppendUvarint(e.b, uint64(e.words[v-1])+1)
	}
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
