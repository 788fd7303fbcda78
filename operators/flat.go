package operators

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/go-faster/jx"

	"github.com/streamgauge/streamgauge/schemas"
)

// FlatColumns are the canonical keys of format flat, which files use as column names; id, time, customer and amount are required.
var FlatColumns = []string{
	"id", "time", "customer", "amount", "direction", "currency", "counterparty", "channel", "country", "status", "type",
}

// FlatRequired is how many of FlatColumns, from the first, a record must have.
const FlatRequired = 4

// AttributePrefix may stand before the key of an attribute in format flat, so that one can be called like a canonical key.
const AttributePrefix = "attr."

// Places in FlatColumns.
const (
	flatID = iota
	flatTime
	flatCustomer
	flatAmount
	flatDirection
	flatCurrency
	flatCounterparty
	flatChannel
	flatCountry
	flatStatus
	flatType
	numFlat
)

var flatPlace = places(FlatColumns)

// decodeFlat reads one object of scalars. null is an absent key, an empty text is a value, and a key that is not canonical is an attribute.
func decodeFlat(p *parsed, value []byte) {
	if !p.parse(value) {
		return
	}
	var at [numFlat]*member
	p.pick(0, flatPlace, at[:])
	for i, m := range at {
		if m != nil && m.kind == jx.Null {
			at[i] = nil
		}
	}
	e := p.event
	e.ID = p.identity(at[flatID], "id", required)
	e.Time = p.flatTime(at[flatTime])
	e.Customer = p.identity(at[flatCustomer], "customer", required)
	p.amount(at[flatAmount], "amount", true)
	p.direction(at[flatDirection])
	p.currency(at[flatCurrency], "currency", optional)
	if at[flatCounterparty] != nil {
		e.SetText(schemas.FieldCounterparty, p.identity(at[flatCounterparty], "counterparty", optional))
	}
	p.field(at[flatChannel], "channel", schemas.FieldChannel)
	p.country(at[flatCountry], "country")
	p.field(at[flatStatus], "status", schemas.FieldState)
	e.State = strings.ToUpper(e.State)
	p.field(at[flatType], "type", schemas.FieldType)
	e.Kind = schemas.KindPayment
	if strings.EqualFold(e.Type, schemas.KindTransaction.String()) {
		e.Kind = schemas.KindTransaction
	}
	p.attributes()
}

func (p *parsed) flatTime(m *member) int64 {
	const expected = "RFC 3339 text with offset such as 2018-04-01T00:00:31Z, or integer Unix ms"
	switch {
	case m == nil:
		p.faults.add(ReasonMissing, "time", "missing, expected %s", expected)
	case m.kind == jx.Number:
		return p.unixMilli(m, "time")
	case m.kind == jx.String:
		ms, err := parseTime(m.text)
		if err == nil {
			return ms
		}
		hint := ""
		if len(m.text) > 0 && len(bytes.Trim(m.text, "0123456789.")) == 0 {
			hint = " (a number in quotes; send it as a JSON number, in a file map time=COLUMN:unix or :unixms)"
		}
		p.faults.add(ReasonWrongValue, "time", "expected %s, got %s%s", expected, shown(m.text), hint)
	default:
		p.wrongType(m, "time", expected)
	}
	return 0
}

func (p *parsed) direction(m *member) {
	text, ok := p.text(m, "direction", optional)
	switch {
	case !ok:
	case strings.EqualFold(text, schemas.SideOut.String()):
		p.event.Side = schemas.SideOut
	case strings.EqualFold(text, schemas.SideIn.String()):
		p.event.Side = schemas.SideIn
	default:
		p.faults.add(ReasonWrongValue, "direction", "expected OUT (the customer paid) or IN (was paid), got %s", shown(text))
	}
}

// attributes takes every key that is not canonical, a scalar as text, and puts them into their canonical order, where two keys that only
// the prefix told apart meet.
func (p *parsed) attributes() {
	attrs := p.event.Attributes
	for i := range p.members {
		m := &p.members[i]
		if m.object != 0 || m.known || m.kind == jx.Null {
			continue
		}
		name := string(bytes.TrimPrefix(m.name, []byte(AttributePrefix)))
		switch {
		case name == "":
			p.faults.add(ReasonWrongValue, shownKey(m.name), "an attribute needs a name")
		case m.kind == jx.Object || m.kind == jx.Array:
			p.wrongType(m, shownKey(m.name), "string, number or boolean")
		default:
			attrs = append(attrs, schemas.Attribute{Name: name, Value: string(m.text)})
		}
	}
	slices.SortFunc(attrs, func(a, b schemas.Attribute) int { return cmp.Compare(a.Name, b.Name) })
	for i := 1; i < len(attrs); i++ {
		if attrs[i].Name == attrs[i-1].Name {
			p.faults.add(ReasonDuplicateKey, shownKey(attrs[i].Name), "given with and without the prefix %q; send it once", AttributePrefix)
		}
	}
	p.event.Attributes = attrs
}
