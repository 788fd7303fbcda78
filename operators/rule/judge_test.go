package rule

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// Outcomes: nothing is known but what a case gives. channel stands for an unknown text throughout.
func TestJudge_OutcomesAreThreeValuedAndErrorsAreCaught(t *testing.T) {
	h := history{amount: "1000.5", fields: map[string]string{"direction": "OUT", "country": "DE", "type": "TRANSFER", "attr.card": "gold", "attr.empty": ""}}
	const unknown, failed = "channel == 'x'", "1 / size(country) * 0 == 1 / (size(country) - 2)"
	for _, c := range []struct {
		when    string
		verdict schemas.Verdict
		note    string
	}{
		{"true", schemas.Hit, ""},
		{"!true", schemas.NoHit, ""},
		{"amount > 1000", schemas.Hit, ""},
		{"amount >= 1000.5", schemas.Hit, ""},
		{"amount > 1000.5", schemas.NoHit, ""},
		{"amount == 1000.5 && amount != 1000.500001", schemas.Hit, ""},
		{"amount < 1000.5000001", schemas.Hit, ""}, // more than six decimals compare exactly
		{"amount == 1000.5000001", schemas.NoHit, ""},
		{"amount != 1000.5000001", schemas.Hit, ""},
		{"1000 < amount && 1001 > amount", schemas.Hit, ""},
		{"amount < 1e38 && amount > -1e38", schemas.Hit, ""}, // beyond 128 bits
		{"direction == 'OUT' && country in ['FR', 'DE']", schemas.Hit, ""},
		{"country in ['FR', 'NL']", schemas.NoHit, ""},
		{"country in ['A','B','C','D','E','F','G','H','I','DE']", schemas.Hit, ""},
		{"size(country) in [2, 3]", schemas.Hit, ""},
		{"type.startsWith('TR') && type.endsWith('ER') && type.contains('SF') && type.matches('^T[A-Z]+$')", schemas.Hit, ""},
		{"kind == 'payment'", schemas.Hit, ""},
		{"country < 'DF' && country >= 'DE' && country != type", schemas.Hit, ""},
		{"attr.card == 'gold' && attr['card'] == 'gold' && attr.empty == ''", schemas.Hit, ""},
		{"has(attr.card) && has(attr['empty']) && !has(attr.none) && has(amount) && has(country) && !has(channel)", schemas.Hit, ""},
		{"attr.none == ''", schemas.ND, "attr.none"},
		{"attr['a-b'] == ''", schemas.ND, "attr['a-b']"},
		{unknown, schemas.ND, "channel"},
		{"!(" + unknown + ")", schemas.ND, "channel"},
		{unknown + " || true", schemas.Hit, ""},
		{unknown + " && false", schemas.NoHit, ""},
		{"true || " + unknown, schemas.Hit, ""},
		{"false && " + unknown, schemas.NoHit, ""},
		{unknown + " && true", schemas.ND, "channel"},
		{"false || " + unknown, schemas.ND, "channel"},
		{failed, schemas.Errored, "division by zero: 1 / (size(country) - 2)"},
		{failed + " || true", schemas.Hit, ""},
		{failed + " && false", schemas.NoHit, ""},
		{failed + " && true", schemas.Errored, "division by zero: 1 / (size(country) - 2)"},
		{failed + " && " + unknown, schemas.ND, "channel"},
		{unknown + " || " + failed, schemas.ND, "channel"},
		{unknown + " ? true : true", schemas.ND, "channel"},
		{"amount > 5 ? true : " + unknown, schemas.Hit, ""},
		{"channel == country", schemas.ND, "channel"},
		{"count('1h') > 0", schemas.NoHit, ""},
		{"avg('1h', amount) > 0", schemas.ND, "avg('1h', amount): no events"},
		{"since(true) > duration('1d')", schemas.ND, "since(true): no earlier event"},
		{"min('1h', amount) < 5 || amount > 1000", schemas.Hit, ""},
	} {
		fact := judge(t, compile(t, condition(c.when)), h)
		if got := fact.Rules[0]; got.Verdict != c.verdict || got.Note != c.note {
			t.Errorf("%s: got %v %q, want %v %q", c.when, got.Verdict, got.Note, c.verdict, c.note)
		}
	}
}

