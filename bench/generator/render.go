package generator

import (
	"strconv"

	"github.com/streamgauge/streamgauge/schemas"
)

// idText is the producer's id of a record.
func idText(d *draft, flat bool) string {
	if flat {
		return numbered('t', 9, d.id)
	}
	return numbered('p', 9, d.id)
}

// render appends the record's value in its customer's format.
func (g *Generator) render(b []byte, d *draft) []byte {
	a := &g.accounts.list[d.account]
	if a.flat {
		return g.renderFlat(b, d, a)
	}
	return renderEnvelope(b, d, a)
}

// renderEnvelope appends a payment as one spektr event (design/conformance.md 2.1.10).
func renderEnvelope(b []byte, d *draft, a *account) []byte {
	b = append(b, `{"workspaceId":"retail","spektrId":"`...)
	b = append(b, a.name(d.account)...)
	b = append(b, `","createdAt":`...)
	b = strconv.AppendInt(b, d.time, 10)
	b = append(b, `,"source":"core-banking","type":"paymentMade","eventData":{"transaction_id":"`...)
	b = append(b, idText(d, false)...)
	if d.out {
		b = append(b, `","type":"withdrawal","amount":`...)
	} else {
		b = append(b, `","type":"deposit","amount":`...)
	}
	b = appendCents(b, d.cents)
	b = appendText(b, "currency", d.currency)
	b = appendText(b, "counterparty", d.counterparty)
	b = appendText(b, "country", d.country)
	b = appendText(b, "channel", d.channel)
	return append(b, "}}"...)
}

// renderFlat appends a transaction as one flat object. A plain customer's records leave the base currency out.
func (g *Generator) renderFlat(b []byte, d *draft, a *account) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, idText(d, true)...)
	b = append(b, `","time":"`...)
	b = schemas.AppendTime(b, d.time)
	b = append(b, `","customer":"`...)
	b = append(b, a.name(d.account)...)
	b = append(b, `","amount":`...)
	b = appendCents(b, d.cents)
	if d.out {
		b = append(b, `,"direction":"OUT"`...)
	} else {
		b = append(b, `,"direction":"IN"`...)
	}
	if !a.plain || d.currency != g.cfg.Currency {
		b = appendText(b, "currency", d.currency)
	}
	b = appendText(b, "counterparty", d.counterparty)
	b = appendText(b, "channel", d.channel)
	b = appendText(b, "country", d.country)
	b = appendText(b, "status", d.status)
	b = appendText(b, "type", d.kind)
	return append(b, '}')
}

// appendText appends a key that has a value; all texts of the generator are plain ASCII.
func appendText(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, key...)
	b = append(b, `":"`...)
	b = append(b, value...)
	return append(b, '"')
}

// appendCents appends an amount with two decimals.
func appendCents(b []byte, cents int64) []byte {
	b = strconv.AppendInt(b, cents/100, 10)
	return append(b, '.', byte('0'+cents/10%10), byte('0'+cents%10))
}

// poison makes bytes that no decoder may take for an event.
func (s *disorder) poison(d *draft) []byte {
	r, value := s.spoiler, s.g.render(nil, d)
	switch r.below(8) {
	case 0: // cut off in the middle
		return value[:r.between(1, int64(len(value)))]
	case 1:
		return []byte{}
	case 2:
		return []byte("null")
	case 3: // no text at all
		b := make([]byte, r.between(1, 64))
		for i := range b {
			b[i] = byte(r.below(128)) | 0x80
		}
		return b
	case 4: // something behind the value
		return append(value, value...)
	case 5: // deep nesting
		b := make([]byte, r.between(1_000, 20_000))
		for i := range b {
			b[i] = '['
		}
		return b
	case 6: // text where a number is due, and nothing else
		return []byte(`{"id":7,"time":"yesterday","customer":null,"amount":"12,5"}`)
	default: // the envelope of an unknown event type, without a payment
		return []byte(`{"workspaceId":"retail","spektrId":"C1","createdAt":"2018-04-01","type":"foo","eventData":[]}`)
	}
}
