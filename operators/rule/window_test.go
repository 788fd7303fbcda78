package rule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

func TestPlan_WindowsOfEveryForm(t *testing.T) {
	params := "params: {w: 72h, d: 7d, unit: month, zero: 0s}\n"
	for _, c := range []struct {
		expr  string
		want  Window
		reach string
		text  string
	}{
		{"count('24h') > 0", Window{Length: day}, "24h", "count('24h')"},
		{"count('1d') > 0", Window{Length: day}, "24h", "count('24h')"},
		{"count(delay('1d', '7d')) > 0", Window{Length: day, Delay: 7 * day}, "8d", "count(delay('24h', '7d'))"},
		{"count(delay(params.w, params.d)) > 0", Window{Length: 3 * day, Delay: 7 * day}, "10d", "count(delay('72h', '7d'))"},
		{"count(delay(params.w + duration('1h'), params.d * 2)) > 0", Window{Length: 73 * hour, Delay: 14 * day}, "17d1h", "count(delay('3d1h', '14d'))"},
		{"count(delay('1h', params.zero)) > 0", Window{Length: hour}, "1h", "count('1h')"},
		{"count('day') > 0", Window{Unit: Day}, "25h", "count('day')"},
		{"count('week') > 0", Window{Unit: Week}, "7d1h", "count('week')"},
		{"count(params.unit) > 0", Window{Unit: Month}, "31d1h", "count('month')"},
		{"count('quarter') > 0", Window{Unit: Quarter}, "92d1h", "count('quarter')"},
		{"prior.count('year') > 0", Window{Unit: Year}, "366d1h", "prior.count('year')"},
		{"daily('30d', amount).mean > 0", Window{Length: 30 * day, Unit: Daily}, "31d1h", "daily('30d', amount).mean"},
		{"daily('720h', count).days > 0", Window{Length: 30 * day, Unit: Daily}, "31d1h", "daily('30d', count).days"},
	} {
		s := compile(t, params+condition(c.expr))
		a := s.Plan.Aggregates[0]
		if got := formatDuration(s.Plan.Longest); a.Window != c.want || got != c.reach || a.Text != c.text || fmt.Sprint(s.Plan.Windows) != "["+c.want.String()+"]" {
			t.Errorf("%s: %+v reaches %s, %s; want %+v, %s, %s", c.expr, a.Window, got, a.Text, c.want, c.reach, c.text)
		}
	}
}

func TestPlan_FunctionsAndTheirKinds(t *testing.T) {
	none, money := FieldRef{}, FieldRef{Kind: Money}
	text := func(c Column) FieldRef { return FieldRef{Kind: Text, Column: c} }
	for _, c := range []struct {
		when    string // over one aggregate
		f       Func
		prior   bool
		field   FieldRef
		kind    ValueKind
		columns string
	}{
		{"count('1h') > 1", Count, false, none, Int, "[]"},
		{"prior.stddev('1h', amount) > 1", Stddev, true, money, Money, "[]"},
		{"first('1h', amount) > 1", First, false, money, Money, "[]"},
		{"prior.last('1h', counterparty) == 'x'", Last, true, text(Column{Field: schemas.FieldCounterparty}), Text, "[counterparty]"},
		{"first('1h', direction) == 'OUT'", First, false, text(Column{}), Text, "[direction]"},
		{"last('1h', attr.device).startsWith('a')", Last, false, text(Column{Attr: "device"}), Text, "[attr.device]"},
		{"prior.last('1h', attr['a b']) != country", Last, true, text(Column{Attr: "a b"}), Text, "[attr['a b']]"},
		{"distinct('1h', attr.device, attr.os == 'x') > 1", Distinct, false, text(Column{Attr: "device"}), Int, "[attr.device attr.os]"},
		{"daily('30d', amount).mean > 1", DailyMean, false, money, Money, "[]"},
		{"daily('30d', count).stddev > 1.5", DailyStddev, false, none, Money, "[]"},
		{"daily('30d', amount, country == 'DE').max > 1", DailyMax, false, money, Money, "[country]"},
		{"daily('30d', count, country == this.country).days > 1", DailyDays, false, none, Int, "[country]"},
		{"since(counterparty == this.counterparty && amount > this.amount) > duration('1h')", Since, false, none, Duration, "[counterparty]"},
	} {
		s := compile(t, condition(c.when))
		a := s.Plan.Aggregates[0]
		if len(s.Plan.Aggregates) != 1 || a.Func != c.f || a.Prior != c.prior || a.Field != c.field || a.Kind() != c.kind || fmt.Sprint(s.Plan.Columns) != c.columns {
			t.Errorf("%s: %+v of kind %v, columns %v", c.when, a, a.Kind(), s.Plan.Columns)
		}
	}
}