// Values: what a feature computes, exactly as facts hold it; "ERROR …" and "ND …" are read through a rule.
func TestJudge_ArithmeticIsExact(t *testing.T) {
	big := map[string]Value{
		"count('1h')":               IntValue(7),
		"count('2h')":               IntValue(2),
		"count('3h')":               IntValue(0),
		"count('4h')":               IntValue(math.MaxInt64),
		"sum('1h', amount)":         MoneyValue(money(t, "100.01")),
		"sum('2h', amount)":         MoneyValue(money(t, "-0.000001")),
		"sum('3h', amount)":         MoneyValue(schemas.Int128{}),
		"sum('4h', amount)":         MoneyValue(schemas.Int128{Hi: math.MaxInt64, Lo: math.MaxUint64}),
		"avg('1h', amount)":         MoneyValue(money(t, "3.333333")),
		"since(direction == 'OUT')": DurationValue(90_061_001),
		"since(direction == 'IN')":  DurationValue(math.MaxInt64),
		"prior.count('1h')":         IntValue(6),
		"prior.avg('90d', amount)":  MoneyValue(money(t, "2")),
	}
	for _, c := range []struct{ expr, want string }{
		{"count('1h')", "7"},
		{"count('1h') / count('2h')", "3"},
		{"count('1h') % count('2h')", "1"},
		{"-count('1h')", "-7"},
		{"double(count('1h')) / count('2h')", "3.5"},
		{"count('1h') / 2.0", "3.5"},
		{"2.0 * count('1h')", "14"},
		{"count('1h') * 0.1", "0.7"},
		{"int(count('1h') / 2.0)", "3"},
		{"count('1h') / count('3h')", "ERROR division by zero: count('1h') / count('3h')"},
		{"count('1h') % count('3h')", "ERROR division by zero: count('1h') % count('3h')"},
		{"count('1h') / double(count('3h'))", "ERROR division by zero: count('1h') / double(count('3h'))"},
		{"count('4h') + 1", "ERROR overflow: count('4h') + 1"},
		{"-count('4h') - 2", "ERROR overflow: -count('4h') - 2"},
		{"count('4h') * 2", "ERROR overflow: count('4h') * 2"},
		{"int(2.0 * count('4h'))", "ERROR overflow: int(2.0 * count('4h'))"},
		{"sum('1h', amount) + 1", "101.01"},
		{"1 - sum('1h', amount)", "-99.01"},
		{"sum('1h', amount) + 0.005", "100.015"},
		{"sum('1h', amount) + 0.0000005", "100.01"},     // half-even
		{"sum('1h', amount) + 0.0000015", "100.010002"}, // half-even
		{"sum('1h', amount) - sum('2h', amount)", "100.010001"},
		{"-sum('1h', amount)", "-100.01"},
		{"sum('1h', amount) * 3", "300.03"},
		{"3 * sum('1h', amount)", "300.03"},
		{"sum('1h', amount) * count('1h')", "700.07"},
		{"sum('1h', amount) * 0.9", "90.009"},
		{"0.1 * sum('1h', amount) / 3", "3.333667"},
		{"sum('1h', amount) / count('2h')", "50.005"},
		{"sum('2h', amount) / 2", "0"}, // −0.0000005: half-even
		{"sum('2h', amount) * 1.5", "-0.000002"},
		{"sum('2h', amount) / -2", "0"},
		{"sum('1h', amount) / count('3h')", "ERROR division by zero: sum('1h', amount) / count('3h')"},
		{"sum('1h', amount) / sum('3h', amount)", "ERROR division by zero: sum('1h', amount) / sum('3h', amount)"},
		{"sum('1h', amount) / sum('2h', amount)", "-100010000"},
		{"sum('4h', amount) + 1", "ERROR overflow: sum('4h', amount) + 1"},
		{"-sum('4h', amount) - 1", "ERROR overflow: -sum('4h', amount) - 1"},
		{"sum('4h', amount) * 2", "ERROR overflow: sum('4h', amount) * 2"},
		{"sum('4h', amount) / 2", "85070591730234615865843651857942.052864"},
		{"sum('4h', amount)", ""}, // no decimal(38,6)
		{"double(sum('1h', amount)) * 1.0", "100.01"},
		{"sum('1h', amount) * (1.0 * count('2h'))", "200.02"}, // money times a measured double is a double
		{"avg('1h', amount)", "3.333333"},
		{"prior.count('1h')", "6"},
		{"3 * prior.avg('90d', amount)", "6"},
		{"since(direction == 'OUT')", "90061.001"},
		{"since(direction == 'OUT') - duration('1d')", "3661.001"},
		{"since(direction == 'OUT') / duration('1ms')", "90061001"},
		{"since(direction == 'IN') + duration('1ms')", "ERROR overflow: since(direction == 'IN') + '1ms'"},
		{"max('1h', amount)", "ND max('1h', amount): no events"},
		{"max('1h', amount) + 1 / count('3h')", "ND max('1h', amount): no events"},
		{"1 / count('3h') + max('1h', amount)", "ERROR division by zero: 1 / count('3h')"},
		{"amount", "12.5"},
		{"size(country)", "2"},
		{"amount > 10 ? 1.5 : 2.5", "1.5"},
		{"amount > 20 ? amount : sum('1h', amount)", "100.01"},
		{"10000 * (1.0 - 0.43)", "5700"},
		{"duration('1d12h')", "129600"},
	} {
		s := compile(t, feature(c.expr)+"---\n"+condition("feature.x == feature.x"))
		h := history{amount: "12.5", fields: map[string]string{"country": "DE"}, values: map[string]Value{}}
		for _, a := range s.Plan.Aggregates {
			if v, ok := big[a.Text]; ok {
				h.values[a.Text] = v
			}
		}
		fact := judge(t, s, h)
		got := ""
		if len(fact.Features) > 0 {
			got = schemas.Int128FromBytes(fact.Features[0].Value).Decimal()
		} else if v := fact.Rules[0]; v.Verdict != schemas.Hit {
			got = v.Verdict.String() + " " + v.Note
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.expr, got, c.want)
		}
	}
}

