package rule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// past is an event as windows retain it; fields are name=value, attr.<name>=value, amount=, kind=transaction.
func past(t testing.TB, fields ...string) *schemas.Past {
	t.Helper()
	p := &schemas.Past{Kind: schemas.KindPayment, Counted: true}
	for _, s := range fields {
		name, v, _ := strings.Cut(s, "=")
		switch a, isAttr := strings.CutPrefix(name, "attr."); {
		case isAttr:
			p.Attributes = append(p.Attributes, schemas.Attribute{Name: a, Value: v}) // tests give them ascending
		case name == "amount":
			p.Amount, _ = money(t, v).Int64()
			p.HasAmount = true
		case name == "kind":
			p.Kind = schemas.KindTransaction
		default:
			p.Set(fieldOf(name), v)
		}
	}
	return p
}

// meets is what the windows do with an aggregate: the filter's class bit, then the chain of equal values, then the scan.
func (a *Aggregate) meets(p *Plan, past, this *schemas.Past) bool {
	if a.Filter == NoFilter && !past.Counted {
		return false
	}
	if a.Filter != NoFilter {
		if f := &p.Filters[a.Filter]; !(past.Counted || f.Uncounted) || !f.Match(past) {
			return false
		}
	}
	for _, c := range a.Equal {
		v, ok := c.Of(past)
		w, also := c.Of(this)
		if !ok || !also || v != w {
			return false
		}
	}
	return a.Scan == NoScan || p.Scans[a.Scan].Match(past, this)
}

func TestCondition_IsSplitByWhatItReads(t *testing.T) {
	for _, c := range []struct{ cond, filter, equal, scan, columns string }{
		{"direction == 'OUT'", "direction == 'OUT'", "[]", "", "[]"},
		{"true", "", "[]", "", "[]"},
		{"true && amount > 1", "amount > 1", "[]", "", "[]"},
		{"counterparty == this.counterparty", "", "[counterparty]", "", "[counterparty]"},
		{"this.attr.b == attr['b'] && attr.a == this.attr.a", "", "[attr.a attr.b]", "", "[attr.a attr.b]"},
		{"counterparty == this.counterparty && this.counterparty == counterparty", "", "[counterparty]", "", "[counterparty]"},
		{"direction == this.direction", "", "[direction]", "", "[direction]"},
		{"direction == 'OUT' && counterparty == this.counterparty && amount >= this.amount * 0.9 && channel == 'web' && amount <= this.amount",
			"direction == 'OUT' && channel == 'web'", "[counterparty]", "amount >= this.amount * 0.9 && amount <= this.amount", "[counterparty channel]"},
		{"country != this.country", "", "[]", "country != this.country", "[country]"},
		{"country == this.attr.country", "", "[]", "country == this.attr.country", "[country attr.country]"},
		{"kind == this.kind && amount == this.amount", "", "[]", "kind == this.kind && amount == this.amount", "[]"},
		{"has(attr.x) == has(this.attr.x)", "", "[]", "has(attr.x) == has(this.attr.x)", "[attr.x]"},
		{"country == this.country || channel == this.channel", "", "[]", "country == this.country || channel == this.channel", "[channel country]"},
		{"(country == 'DE' || channel == 'x') && type == this.type", "country == 'DE' || channel == 'x'", "[type]", "", "[channel country type]"},
		{"(country == 'DE' || channel == 'x') && type == 'y' && type != this.type", "(country == 'DE' || channel == 'x') && type == 'y'", "[]", "type != this.type", "[channel country type]"},
		{"!(country == this.country)", "", "[]", "!(country == this.country)", "[country]"},
		{"this.country == 'DE'", "", "[]", "this.country == 'DE'", "[country]"},
		{"has(this.country) && has(this.amount)", "", "[]", "has(this.country) && has(this.amount)", "[country]"},
		// The state in any part: uncounted events are seen, so there is a filter that lets them through.
		{"state == 'DECLINED' && country == this.country", "all: state == 'DECLINED'", "[country]", "", "[country state]"},
		{"state == this.state", "all: true", "[state]", "", "[state]"},
		{"amount > 1 && state != this.state", "all: amount > 1", "[]", "state != this.state", "[state]"},
		{"amount > 1 && has(state) == has(this.state)", "all: amount > 1", "[]", "has(state) == has(this.state)", "[state]"},
		{"amount > 1 && this.state == 'SENT'", "amount > 1", "[]", "this.state == 'SENT'", "[state]"},
	} {
		s := compile(t, condition("count('1h', "+c.cond+") > 0"))
		a := s.Plan.Aggregates[0]
		filter, scan := "", ""
		if a.Filter != NoFilter {
			filter = strings.TrimPrefix(s.Plan.Filters[a.Filter].key(), "counted: ")
		}
		if a.Scan != NoScan {
			scan = s.Plan.Scans[a.Scan].Text
		}
		if got := fmt.Sprint(a.Equal); filter != c.filter || got != c.equal || scan != c.scan || fmt.Sprint(s.Plan.Columns) != c.columns {
			t.Errorf("%s: filter %q, equal %s, scan %q, columns %v\nwant %q, %s, %q, %s", c.cond, filter, got, scan, s.Plan.Columns, c.filter, c.equal, c.scan, c.columns)
		}
	}
}

