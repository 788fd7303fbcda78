package rule

import (
	"fmt"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

const twiceJudged = `
features:
- {name: n, expr: "count('1h')"}
- {name: doubled, expr: "feature.n * 2"}
---
id: A
level: MEDIUM
score: 1
when: count('1h') > 5
reason: "{count} of {amount}"
---
id: B
level: LOW
score: 10
when: feature.doubled > 10
---
id: C
level: EXTREME
score: 100
when: count('1h') > 5
mode: off
---
id: D
level: EXTREME
score: 1000
when: count('1h') > 5
mode: shadow
---
id: E
level: EXTREME
score: 10000
when: count('1h') > 5
on: [transaction]
---
id: F
level: HIGH
score: 100000
nature: FRAUD
when: 10 / (count('2h') - 3) < 2 && sum('1h', amount) > 0
`

// twice judges an event at its own time and at the watermark; between the two only the windows move.
func twice(t *testing.T, at, watermark map[string]Value, judge func(int) bool) (s *Set, got string) {
	t.Helper()
	s = compile(t, twiceJudged)
	f, fact := history{amount: "7", values: at}.frame(t, s), &schemas.Fact{}
	s.Judge(f, fact)
	features := fmt.Sprint(fact.Features)
	f.Aggregates = history{amount: "7", values: watermark}.frame(t, s).Aggregates
	s.JudgeAgain(f, fact, judge)
	if fmt.Sprint(fact.Features) != features {
		t.Errorf("the features became %v", fact.Features)
	}
	got = fmt.Sprintf("%v %d:", fact.InitialLevel, fact.Score)
	for _, r := range fact.Rules {
		got += " " + r.Rule + " " + r.Verdict.String()
		if r.Note != "" {
			got += " (" + r.Note + ")"
		}
	}
	for _, h := range fact.Hits {
		got += fmt.Sprintf("; %s %v %s %v", h.Rule, h.AtWatermark, h.Reason, h.Values)
	}
	return s, got
}

func TestJudgeAgain_ASecondHitCountsAndIsMarkedAndAllElseStays(t *testing.T) {
	one, six := map[string]Value{"count('1h')": IntValue(1)}, map[string]Value{"count('1h')": IntValue(6)}
	with := func(m map[string]Value, name string, v Value) map[string]Value {
		r := map[string]Value{name: v}
		for k, v := range m {
			if k != name {
				r[k] = v
			}
		}
		return r
	}
	all := func(int) bool { return true }
	const (
		hitA, hitB, hitD = "; A true 6 of 7 [{count('1h') 6}]", "; B true B [{feature.doubled 12}]", "; D true D [{count('1h') 6}]"
		wasA, wasB, wasD = "; A false 6 of 7 [{count('1h') 6}]", "; B false B [{feature.doubled 12}]", "; D false D [{count('1h') 6}]"
		divided          = "division by zero: 10 / (count('2h') - 3)"
	)
	for _, c := range []struct {
		what          string
		at, watermark map[string]Value
		judge         func(int) bool
		want          string
	}{
		{"nothing hits", one, one, all, "NONE 0: A NO_HIT B NO_HIT D NO_HIT F NO_HIT"},
		{"the watermark finds it", one, six, all, "MEDIUM 11: A HIT B HIT D HIT F NO_HIT" + hitA + hitB + hitD},
		{"both find it", six, six, all, "MEDIUM 11: A HIT B HIT D HIT F NO_HIT" + wasA + wasB + wasD},
		{"the event's time found it", six, one, all, "MEDIUM 11: A HIT B HIT D HIT F NO_HIT" + wasA + wasB + wasD},
		{"no window holds the event", one, six, func(int) bool { return false }, "NONE 0: A NO_HIT B NO_HIT D NO_HIT F NO_HIT"},
		{"only B and the shadow D", one, six, func(i int) bool { return i == 1 || i == 3 }, "LOW 10: A NO_HIT B HIT D HIT F NO_HIT" + hitB + hitD},
		{"D alone: shadows count for nothing", one, six, func(i int) bool { return i == 3 }, "NONE 0: A NO_HIT B NO_HIT D HIT F NO_HIT" + hitD},
		{"ND at the watermark", one, map[string]Value{"count('1h')": None(WhyHorizon)}, all, "NONE 0: A NO_HIT B NO_HIT D NO_HIT F NO_HIT"},
		{"ND at the event's time", map[string]Value{"count('1h')": None(WhyHorizon)}, one, all,
			"NONE 0: A ND (count('1h'): horizon) B ND (count('1h'): horizon) D ND (count('1h'): horizon) F NO_HIT"},
		{"ND, then a hit", map[string]Value{"count('1h')": None(WhyHorizon)}, six, all, "MEDIUM 11: A HIT B HIT D HIT F NO_HIT" + hitA + hitB + hitD},
		{"an error at the event's time", with(with(one, "count('2h')", IntValue(3)), "sum('1h', amount)", MoneyValue(money(t, "1"))), one, all,
			"NONE 0: A NO_HIT B NO_HIT D NO_HIT F ERROR (" + divided + ")"},
		{"an error, then a hit", with(with(one, "count('2h')", IntValue(3)), "sum('1h', amount)", MoneyValue(money(t, "1"))),
			with(one, "sum('1h', amount)", MoneyValue(money(t, "2"))), all,
			"HIGH 100000: A NO_HIT B NO_HIT D NO_HIT F HIT; F true F [{count('2h') 0} {sum('1h', amount) 2}]"},
		{"an error at the watermark", with(one, "count('2h')", IntValue(4)), with(with(six, "count('2h')", IntValue(3)), "sum('1h', amount)", MoneyValue(money(t, "1"))), all,
			"MEDIUM 11: A HIT B HIT D HIT F NO_HIT" + hitA + hitB + hitD},
		{"hits stay in the rules' order", with(one, "sum('1h', amount)", MoneyValue(money(t, "1"))), six, all,
			"HIGH 100011: A HIT B HIT D HIT F HIT" + hitA + hitB + hitD + "; F false F [{count('2h') 0} {sum('1h', amount) 1}]"},
	} {
		if _, got := twice(t, c.at, c.watermark, c.judge); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.what, got, c.want)
		}
	}
}