func TestJudge_LiveHitsMakeTheLevelAndShadowHitsDoNot(t *testing.T) {
	s := compile(t, `
id: A
level: LOW
score: 3
when: amount > 1
---
id: B
level: HIGH
score: 40
nature: FRAUD
when: amount > 1
---
id: C
level: EXTREME
score: 100
when: amount > 1
mode: shadow
---
id: D
level: EXTREME
score: 7
when: amount > 1
mode: off
---
id: E
level: EXTREME
score: 7
when: amount > 100
---
id: F
level: EXTREME
when: amount > 1
on: [transaction]
`)
	fact := judge(t, s, history{amount: "2"})
	got := fmt.Sprintf("%v %d %v", fact.InitialLevel, fact.Score, s.FraudLevel(fact))
	for _, r := range fact.Rules {
		got += " " + r.Rule + ":" + r.Verdict.String()
	}
	for _, h := range fact.Hits {
		got += fmt.Sprintf(" %s/%v/%v", h.Rule, h.Level, h.Shadow)
	}
	const want = "HIGH 43 HIGH A:HIT B:HIT C:HIT E:NO_HIT A/LOW/false B/HIGH/false C/EXTREME/true"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if fact := judge(t, s, history{amount: "2", kind: schemas.KindTransaction}); len(fact.Rules) != 5 || s.FraudLevel(fact) != schemas.LevelHigh {
		t.Errorf("transaction: %d rules, fraud level %v", len(fact.Rules), s.FraudLevel(fact))
	}
}

