package schemas

import (
	"embed"
	"fmt"

	"github.com/twmb/avro"
)

// Topic is a Kafka topic and the one type on it.
type Topic[T any] struct {
	Name  string
	Key   string // what the record key is; it decides the partition
	Codec Codec[T]
}

// Codec turns a value into a record's bytes and back: Avro single-object encoding (C3 01, CRC-64 fingerprint, body) by an embedded
// schema, so that no stage needs a registry.
type Codec[T any] struct{ schema *avro.Schema }

// Append appends v's encoding to b. It fails only on a value that the schema cannot hold, which is our bug.
func (c Codec[T]) Append(b []byte, v *T) ([]byte, error) {
	b, err := c.schema.AppendSingleObject(b, v)
	if err != nil {
		return b, fmt.Errorf("encode %T: %w", *v, err)
	}
	return b, nil
}

// Decode fills v, whose slices it may reuse. It fails on another schema's bytes, on a short body and on bytes behind the body.
func (c Codec[T]) Decode(b []byte, v *T) error {
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
func (c Codec[T]) Schema() string { return c.schema.String() }

//go:embed wire/*.avsc
var wire embed.FS

// rawDecimal leaves a decimal's sixteen bytes as they are: the library's own way goes through big.Rat, half of the time of decoding a
// fact. Int128 is our decimal.
var rawDecimal = avro.CustomType{LogicalType: "decimal", AvroType: "fixed"}

func codec[T any](file string) Codec[T] {
	text, err := wire.ReadFile("wire/" + file + ".avsc")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return Codec[T]{avro.MustParse(string(text), rawDecimal)}
}

// The topics of ours, in the order in which an event meets them. Producers' own topics (payments, transactions) carry their formats.
var (
	Events            = Topic[Event]{Name: "events", Key: "team, 0, customer", Codec: codec[Event]("event")}
	Facts             = Topic[Fact]{Name: "facts", Key: "team, 0, customer; partition as in events", Codec: codec[Fact]("fact")}
	RejectedRecords   = Topic[Rejection]{Name: "rejected", Key: "the input record's key", Codec: codec[Rejection]("rejection")}
	Configurations    = Topic[Snapshot]{Name: "config", Key: "version, decimal text", Codec: codec[Snapshot]("snapshot")}
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
