package rule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

func TestFilter_MatchesThePastEventAndUnknownDoesNot(t *testing.T) {
	var p schemas.Past
	e := schemas.Event{Kind: schemas.KindTransaction, Side: schemas.SideIn, Time: 5}
	e.SetText(schemas.FieldCountry, "DE")
	p.Of(&e, 1_500_000, true)
	for _, c := range []struct {
		filter    string
		want      bool
		uncounted bool
	}{
		{"amount >= 1.5", true, false},
		{"amount > 1.5", false, false},
		{"amount * 2 == 3", true, false},
		{"direction == 'IN' && kind == 'transaction'", true, false},
		{"country in ['DE']", true, false},
		{"channel == 'x'", false, false},
		{"channel != 'x'", false, false},
		{"!(channel == 'x')", false, false},
		{"channel != 'x' || amount > 1", true, false},
		{"!has(channel) && has(country) && has(amount)", true, false},
		{"1 / (size(country) - 2) > 0", false, false},
		{"1 / (size(country) - 2) > 0 || country == 'DE'", true, false},
		{"state != 'DECLINED'", false, true},
		{"!has(state)", true, true},
		{"state in ['DECLINED'] || true == (amount > 1)", true, true},
	} {
		s := compile(t, condition("count('1h', "+c.filter+") > 0"))
		f := &s.Plan.Filters[0]
		if f.Match(&p) != c.want || f.Uncounted != c.uncounted {
			t.Errorf("%s: match %v, uncounted %v", c.filter, f.Match(&p), f.Uncounted)
		}
	}
}

func TestPlan_EqualFiltersAndAggregatesShareASlot(t *testing.T) {
	s := compile(t, `
features:
- {name: n, expr: "count('1d', (direction == 'OUT'))"}
- {name: m, expr: "count('24h', direction=='OUT') + count('1440m', 'OUT' == direction)"}
---
id: A
level: LOW
params: {w: 24h, dir: OUT, t: 10000, m: 0.1}
when: count(params.w, direction == params.dir) > 1 && sum(params.w, amount, amount >= params.t * (1.0 - params.m)) > 5
---
id: B
level: LOW
when: sum('1d', amount, amount >= 9000.00) > 5 && prior.sum('1d', amount, amount >= 9000) > 5 && distinct('3d', country, state == 'DECLINED') > 2 && since(true) > duration('1000d')
---
id: C
level: LOW
mode: off
when: count('365d', channel == 'x') > 1
`)
	got := ""
	for _, a := range s.Plan.Aggregates {
		got += fmt.Sprintf("%s filter %d\n", a.Text, a.Filter)
	}
	for _, f := range s.Plan.Filters {
		got += fmt.Sprintf("%s %v\n", f.Text, f.Uncounted)
	}
	got += fmt.Sprintf("%v %s %s", s.Plan.Columns, formatDuration(s.Plan.Longest), formatDuration(s.Plan.Retention))
	want := strings.TrimPrefix(`
count('24h', direction == 'OUT') filter 0
count('24h', 'OUT' == direction) filter 1
sum('24h', amount, amount >= 9000) filter 2
prior.sum('24h', amount, amount >= 9000) filter 2
distinct('72h', country, state == 'DECLINED') filter 3
since(true) filter -1
direction == 'OUT' false
'OUT' == direction false
amount >= 9000 false
state == 'DECLINED' true
[country state] 72h 4d`, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if slots := fmt.Sprint(s.Rules[0].Slots, s.Rules[1].Slots, s.Rules[2].Slots); slots != "[0 2] [2 3 4 5] []" {
		t.Errorf("slots %s", slots)
	}
}

func BenchmarkFilter_Match(b *testing.B) {
	s := compile(b, condition("count('1h', amount >= 9000 && amount < 10000 && direction == 'OUT') > 3"))
	p := &schemas.Past{Amount: 9500 * schemas.Micro, HasAmount: true}
	p.Set(schemas.FieldDirection, "OUT")
	b.ReportAllocs()
	for b.Loop() {
		if !s.Plan.Filters[0].Match(p) {
			b.Fatal("no match")
		}
	}
}
