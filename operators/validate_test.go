package operators

import (
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

func TestValidate_EveryRangeHoldsWhateverTheFormatWas(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(e *schemas.Event)
		reason string
		says   string
	}{
		{"nothing", func(*schemas.Event) {}, "", ""},
		{"no kind", func(e *schemas.Event) { e.Kind = 0 }, ReasonUnsupportedKind, "invalid is not taken"},
		{"record", func(e *schemas.Event) { e.Kind = schemas.KindRecord }, ReasonUnsupportedKind, "record is not taken"},
		{"control", func(e *schemas.Event) { e.Kind = schemas.KindControl }, ReasonUnsupportedKind, "control is not taken"},
		{"before 1970", func(e *schemas.Event) { e.Time = -1 }, ReasonImplausibleTime, "-1 ms"},
		{"1970", func(e *schemas.Event) { e.Time = 0 }, "", ""},
		{"last ms of 2200", func(e *schemas.Event) { e.Time = MaxTime }, "", ""},
		{"2201", func(e *schemas.Event) { e.Time = MaxTime + 1 }, ReasonImplausibleTime, "7289654400000 ms"},
		{"no amount", func(e *schemas.Event) { e.HasAmount = false }, ReasonMissing, "amount"},
		{"largest amount", func(e *schemas.Event) { e.Amount = -schemas.MaxAmount }, "", ""},
		{"beyond it", func(e *schemas.Event) { e.Amount = schemas.MaxAmount + 1 }, ReasonAmountRange, "got 1000000000000"},
		{"below it", func(e *schemas.Event) { e.Amount = -schemas.MaxAmount - 1 }, ReasonAmountRange, "got -1000000000000"},
		{"no id", func(e *schemas.Event) { e.ID = "" }, ReasonMissing, "id"},
		{"no customer", func(e *schemas.Event) { e.Customer = "" }, ReasonMissing, "customer"},
		{"NUL in customer", func(e *schemas.Event) { e.Customer = "a\x00b" }, ReasonInvalidText, `"a\x00b"`},
		{"long type", func(e *schemas.Event) { e.SetText(schemas.FieldType, strings.Repeat("x", MaxText+1)) }, ReasonTooLong, "type: 1025 bytes"},
		{"no UTF-8", func(e *schemas.Event) { e.SetText(schemas.FieldChannel, "\xff") }, ReasonInvalidText, "channel"},
		{"attributes", func(e *schemas.Event) { e.Attributes = make([]schemas.Attribute, MaxAttributes+1) }, ReasonTooManyFields, "65 attributes"},
		{"attribute", func(e *schemas.Event) { e.Attributes = []schemas.Attribute{{Name: "a", Value: "\x00"}} }, ReasonInvalidText, "attr.a"},
		{"two at once", func(e *schemas.Event) { e.Time, e.ID = -1, "" }, ReasonImplausibleTime, "; id: missing"},
	} {
		it := &Item{Event: schemas.Event{Kind: schemas.KindPayment, ID: "i", Customer: "c", Time: 1, Amount: 1, HasAmount: true}}
		c.change(&it.Event)
		if err := (Validate{}).Process(t.Context(), &Batch{Items: []*Item{it}}); err != nil {
			t.Fatal(err)
		}
		if it.Rejected != (c.reason != "") || it.Reason != c.reason || !strings.Contains(it.Detail, c.says) {
			t.Errorf("%s: got %q %q, want %q with %q", c.name, it.Reason, it.Detail, c.reason, c.says)
		}
	}
}

func TestValidate_OneItemsFaultsAreNotTheNextOnes(t *testing.T) {
	good := schemas.Event{Kind: schemas.KindTransaction, ID: "i", Customer: "c", HasAmount: true}
	bad := good
	bad.ID = ""
	b := &Batch{Items: []*Item{{Event: bad}, {Event: good}, {Event: bad}}}
	if err := (Validate{}).Process(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if b.Items[1].Rejected || b.Items[2].Detail != b.Items[0].Detail {
		t.Errorf("got %q, %q, %q", b.Items[0].Detail, b.Items[1].Detail, b.Items[2].Detail)
	}
}

func TestFaults_ADetailStaysShortAndSaysHowManyAreLeft(t *testing.T) {
	var f faults
	for range 1000 {
		f.add(ReasonUnknownField, shownKey(strings.Repeat("k", 500)), "unknown field")
	}
	if d := f.detail(); len(d) > maxDetail+100 || !strings.HasSuffix(d, " more") {
		t.Errorf("%d bytes, ends in %q", len(d), d[len(d)-20:])
	}
}
