package schemas

// Past is what windows retain of a payment or transaction, and what the filters of rules read: the time, the amount in the base
// currency, the kind and the text fields, never the attributes.
type Past struct {
	Time      int64 // event time, ms since 1970 UTC
	Amount    int64 // 10⁻⁶ of the base currency; meaningless without HasAmount
	HasAmount bool  // false: no amount, or no rate to the base currency
	Counted   bool  // its state counts
	Kind      Kind
	Present   int32             // bit f set: Text[f] is given; other than in an Event, the bit of FieldDirection is set too
	Text      [NumFields]string // by Field; shares the event's strings
}

// Of fills p from e and the amount in the base currency. It keeps e's strings, not e.
func (p *Past) Of(e *Event, base int64, hasBase bool) {
	p.Time, p.Kind, p.Amount, p.HasAmount, p.Present = e.Time, e.Kind, base, hasBase, 0
	for f := range NumFields {
		v, ok := e.Text(f)
		if p.Text[f] = v; ok {
			p.Present |= 1 << f
		}
	}
}

// Get returns the field's value and whether it is given.
func (p *Past) Get(f Field) (string, bool) { return p.Text[f], p.Present&(1<<f) != 0 }

// Set gives a text field a value.
func (p *Past) Set(f Field, v string) {
	p.Text[f] = v
	p.Present |= 1 << f
}
