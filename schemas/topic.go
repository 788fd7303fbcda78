package schemas

import (
	"bytes"
	"embed"
	"fmt"

	"github.com/twmb/avro"
)

// Topic is a Kafka topic and the one type on it.
type Topic[T any] struct {
	Name  string
	Key   string // what the record key is; it decides the partition
	Codec *Codec[T]
}

// Codec turns a value into a record's bytes and back: Avro single-object encoding (C3 01, CRC-64 fingerprint, body) by an embedded
// schema, so that no stage needs a registry. The bytes are the library's; what every event passes has a way of its own to them.
type Codec[T any] struct {
	schema *avro.Schema
	header [10]byte                         // C3 01 and the fingerprint
	encode func([]byte, *T) ([]byte, error) // of the body, without reflection; nil: the library's
	decode func([]byte, *T) bool            // of the body; where it reports false the library decides; nil: always
}

// Append appends v's encoding to b. It fails only on a value that the schema cannot hold, which is our bug, and returns b as it was then.
func (c *Codec[T]) Append(b []byte, v *T) ([]byte, error) {
	var out []byte
	var err error
	if c.encode != nil {
		out, err = c.encode(append(b, c.header[:]...), v)
	} else {
		out, err = c.schema.AppendSingleObject(b, v)
	}
	if err != nil {
		return b, fmt.Errorf("encode %T: %w", *v, err)
	}
	return out, nil
}

// Decode fills v, whose slices it may reuse. It fails on another schema's bytes, on a short body and on bytes behind the body.
func (c *Codec[T]) Decode(b []byte, v *T) error {
	if c.decode != nil && bytes.HasPrefix(b, c.header[:]) && c.decode(b[len(c.header):], v) {
		return nil
	}
	rest, err := c.schema.DecodeSingleObject(b, v)
	if err != nil {
		return fmt.Errorf("decode %T: %w", *v, err)
	}
	if len(rest) > 0 {
		return fmt.Errorf("decode %T: %d bytes behind the value", *v, len(rest))
	}
	return nil
}

// Schema is the codec's Avro schema as published.
func (c *Codec[T]) Schema() string { return c.schema.String() }

//go:embed wire/*.avsc
var wire embed.FS

// rawDecimal leaves a decimal's sixteen bytes as they are: the library's own way goes through big.Rat, half of the time of decoding a
// fact. Int128 is our decimal.
var rawDecimal = avro.CustomType{LogicalType: "decimal", AvroType: "fixed"}

// codec makes the codec of wire/FILE.avsc. The header is what the library writes in front of a zero value.
func codec[T any](file string, encode func([]byte, *T) ([]byte, error), decode func([]byte, *T) bool) *Codec[T] {
	text, err := wire.ReadFile("wire/" + file + ".avsc")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	c := &Codec[T]{schema: avro.MustParse(string(text), rawDecimal), encode: encode, decode: decode}
	zero, err := c.schema.AppendSingleObject(nil, new(T))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	copy(c.header[:], zero)
	return c
}

// reflected makes a codec that leaves everything to the library: for what is written seldom.
func reflected[T any](file string) *Codec[T] { return codec[T](file, nil, nil) }

// The topics of ours, in the order in which an event meets them. Producers' own topics (payments, transactions) carry their formats.
var (
	Events            = Topic[Event]{Name: "events", Key: "team, 0, customer", Codec: codec("event", appendEvent, decodeEvent)}
	Facts             = Topic[Fact]{Name: "facts", Key: "team, 0, customer; partition as in events", Codec: codec("fact", appendFact, nil)}
	RejectedRecords   = Topic[Rejection]{Name: "rejected", Key: "the input record's key", Codec: reflected[Rejection]("rejection")}
	Configurations    = Topic[Snapshot]{Name: "config", Key: "version, decimal text", Codec: reflected[Snapshot]("snapshot")}
	OperationRealtime = "operation-realtime" // CloudEvents; key and partition as in facts
	Payments          = "payments"           // spektr envelopes, JSON
	Transactions      = "transactions"       // flat JSON
)

// CustomerKey is the record key of an event, its facts and its results: team, 0, customer.
func CustomerKey(b []byte, team, customer string) []byte {
	b = append(b, team...)
	b = append(b, 0)
	return append(b, customer...)
}
