package operators

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/streamgauge/streamgauge/schemas"
)

// Limits of one event, whatever its format was.
const (
	MinTime       = 0                 // 1970-01-01 in ms (DESIGN, contract 6)
	MaxTime       = 7_289_654_399_999 // the last ms of 2200 (DESIGN, contract 6)
	MaxAttributes = 64                // twice the widest payload in the reference documents
	MaxText       = 1024              // bytes of a field, of an attribute's name and of its value: reference texts end at 255 characters of at most 4 bytes
	MaxID         = 256               // bytes of id and customer: the longest id in the reference documents
	MaxCountry    = 64                // bytes; a code or, where a producer has none, a name
)

// Validate checks what holds for every format: a kind that this version takes, times, amounts, and texts that keys, windows and tables can
// hold. It names every violation of an event at once, by its canonical field.
type Validate struct{}

// Name is the step's name in topology and metrics.
func (Validate) Name() string { return "validate" }

// Process rejects the items whose events are out of range; it never fails.
func (Validate) Process(_ context.Context, b *Batch) error {
	var f faults
	for _, it := range b.Items {
		if it.Rejected {
			continue
		}
		validate(&it.Event, &f)
		if f.any() {
			it.Reject(f.reason, f.detail())
			f.reset()
		}
	}
	return nil
}

func validate(e *schemas.Event, f *faults) {
	if e.Kind != schemas.KindPayment && e.Kind != schemas.KindTransaction { // producers give no control records, and no state changes yet
		f.add(ReasonUnsupportedKind, "kind", "%s is not taken from producers in this version; send %s or %s",
			e.Kind, schemas.KindPayment, schemas.KindTransaction)
	}
	if e.Time < MinTime || e.Time > MaxTime {
		f.add(ReasonImplausibleTime, "time", "%d ms is outside 1970 to 2200", e.Time)
	}
	if !e.HasAmount {
		f.add(ReasonMissing, "amount", "missing")
	}
	if e.Amount > schemas.MaxAmount || e.Amount < -schemas.MaxAmount {
		f.add(ReasonAmountRange, "amount", "|amount| must be at most %s, got %s",
			schemas.FormatAmount(schemas.MaxAmount), schemas.FormatAmount(e.Amount))
	}
	validateTexts(e, f)
}

func validateTexts(e *schemas.Event, f *faults) {
	for _, id := range [...]struct{ name, text string }{{"id", e.ID}, {"customer", e.Customer}} {
		if id.text == "" {
			f.add(ReasonMissing, id.name, "missing")
		}
		checkText(f, "", id.name, id.text, MaxID)
	}
	for field := schemas.FieldCurrency; field < schemas.NumFields; field++ {
		limit := MaxText
		if field == schemas.FieldCountry {
			limit = MaxCountry
		}
		if text, ok := e.Text(field); ok {
			checkText(f, "", field.String(), text, limit)
		}
	}
	if len(e.Attributes) > MaxAttributes {
		f.add(ReasonTooManyFields, "", "%d attributes, at most %d", len(e.Attributes), MaxAttributes)
		return
	}
	for i := range e.Attributes {
		a := &e.Attributes[i]
		checkText(f, "name of ", AttributePrefix+a.Name, a.Name, MaxText)
		checkText(f, "", AttributePrefix+a.Name, a.Value, MaxText)
	}
}

// checkText notes a text that is too long or that ClickHouse, keys or people cannot take.
func checkText(f *faults, what, name, text string, limit int) {
	bad := ""
	switch {
	case len(text) > limit:
		f.add(ReasonTooLong, what+shownKey(name), "%d bytes, at most %d", len(text), limit)
		return
	case strings.IndexByte(text, 0) >= 0:
		bad = "holds U+0000, which ends a part of a record key"
	case !utf8.ValidString(text):
		bad = "is not UTF-8"
	default:
		return
	}
	f.add(ReasonInvalidText, what+shownKey(name), "%s: %s", shown(text), bad)
}
