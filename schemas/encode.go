package schemas

import (
	"encoding/binary"
	"fmt"
)

// The encoding of an Event and of a Fact by hand: Avro's binary form by wire/event.avsc and wire/fact.avsc, field by field in the
// schemas' order. A fact is written for every event, and the library, which walks the value by reflection, took a quarter of the monitor's
// CPU for it. The library stays the decoder of facts and the judge of these bytes: differential and fuzz tests hold the two equal, and
// another test holds the schemas against the Go types, so that a new field cannot be forgotten here.

// appendEvent appends e's body. It fails on an enumeration's value that has no name, which is our bug.
func appendEvent(b []byte, e *Event) ([]byte, error) {
	if err := e.check(); err != nil {
		return b, err
	}
	return e.append(b), nil
}

// appendFact appends f's body. It fails as appendEvent does.
func appendFact(b []byte, f *Fact) ([]byte, error) {
	if err := f.check(); err != nil {
		return b, err
	}
	return f.append(b), nil
}

func (e *Event) check() error {
	if int(e.Kind) >= len(Kinds) || int(e.Side) >= len(Sides) {
		return fmt.Errorf("kind %s, side %s: not in the schema", e.Kind, e.Side)
	}
	return nil
}

func (f *Fact) check() error {
	if err := f.Event.check(); err != nil {
		return err
	}
	if int(f.Outcome) >= len(Outcomes) || int(f.Stage) >= len(Stages) || int(f.InitialLevel) >= len(Levels) || int(f.FinalLevel) >= len(Levels) {
		return fmt.Errorf("outcome %s, stage %s, levels %s and %s: not in the schema", f.Outcome, f.Stage, f.InitialLevel, f.FinalLevel)
	}
	for i := range f.Rules {
		if r := &f.Rules[i]; int(r.Verdict) >= len(Verdicts) {
			return fmt.Errorf("verdict %s of rule %s: not in the schema", r.Verdict, r.Rule)
		}
	}
	for i := range f.Hits {
		if h := &f.Hits[i]; int(h.Level) >= len(Levels) {
			return fmt.Errorf("level %s of rule %s: not in the schema", h.Level, h.Rule)
		}
	}
	return nil
}

func (e *Event) append(b []byte) []byte {
	b = appendEnum(b, uint8(e.Kind))
	b = appendText(b, e.Organisation)
	b = appendText(b, e.Team)
	b = appendText(b, e.Source)
	b = appendText(b, e.Customer)
	b = appendText(b, e.ID)
	b = appendEnum(b, uint8(e.Side))
	b = appendLong(b, e.Time)
	b = appendLong(b, e.Amount)
	b = appendBool(b, e.HasAmount)
	b = appendLong(b, int64(e.Present))
	b = appendText(b, e.Currency)
	b = appendText(b, e.Counterparty)
	b = appendText(b, e.Channel)
	b = appendText(b, e.Country)
	b = appendText(b, e.State)
	b = appendText(b, e.Type)
	b = appendAttributes(b, e.Attributes)
	b = appendCount(b, len(e.Flags))
	for _, s := range e.Flags {
		b = appendText(b, s)
	}
	b = append(b, 0)
	b = appendText(b, e.Origin.Topic)
	b = appendLong(b, int64(e.Origin.Partition))
	b = appendLong(b, e.Origin.Offset)
	b = appendLong(b, int64(e.Control.Version))
	return appendText(b, e.Control.Digest)
}

func (f *Fact) append(b []byte) []byte {
	b = appendLong(b, int64(f.Generation))
	b = appendLong(b, int64(f.Partition))
	b = appendLong(b, f.Offset)
	b = appendLong(b, int64(f.Seq))
	b = appendLong(b, f.Appended)
	b = f.Event.append(b)
	b = appendEnum(b, uint8(f.Outcome))
	b = appendText(b, f.Reason)
	b = appendText(b, f.Detail)
	b = appendBool(b, f.Late)
	b = appendLong(b, f.BaseAmount)
	b = appendBool(b, f.HasBase)
	b = appendLong(b, int64(f.Config))
	b = appendCount(b, len(f.Features))
	for i := range f.Features {
		b = appendText(b, f.Features[i].Name)
		b = append(b, f.Features[i].Value[:]...)
	}
	b = append(b, 0)
	b = appendText(b, f.Assessment)
	b = appendEnum(b, uint8(f.Stage))
	b = appendEnum(b, uint8(f.InitialLevel))
	b = appendEnum(b, uint8(f.FinalLevel))
	b = appendText(b, f.DecisionType)
	b = appendLong(b, int64(f.Score))
	b = appendCount(b, len(f.Rules))
	for i := range f.Rules {
		b = f.Rules[i].append(b)
	}
	b = append(b, 0)
	b = appendCount(b, len(f.Hits))
	for i := range f.Hits {
		b = f.Hits[i].append(b)
	}
	return append(b, 0)
}

func (r *RuleVerdict) append(b []byte) []byte {
	b = appendText(b, r.Rule)
	b = appendLong(b, int64(r.Version))
	b = appendEnum(b, uint8(r.Verdict))
	return appendText(b, r.Note)
}

func (h *HitExplained) append(b []byte) []byte {
	b = appendText(b, h.Rule)
	b = appendLong(b, int64(h.Version))
	b = appendEnum(b, uint8(h.Level))
	b = appendLong(b, int64(h.Score))
	b = appendBool(b, h.Shadow)
	b = appendBool(b, h.AtWatermark)
	b = appendText(b, h.Reason)
	return appendAttributes(b, h.Values)
}

func appendAttributes(b []byte, as []Attribute) []byte {
	b = appendCount(b, len(as))
	for i := range as {
		b = appendText(b, as[i].Name)
		b = appendText(b, as[i].Value)
	}
	return append(b, 0)
}

// appendCount begins an array's one block; an empty array has none. Behind the elements stands a zero, the end.
func appendCount(b []byte, n int) []byte {
	if n == 0 {
		return b
	}
	return appendLong(b, int64(n))
}

// appendLong appends an int or a long: zigzag, seven bits a byte.
func appendLong(b []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	if u < 0x80 {
		return append(b, byte(u))
	}
	return binary.AppendUvarint(b, u)
}

// appendText appends a string; Avro's are UTF-8 by promise, not by check.
func appendText(b []byte, s string) []byte {
	if n := len(s); n < 0x40 {
		return append(append(b, byte(n)<<1), s...)
	}
	return append(appendLong(b, int64(len(s))), s...)
}

// appendEnum appends a checked enumeration's value; none has 64, so a byte holds it.
func appendEnum(b []byte, v uint8) []byte { return append(b, v<<1) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
