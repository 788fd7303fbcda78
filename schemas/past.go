package schemas

// Past is what windows retain of a payment or transaction, and what the filters and scans of rules read: the time, the amount in the
// base currency, the kind, and of the text fields and attributes those that the configuration asks for (rule.Plan.Columns).
type Past struct {
	Time      int64 // event time, ms since 1970 UTC
	Amount    int64 // 10⁻⁶ of the base currency; meaningless without HasAmount
	HasAmount bool  // false: no amount, or no rate to the base currency
	Counted   bool  // its state counts
	Kind      Kind
	Present   int32             // bit f set: Text[f] is given; other than in an Event, the bit of FieldDirection is set too
	Text      [NumFields]string // by Field; shares the event's strings

	Attributes []Attribute // ascending by name; shares the event's
}

// Of fills p from e and the amount in the base currency. It keeps e's strings and its attributes, not e; what the caller has set in
// Counted stays.
func (p *Past) Of(e *Event, base int64, hasBase bool) {
	p.Time, p.Kind, p.Amount, p.HasAmount, p.Present = e.Time, e.Kind, base, hasBase, 0
	p.Attributes = e.Attributes
	for f := range NumFields {
		v, ok := e.Text(f)
		if p.Text[f] = v; ok {
			p.Present |= 1 << f
		}
	}
}

// Get returns the field's value and whether it is given.
func (p *Past) Get(f Field) (string, bool) { return p.Text[f], p.Present&(1<<f) != 0 }

// Attr returns the attribute's value and whether it is given.
func (p *Past) Attr(name string) (string, bool) { return attribute(p.Attributes, name) }

// Set gives a text field a value.
func (p *Past) Set(f Field, v string) {
	p.Text[f] = v
	p.Present |= 1 << f
}
