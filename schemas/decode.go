package schemas

import (
	"encoding/binary"
	"math"
)

// decodeEvent fills e from a body in the very form that Event.append writes, and reports whether it was one. It refuses more than Avro
// does (an array in several blocks): whatever it refuses is the library's, to take or to name the
// mistake of. It exists beside the library for the encoder's reason: every event passes here, and the library's reflection and memory for
// each text cost four times as much. Texts share one copy of the body, so whoever keeps one beyond the batch clones it. e's slices are
// reused; where it reports false, e holds anything.
func decodeEvent(body []byte, e *Event) bool {
	r := reader{b: body, text: string(body)}
	e.Kind = Kind(r.enum(len(Kinds)))
	e.Organisation = r.string()
	e.Team = r.string()
	e.Source = r.string()
	e.Customer = r.string()
	e.ID = r.string()
	e.Side = Side(r.enum(len(Sides)))
	e.Time = r.long()
	e.Amount = r.long()
	e.HasAmount = r.bool()
	e.Present = r.int()
	e.Currency = r.string()
	e.Counterparty = r.string()
	e.Channel = r.string()
	e.Country = r.string()
	e.State = r.string()
	e.Type = r.string()
	e.Attributes = e.Attributes[:0]
	n := r.count(2)
	for range n {
		e.Attributes = append(e.Attributes, Attribute{Name: r.string(), Value: r.string()})
	}
	r.end(n)
	e.Flags = e.Flags[:0]
	n = r.count(1)
	for range n {
		e.Flags = append(e.Flags, r.string())
	}
	r.end(n)
	e.Origin.Topic = r.string()
	e.Origin.Partition = r.int()
	e.Origin.Offset = r.long()
	e.Control.Version = r.int()
	e.Control.Digest = r.string()
	return !r.bad && r.at == len(body)
}

// reader walks a body. What is not as expected reads as zero and sets bad; what it reads after that means nothing.
type reader struct {
	b    []byte
	text string // b's bytes
	at   int
	bad  bool
}

// byte reads one byte below the limit.
func (r *reader) byte(limit int) byte {
	if r.at >= len(r.b) || int(r.b[r.at]) >= limit {
		r.bad = true
		return 0
	}
	v := r.b[r.at]
	r.at++
	return v
}

func (r *reader) bool() bool { return r.byte(2) == 1 }

// enum reads an enumeration of n values, n below 64: an even byte.
func (r *reader) enum(n int) uint8 {
	v := r.byte(2 * n)
	if v&1 != 0 {
		r.bad = true
		return 0
	}
	return v >> 1
}

func (r *reader) long() int64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		u := r.b[r.at]
		r.at++
		return int64(u>>1) ^ -int64(u&1)
	}
	u, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.at += n
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) int() int32 {
	v := r.long()
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.bad = true
		return 0
	}
	return int32(v)
}

func (r *reader) string() string {
	n := r.long()
	if n < 0 || n > int64(len(r.b)-r.at) {
		r.bad = true
		return ""
	}
	s := r.text[r.at : r.at+int(n)]
	r.at += int(n)
	return s
}

// count begins an array of one block whose elements have size bytes at the least: a larger number than fits asks for no memory.
func (r *reader) count(size int64) int64 {
	n := r.long()
	if n < 0 || n > int64(len(r.b)-r.at)/size {
		r.bad = true
		return 0
	}
	return n
}

// end reads what stands behind an array's n elements.
func (r *reader) end(n int64) {
	if n > 0 {
		r.byte(1)
	}
}
