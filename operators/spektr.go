package operators

import (
	"github.com/go-faster/jx"

	"github.com/streamgauge/streamgauge/schemas"
)

// The envelope types of the reference document.
const (
	spektrPayment = "paymentMade"
	spektrRecord  = "recordUpdated"
)

// earliestSpektr is 2001-01-01 in ms: a smaller createdAt is taken for seconds (the decision on vector V4).
const earliestSpektr = 978_307_200_000

// Keys of the envelope and its objects, in the order in which violations are listed.
var (
	spektrEnvelope = []string{"type", "workspaceId", "spektrId", "createdAt", "source", "customerData", "eventData"}
	spektrCustomer = []string{"internalId"}
	spektrEvent    = []string{"transaction_id", "type", "amount", "currency", "counterparty", "country", "channel"}

	spektrEnvelopePlace = places(spektrEnvelope)
	spektrCustomerPlace = places(spektrCustomer)
	spektrEventPlace    = places(spektrEvent)
)

// decodeSpektr reads the spektr envelope of a paymentMade event. The schema is adhered to strictly: an unknown key, a missing one, a wrong
// type and a wrong enumeration value are all violations, and null is a wrong type.
func decodeSpektr(p *parsed, value []byte) {
	if !p.parse(value) {
		return
	}
	var at [7]*member
	p.pick(0, spektrEnvelopePlace, at[:])
	kind, ok := p.text(at[0], "type", required)
	switch {
	case !ok || kind == spektrPayment:
	case kind == spektrRecord:
		p.faults.add(ReasonUnsupportedKind, "type", "%s comes with profiles, in a later version; send %s", spektrRecord, spektrPayment)
		return
	default:
		p.faults.add(ReasonUnknownType, "type", "expected %s or %s, got %s", spektrPayment, spektrRecord, shown(kind))
		return
	}
	e := p.event
	e.Kind = schemas.KindPayment
	p.nonEmpty(at[1], "workspaceId")
	p.spektrCustomer(at[2], at[5])
	e.Time = p.spektrTime(at[3])
	if source, ok := p.text(at[4], "source", optional); ok {
		e.Attributes = append(e.Attributes, schemas.Attribute{Name: "source", Value: source})
	}
	if data, ok := p.objectOf(at[6], "eventData", required); ok {
		p.spektrPayment(data)
	}
	p.unknown(0, "")
}

// spektrCustomer takes spektrId, and customerData.internalId in its place where it is absent or empty.
func (p *parsed) spektrCustomer(id, data *member) {
	var internal [1]*member
	if object, ok := p.objectOf(data, "customerData", optional); ok {
		p.pick(object, spektrCustomerPlace, internal[:])
		p.unknown(object, "customerData.")
	}
	spektr, okSpektr := p.text(id, "spektrId", optional)
	other, okOther := p.text(internal[0], "customerData.internalId", optional)
	switch {
	case spektr != "":
		p.event.Customer = spektr
	case other != "":
		p.event.Customer = other
	case (okSpektr || id == nil) && (okOther || internal[0] == nil):
		p.faults.add(ReasonMissing, "spektrId", "missing or empty; send spektrId or customerData.internalId")
	}
}

func (p *parsed) spektrTime(m *member) int64 {
	switch {
	case m == nil:
		p.faults.add(ReasonMissing, "createdAt", "missing, expected integer Unix ms, the time of the payment")
	case m.kind != jx.Number:
		p.wrongType(m, "createdAt", "integer Unix ms")
	default:
		before := p.faults.count
		ms := p.unixMilli(m, "createdAt")
		if ms >= earliestSpektr || p.faults.count > before {
			return ms
		}
		hint := ""
		if ms >= earliestSpektr/1000 && ms <= MaxTime/1000 {
			hint = "; it looks like seconds, send milliseconds"
		}
		p.faults.add(ReasonImplausibleTime, "createdAt", "%d ms is before 2001%s", ms, hint)
	}
	return 0
}

// spektrPayment reads eventData, whose members belong to the object.
func (p *parsed) spektrPayment(object int) {
	var at [7]*member
	p.pick(object, spektrEventPlace, at[:])
	p.event.ID = p.nonEmpty(at[0], "eventData.transaction_id")
	if side, ok := p.text(at[1], "eventData.type", required); ok {
		switch side {
		case "deposit":
			p.event.Side = schemas.SideIn
		case "withdrawal":
			p.event.Side = schemas.SideOut
		default:
			p.faults.add(ReasonWrongValue, "eventData.type", "expected deposit or withdrawal, got %s", shown(side))
		}
	}
	p.amount(at[2], "eventData.amount", false)
	p.currency(at[3], "eventData.currency", required)
	p.field(at[4], "eventData.counterparty", schemas.FieldCounterparty)
	p.country(at[5], "eventData.country")
	p.field(at[6], "eventData.channel", schemas.FieldChannel)
	p.unknown(object, "eventData.")
}

// nonEmpty reads a required string that must not be empty.
func (p *parsed) nonEmpty(m *member, path string) string {
	text, ok := p.text(m, path, required)
	if ok && text == "" {
		p.faults.add(ReasonMissing, path, "empty")
	}
	return text
}