// What a rule and a feature ask for in different words is measured once, and a rule's slots are all that it depends on.
func TestPlan_PartsAreSharedAndSlotsReachThroughFeatures(t *testing.T) {
	s := compile(t, `
features:
- {name: third, expr: "feature.second * 2 + count('3h')"}
- {name: first, expr: "count('1h')"}
- {name: second, expr: "feature.first + count('2h', amount > this.amount)"}
---
id: A
level: LOW
when: feature.third > 1 && count('9h') > 1 && feature.first > 1
---
id: B
level: LOW
when: sum('2h', amount, country == 'DE' && amount > this.amount && type == this.type) > 5 && avg('9h', amount, type == this.type && country == 'DE') > 1
---
id: C
level: LOW
mode: off
when: feature.third > 1 && count('11h', amount < this.amount && attr.x == 'y') > 1
`)
	p := &s.Plan
	got := fmt.Sprintln(len(p.Filters), len(p.Scans), p.Columns, p.Windows)
	for _, a := range p.Aggregates {
		got += fmt.Sprintln(a.Text, a.Filter, a.Equal, a.Scan)
	}
	for _, r := range s.Rules {
		got += fmt.Sprintln(r.ID, r.Slots)
	}
	want := strings.TrimPrefix(`
1 1 [country type] ['1h' '2h' '3h' '9h']
count('1h') -1 [] -1
count('2h', amount > this.amount) -1 [] 0
count('3h') -1 [] -1
count('9h') -1 [] -1
sum('2h', amount, country == 'DE' && amount > this.amount && type == this.type) 0 [type] 0
avg('9h', amount, type == this.type && country == 'DE') 0 [type] -1
A [0 1 2 3]
B [4 5]
C []
`, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlan_ColumnsAreAscendingWhateverTheOrderOfTheRules(t *testing.T) {
	s := compile(t, condition("count('1h', attr.b == 'x' && type == 'x' && attr.a == 'x' && currency == 'EUR' && direction == 'OUT') + distinct('1h', country) > 0 || true"+
		" || distinct('1h', direction) > 1"))
	if got := fmt.Sprint(s.Plan.Columns); got != "[direction currency country type attr.a attr.b]" {
		t.Errorf("got %s", got)
	}
}

// A hit shows texts, deviations and daily figures as people read them.
func TestJudge_ShowsTheNewAggregates(t *testing.T) {
	s := compile(t, condition("prior.last('7d', counterparty) != counterparty && amount > 3 * stddev('7d', amount) && count('day') > daily('30d', count).mean + 3 * daily('30d', count).stddev && "+
		"daily('30d', amount).max < 5 && daily('30d', amount).days >= 14 && first('7d', amount) < amount")+
		"reason: \"{counterparty} after {last}, {stddev} {daily.mean} {daily.days} {first}\"\n")
	fact := judge(t, s, history{amount: "100", fields: map[string]string{"counterparty": "b"}, values: map[string]Value{
		"prior.last('7d', counterparty)": TextValue("a"), "stddev('7d', amount)": MoneyValue(money(t, "3.5")), "count('day')": IntValue(9),
		"daily('30d', count).mean": MoneyValue(money(t, "1.5")), "daily('30d', count).stddev": MoneyValue(money(t, "2.25")),
		"daily('30d', amount).max": MoneyValue(money(t, "4")), "daily('30d', amount).days": IntValue(14), "first('7d', amount)": MoneyValue(money(t, "99.99")),
	}})
	if len(fact.Hits) != 1 {
		t.Fatalf("got %+v", fact.Rules)
	}
	got := ""
	for _, v := range fact.Hits[0].Values {
		got += v.Name + " = " + v.Value + "\n"
	}
	const want = `prior.last('7d', counterparty) = a
counterparty = b
amount = 100
stddev('7d', amount) = 3.5
count('day') = 9
daily('30d', count).mean = 1.5
daily('30d', count).stddev = 2.25
daily('30d', amount).max = 4
daily('30d', amount).days = 14
first('7d', amount) = 99.99
`
	if got != want || fact.Hits[0].Reason != "b after a, 3.5 1.5 14 99.99" {
		t.Errorf("got\n%s%s\nwant\n%s", got, fact.Hits[0].Reason, want)
	}
	if got := judge(t, compile(t, condition("prior.last('7d', counterparty) != counterparty")), history{fields: map[string]string{"counterparty": "b"}}).Rules[0]; got.Verdict != schemas.ND || got.Note != "prior.last('7d', counterparty): no events" {
		t.Errorf("got %+v", got)
	}
}