func TestScan_ComparesThePastWithTheCurrentEventAndUnknownDoesNotMatch(t *testing.T) {
	p := past(t, "amount=90", "country=DE", "channel=web", "direction=OUT", "attr.card=gold")
	this := past(t, "amount=100", "country=FR", "type=SEPA", "direction=OUT", "kind=transaction", "attr.card=gold", "attr.site=x")
	for _, c := range []struct {
		scan string
		want bool
	}{
		{"amount < this.amount", true},
		{"amount > this.amount", false},
		{"amount >= this.amount * 0.9 && amount <= this.amount * 1.1", true},
		{"this.amount - amount == 10", true},
		{"this.amount / amount > 1.1", true},
		{"country != this.country", true},
		{"this.country == 'FR' && country == 'DE' && this.country != country", true},
		{"kind != this.kind && this.kind == 'transaction'", true},
		{"this.direction == direction || false", true},
		{"this.attr.card == attr.card || false", true},
		{"this.attr['site'] == 'x'", true},
		{"has(this.attr.site) && !has(attr.site) || this.amount < 0", true},
		{"!has(this.channel) && has(this.type)", true},
		{"this.type.startsWith('SE') && size(this.country) == 2", true},
		{"this.country in ['FR', 'NL']", true},
		{"type != this.type", false},                                           // unknown of the past
		{"channel != this.channel", false},                                     // unknown of the current
		{"!(channel == this.channel)", false},                                  //
		{"channel != this.channel || amount < 91 && this.amount == 100", true}, // absorbed
		{"1 / (size(this.country) - 2) > 0", false},                            // fails
		{"1 / (size(this.country) - 2) > 0 || this.amount > 0", true},
	} {
		s := compile(t, condition("count('1h', "+c.scan+") > 0"))
		a := s.Plan.Aggregates[0]
		if got := a.meets(&s.Plan, p, this); got != c.want {
			t.Errorf("%s: %v", c.scan, got)
		}
	}
	s := compile(t, condition("count('1h', amount == this.amount) > 0"))
	if !s.Plan.Scans[0].Match(p, p) || s.Plan.Scans[0].Match(past(t), past(t)) {
		t.Error("an event compared with itself, or without an amount")
	}
}

// What stands outside a condition of a window is never of a past event, and shows in hits; what stands inside does not.
func TestCondition_ReadsOfPastEventsAreNoMeasuredValues(t *testing.T) {
	s := compile(t, condition("count('1h', attr.card == this.attr.card && amount > this.amount) > 0 && attr.card == 'gold'"))
	fact := judge(t, s, history{fields: map[string]string{"attr.card": "gold"}, values: map[string]Value{
		"count('1h', attr.card == this.attr.card && amount > this.amount)": IntValue(2)}})
	got := ""
	for _, v := range fact.Hits[0].Values {
		got += v.Name + " = " + v.Value + "; "
	}
	if want := "count('1h', attr.card == this.attr.card && amount > this.amount) = 2; attr.card = gold; "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMatch_AllocatesNothing(t *testing.T) {
	s := compile(t, condition("count('1h', attr.card == 'gold' && amount > this.amount && country != this.country && this.attr.card.startsWith('g')) > 0"))
	p, this := past(t, "amount=200", "country=DE", "attr.card=gold"), past(t, "amount=100", "country=FR", "attr.card=gold")
	a := &s.Plan.Aggregates[0]
	if !a.meets(&s.Plan, p, this) {
		t.Fatal("does not match")
	}
	if n := testing.AllocsPerRun(100, func() { a.meets(&s.Plan, p, this) }); n > 0.5 { // the garbage collector may empty the pool of couples
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkScan_Match(b *testing.B) {
	s := compile(b, condition("count('1h', amount >= this.amount * 0.9 && amount <= this.amount * 1.1) > 3"))
	p, this := past(b, "amount=95"), past(b, "amount=100")
	b.ReportAllocs()
	for b.Loop() {
		if !s.Plan.Scans[0].Match(p, this) {
			b.Fatal("no match")
		}
	}
}