// It asks only for rules that a second judgement could change, by their index in Rules.
func TestJudgeAgain_AsksForRulesThatDidNotHit(t *testing.T) {
	var asked []string
	s := compile(t, twiceJudged)
	twice(t, map[string]Value{"count('1h')": IntValue(6)}, nil, func(i int) bool {
		asked = append(asked, s.Rules[i].ID)
		return true
	})
	if fmt.Sprint(asked) != "[F]" { // C is off, E is not for payments, the others hit
		t.Errorf("asked for %v", asked)
	}
}

func TestJudgeAgain_FraudLevelCountsWhatTheWatermarkFound(t *testing.T) {
	s := compile(t, "id: F\nlevel: HIGH\nnature: FRAUD\nwhen: count('1h') > 5\n")
	f, fact := history{}.frame(t, s), &schemas.Fact{}
	s.Judge(f, fact)
	f.Aggregates[0] = IntValue(6)
	s.JudgeAgain(f, fact, func(int) bool { return true })
	if s.FraudLevel(fact) != schemas.LevelHigh || fact.InitialLevel != schemas.LevelHigh {
		t.Errorf("fraud level %v, level %v", s.FraudLevel(fact), fact.InitialLevel)
	}
}

func TestJudgeAgain_APanicChangesNothing(t *testing.T) {
	s := compile(t, "id: A\nlevel: LOW\nwhen: count('1h') > 5\n---\nid: B\nlevel: HIGH\nwhen: amount > 5\n---\nid: C\nlevel: LOW\nwhen: count('2h') > 5\n")
	f, fact := history{amount: "7"}.frame(t, s), &schemas.Fact{}
	s.Judge(f, fact)
	f.Aggregates = []Value{IntValue(9)} // as if enrich had a bug
	s.JudgeAgain(f, fact, func(int) bool { return true })
	if got := fmt.Sprint(fact.Rules, len(fact.Hits)); got != "[{A 1 HIT } {B 1 HIT } {C 1 NO_HIT }] 2" {
		t.Errorf("got %s", got)
	}
}

func TestJudgeAgain_NoHitAllocatesNothing(t *testing.T) {
	s, f, fact := libraryFrame(t)
	if n := testing.AllocsPerRun(100, func() {
		fact.Reset()
		s.Judge(f, fact)
		s.JudgeAgain(f, fact, func(int) bool { return true })
	}); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}