func TestJudge_PanicOfOneRuleIsItsErrorAlone(t *testing.T) {
	s := compile(t, "features: [{name: p, expr: \"count('2h')\"}]\n---\nid: A\nlevel: LOW\nwhen: count('1h') > 0\n---\nid: B\nlevel: LOW\nwhen: amount > 0\n---\nid: C\nlevel: LOW\nwhen: feature.p > 0\n")
	f := history{amount: "2"}.frame(t, s)
	f.Aggregates = f.Aggregates[:0] // as if enrich had a bug
	var fact schemas.Fact
	s.Judge(f, &fact)
	got := ""
	for _, r := range fact.Rules {
		got += fmt.Sprintf("%s %v %s; ", r.Rule, r.Verdict, r.Note)
	}
	const want = "A ERROR panic: runtime error: index out of range [1] with length 0; B HIT ; C ERROR panic in a feature; "
	if got != want || len(fact.Features) != 0 {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// The features are computed each after those that it reads: another order than the file's. Behind one that panics the others go on.
func TestJudge_PanicOfOneFeatureIsThatFeaturesAlone(t *testing.T) {
	s := compile(t, "features:\n- {name: a, expr: \"feature.d + 1\"}\n- {name: b, expr: \"count('2h')\"}\n- {name: c, expr: \"size(country)\"}\n- {name: d, expr: \"size(country) * 2\"}\n- {name: e, expr: amount}\n"+
		"---\n"+condition("feature.b > 0"))
	f := history{amount: "2", fields: map[string]string{"country": "DE"}}.frame(t, s)
	f.Aggregates = nil // as if enrich had a bug
	for range 2 {
		var fact schemas.Fact
		s.Judge(f, &fact)
		got := ""
		for _, x := range fact.Features {
			got += x.Name + " " + schemas.Int128FromBytes(x.Value).Decimal() + "; "
		}
		if got != "a 5; c 2; d 4; e 2; " || fact.Rules[0].Note != "panic in a feature" {
			t.Errorf("got %s%v", got, fact.Rules)
		}
	}
}

func TestJudge_HitExplainsItselfInWordsAndValues(t *testing.T) {
	s := compile(t, `
features: [{name: ratio, expr: "amount / prior.max('90d', amount)"}]
---
id: R
version: 4
level: HIGH
score: 9
params: {limit: 2.50, window: 72h, idle: 180d, lists: [DE, FR]}
when: amount > 1 && count(params.window, direction == 'OUT') >= 2 && feature.ratio > params.limit && since(true) > params.idle && attr.card == 'x' && country in params.lists || channel == 'pos'
reason: "{amount} {{x}} {count}/{window} {since}>{idle} {feature.ratio}>{limit} {country} {channel} {attr.card} {attr.none} {lists} {kind}"
`)
	fact := judge(t, s, history{
		amount: "30.25", fields: map[string]string{"country": "DE", "attr.card": "x"},
		values: map[string]Value{
			"count('72h', direction == 'OUT')": IntValue(5),
			"prior.max('90d', amount)":         MoneyValue(money(t, "3")),
			"since(true)":                      DurationValue(183*day + 4*hour),
		},
	})
	h := fact.Hits[0]
	const reason = "30.25 {x} 5/72h 183d4h>180d 10.083333>2.5 DE no data x no data DE, FR payment"
	if h.Reason != reason {
		t.Errorf("got  %s\nwant %s", h.Reason, reason)
	}
	got := ""
	for _, v := range h.Values {
		got += v.Name + " = " + v.Value + "\n"
	}
	const values = `amount = 30.25
count('72h', direction == 'OUT') = 5
feature.ratio = 10.083333
since(true) = 183d4h
attr.card = x
country = DE
channel = no data
`
	if got != values || h.Version != 4 || h.Score != 9 {
		t.Errorf("got\n%swant\n%s", got, values)
	}
}

func TestJudge_ReusedFrameAndFactCarryNothingOver(t *testing.T) {
	s, err := Compile(&schemas.Snapshot{Version: 1, Files: Library()})
	if err != nil {
		t.Fatal(err)
	}
	full := history{amount: "2000", values: map[string]Value{"since(true)": DurationValue(181 * day)}}
	f, fact := full.frame(t, s), &schemas.Fact{}
	s.Judge(f, fact)
	if fact.InitialLevel != schemas.LevelHigh || len(fact.Hits) != 1 {
		t.Fatalf("got %v, %d hits", fact.InitialLevel, len(fact.Hits))
	}
	empty := history{}.frame(t, s)
	f.Event, f.HasAmount, f.Aggregates = empty.Event, false, empty.Aggregates
	fact.Reset()
	s.Judge(f, fact)
	if fact.InitialLevel != schemas.LevelNone || fact.Score != 0 || len(fact.Hits) != 0 || len(fact.Rules) != 5 {
		t.Errorf("got %+v", fact)
	}
}

func TestJudge_SetIsSafeForConcurrentReaders(t *testing.T) {
	s, err := Compile(&schemas.Snapshot{Version: 1, Files: Library()})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		f := history{amount: "12.5"}.frame(t, s)
		wg.Go(func() {
			for range 200 {
				var fact schemas.Fact
				s.Judge(f, &fact)
			}
		})
	}
	wg.Wait()
}

func TestJudge_NoHitAllocatesNothing(t *testing.T) {
	s, f, fact := libraryFrame(t)
	if n := testing.AllocsPerRun(100, func() {
		fact.Reset()
		s.Judge(f, fact)
	}); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
	for _, r := range fact.Rules {
		if r.Verdict != schemas.NoHit {
			t.Errorf("%s: %v %s", r.Rule, r.Verdict, r.Note)
		}
	}
}

// What is not determinable is the everyday case of a new customer.
func TestJudge_NDAllocatesNothing(t *testing.T) {
	s, f, fact := libraryFrame(t)
	for i, why := range whys {
		for slot := range f.Aggregates {
			f.Aggregates[slot] = None(why)
		}
		f.Amount = schemas.I128(5000 * schemas.Micro)
		if n := testing.AllocsPerRun(100, func() {
			fact.Reset()
			s.Judge(f, fact)
		}); n != 0 {
			t.Errorf("%s: %v allocations per event", why, n)
		}
		if got := fact.Rules[0]; got.Verdict != schemas.ND || got.Note != "since(true): "+why {
			t.Errorf("%d: %+v", i, got)
		}
	}
	f.Aggregates[len(f.Aggregates)-1] = None("of a kind that no list knows")
	if s.Judge(f, fact); !strings.Contains(fmt.Sprint(fact.Rules), ": of a kind that no list knows") {
		t.Errorf("got %+v", fact.Rules)
	}
}

// libraryFrame is an everyday event under the library.
func libraryFrame(t testing.TB) (*Set, *Frame, *schemas.Fact) {
	s, err := Compile(&schemas.Snapshot{Version: 1, Files: Library()})
	if err != nil {
		t.Fatal(err)
	}
	h := history{amount: "57.16", fields: map[string]string{"direction": "OUT", "counterparty": "shop", "currency": "EUR"},
		values: map[string]Value{"since(true)": DurationValue(5 * hour)}}
	return s, h.frame(t, s), &schemas.Fact{}
}

func BenchmarkJudge_Library(b *testing.B) {
	s, f, fact := libraryFrame(b)
	b.ReportAllocs()
	for b.Loop() {
		fact.Reset()
		s.Judge(f, fact)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
