package schemas

// Field names an optional text field of a payment or transaction: what rules filter and count by, and what windows retain of a past event.
type Field uint8

const (
	FieldDirection    Field = iota // OUT or IN; absent for Side NONE
	FieldCurrency                  // ISO 4217 code, as sent; absent means the base currency
	FieldCounterparty              // the other party's id, opaque; never looked up as a customer
	FieldChannel                   // online, branch, pos, …; the producer's words
	FieldCountry                   // ISO 3166-1 alpha-2 of the counterparty or place, as sent
	FieldState                     // CREATED, DECLINED, …; upper case
	FieldType                      // TRANSFER, CASH_OUT, …; the producer's words
	NumFields
)

// Fields lists the fields' names by value, as rules and files write them.
var Fields = [NumFields]string{"direction", "currency", "counterparty", "channel", "country", "state", "type"}

func (f Field) String() string { return Fields[f] }

// Text returns the field's value and whether the producer gave it. An empty text that was given is a value.
func (e *Event) Text(f Field) (string, bool) {
	switch f {
	case FieldDirection:
		if e.Side == SideNone {
			return "", false
		}
		return e.Side.String(), true
	case FieldCurrency:
		return e.Currency, e.Has(f)
	case FieldCounterparty:
		return e.Counterparty, e.Has(f)
	case FieldChannel:
		return e.Channel, e.Has(f)
	case FieldCountry:
		return e.Country, e.Has(f)
	case FieldState:
		return e.State, e.Has(f)
	case FieldType:
		return e.Type, e.Has(f)
	}
	return "", false
}

// SetText sets the field and marks it as given. Direction is set through Side.
func (e *Event) SetText(f Field, v string) {
	switch f {
	case FieldCurrency:
		e.Currency = v
	case FieldCounterparty:
		e.Counterparty = v
	case FieldChannel:
		e.Channel = v
	case FieldCountry:
		e.Country = v
	case FieldState:
		e.State = v
	case FieldType:
		e.Type = v
	default:
		panic("BUG: SetText of " + f.String())
	}
	e.Present |= 1 << f
}

// Has reports whether the producer gave the field (see Event.Present).
func (e *Event) Has(f Field) bool { return e.Present&(1<<f) != 0 }
