package schemas

// Event is one canonical input for one own customer: the value of topic events, and the part of a Fact that says what happened.
type Event struct {
	Kind         Kind   `avro:"kind"`
	Organisation string `avro:"organisation"` // tenant; from the configuration file
	Team         string `avro:"team"`         // owner of the customer, its windows and rules; from the source
	Source       string `avro:"source"`       // the producer's format and mapping; one per input topic
	Customer     string `avro:"customer"`     // own customer's id inside the team, opaque bytes; empty for control records
	ID           string `avro:"id"`           // the producer's id of the payment or transaction
	Side         Side   `avro:"side"`
	Time         int64  `avro:"time"` // event time, ms since 1970 UTC, 1970 to 2200; from the payload

	Amount       int64       `avro:"amount"`     // 10⁻⁶ of Currency, any sign; from the payload's text, exact
	HasAmount    bool        `avro:"has_amount"` // false: no data
	Present      int32       `avro:"present"`    // bit f set: the producer gave Field f
	Currency     string      `avro:"currency"`
	Counterparty string      `avro:"counterparty"`
	Channel      string      `avro:"channel"`
	Country      string      `avro:"country"`
	State        string      `avro:"state"`
	Type         string      `avro:"type"`
	Attributes   []Attribute `avro:"attributes"` // the producer's other fields, ascending by name

	Flags  []string `avro:"flags"` // what intake did to the input: rounded
	Origin Origin   `avro:"origin"`

	Control Control `avro:"control"` // only for kind control
}

// Attribute is a field of the producer that has no canonical place, as text.
type Attribute struct {
	Name  string `avro:"name"`
	Value string `avro:"value"`
}

// Attr returns the attribute's value and whether the producer gave it.
func (e *Event) Attr(name string) (string, bool) { return attribute(e.Attributes, name) }

// attribute looks name up in all, which are ascending by name.
func attribute(all []Attribute, name string) (string, bool) {
	i, j := 0, len(all)
	for i < j {
		if h := int(uint(i+j) >> 1); all[h].Name < name {
			i = h + 1
		} else {
			j = h
		}
	}
	if i == len(all) || all[i].Name != name {
		return "", false
	}
	return all[i].Value, true
}

// Origin is the place of the input record that an event was made from: the same origin twice is a redelivery, not a producer's duplicate.
type Origin struct {
	Topic     string `avro:"topic"`
	Partition int32  `avro:"partition"`
	Offset    int64  `avro:"offset"`
}

// Control says which configuration begins at this place of the log.
type Control struct {
	Version int32  `avro:"version"` // from 1, ascending; the key of topic config
	Digest  string `avro:"digest"`  // hex SHA-256 of the snapshot's bytes
}

// Reset empties e for reuse and keeps the slices' memory.
func (e *Event) Reset() {
	attrs, flags := e.Attributes[:0], e.Flags[:0]
	*e = Event{Attributes: attrs, Flags: flags}
}

// FlagRounded marks an amount that came with more than six decimals and was rounded half-even.
const FlagRounded = "rounded"
