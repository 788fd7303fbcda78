package rule

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/schemas"
)

func TestLibrary_HoldsTheFiveRulesAndTheDefaultPolicy(t *testing.T) {
	files := Library()
	if !slices.IsSortedFunc(files, func(a, b schemas.SnapshotFile) int { return map[bool]int{true: -1}[a.Name < b.Name] }) {
		t.Error("the files are not ascending by name")
	}
	s, err := Compile(&schemas.Snapshot{Version: 3, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range s.Rules {
		ids = append(ids, r.ID)
		if r.Mode != Live || r.Level == schemas.LevelNone || r.Score == 0 || len(r.Tags) == 0 || r.Reason == "" || r.Nature != AML || len(r.Slots) == 0 {
			t.Errorf("%s: %+v", r.ID, r)
		}
	}
	if fmt.Sprint(ids) != "[DORMANT FAN_OUT STRUCT_BELOW VEL_OUT VOL_OUT]" || len(s.Features) != 12 || s.Version != 3 {
		t.Errorf("got %v, %d features, version %d", ids, len(s.Features), s.Version)
	}
	if !reflect.DeepEqual(s.Policy, DefaultPolicy()) {
		t.Errorf("policy.yaml is not the default: %+v", s.Policy)
	}
	if s.Plan.Longest != 30*day || s.Plan.Retention != 31*day {
		t.Errorf("longest %s, retention %s", formatDuration(s.Plan.Longest), formatDuration(s.Plan.Retention))
	}
}

// Each rule with a HIT, a NO_HIT at the boundary, and an ND.
func TestLibrary_RulesFireAtTheirBoundary(t *testing.T) {
	s, err := Compile(&schemas.Snapshot{Version: 1, Files: Library()})
	if err != nil {
		t.Fatal(err)
	}
	const band = "amount >= 9000 && amount < 10000"
	for _, c := range []struct {
		rule   string
		amount string
		values map[string]Value
		want   schemas.Verdict
		text   string // the hit's reason, or the note
	}{
		{"VEL_OUT", "5", map[string]Value{"count('1h', direction == 'OUT')": IntValue(10)}, schemas.Hit, "10 outgoing payments within 1h (limit 10)"},
		{"VEL_OUT", "5", map[string]Value{"count('1h', direction == 'OUT')": IntValue(9)}, schemas.NoHit, ""},
		{"VEL_OUT", "5", map[string]Value{"count('1h', direction == 'OUT')": None(WhyHorizon)}, schemas.ND, "count('1h', direction == 'OUT'): horizon"},
		{"VOL_OUT", "5", map[string]Value{"sum('24h', amount, direction == 'OUT')": MoneyValue(money(t, "25000"))}, schemas.Hit, "25000 paid out within 24h (limit 25000)"},
		{"VOL_OUT", "5", map[string]Value{"sum('24h', amount, direction == 'OUT')": MoneyValue(money(t, "24999.999999"))}, schemas.NoHit, ""},
		{"VOL_OUT", "5", map[string]Value{"sum('24h', amount, direction == 'OUT')": None(WhyHorizon)}, schemas.ND, "sum('24h', amount, direction == 'OUT'): horizon"},
		{"STRUCT_BELOW", "5", map[string]Value{"count('72h', " + band + ")": IntValue(3), "sum('72h', amount, " + band + ")": MoneyValue(money(t, "27000.50"))}, schemas.Hit,
			"3 payments just below 10000 within 72h, together 27000.5"},
		{"STRUCT_BELOW", "5", map[string]Value{"count('72h', " + band + ")": IntValue(2), "sum('72h', amount, " + band + ")": MoneyValue(money(t, "19000"))}, schemas.NoHit, ""},
		{"STRUCT_BELOW", "5", map[string]Value{"count('72h', " + band + ")": None(WhyHorizon), "sum('72h', amount, " + band + ")": MoneyValue(money(t, "27000"))}, schemas.ND,
			"count('72h', " + band + "): horizon"},
		{"FAN_OUT", "5", map[string]Value{"distinct('8h', counterparty, direction == 'OUT')": IntValue(5)}, schemas.Hit, "5 different beneficiaries within 8h (limit 5)"},
		{"FAN_OUT", "5", map[string]Value{"distinct('8h', counterparty, direction == 'OUT')": IntValue(4)}, schemas.NoHit, ""},
		{"FAN_OUT", "5", map[string]Value{"distinct('8h', counterparty, direction == 'OUT')": None(WhyCap)}, schemas.ND, "distinct('8h', counterparty, direction == 'OUT'): cap"},
		{"DORMANT", "1000", map[string]Value{"since(true)": DurationValue(180 * day)}, schemas.Hit, "1000 after 180d without any movement (limit 180d)"},
		{"DORMANT", "1000", map[string]Value{"since(true)": DurationValue(180*day - 1)}, schemas.NoHit, ""},
		{"DORMANT", "999.999999", map[string]Value{"since(true)": DurationValue(200 * day)}, schemas.NoHit, ""},
		{"DORMANT", "999", nil, schemas.NoHit, ""}, // the amount decides
		{"DORMANT", "1000", nil, schemas.ND, "since(true): no earlier event"},
		{"DORMANT", "", map[string]Value{"since(true)": DurationValue(200 * day)}, schemas.ND, "amount"},
	} {
		fact := judge(t, s, history{amount: c.amount, values: c.values})
		for _, v := range fact.Rules {
			if v.Rule != c.rule {
				continue
			}
			text := v.Note
			if v.Verdict == schemas.Hit {
				text = fact.Hits[0].Reason
			}
			if v.Verdict != c.want || text != c.text {
				t.Errorf("%s %v: got %v %q, want %v %q", c.rule, c.values, v.Verdict, text, c.want, c.text)
			}
		}
	}
	// The bounds of the band, as the filter sees single events.
	for amount, want := range map[string]bool{"8999.999999": false, "9000": true, "9999.999999": true, "10000": false, "-9500": false} {
		micros, _ := money(t, amount).Int64()
		p := schemas.Past{Amount: micros, HasAmount: true}
		for i := range s.Plan.Filters {
			if f := &s.Plan.Filters[i]; f.Text == band && f.Match(&p) != want {
				t.Errorf("%s is in the band: %v", amount, !want)
			}
		}
	}
}

func TestPolicy_FileOverridesDefaults(t *testing.T) {
	s := compile(t, `
policy:
  base_currency: USD
  human_from: never
  reject_from: MEDIUM
  slack: 2d
  counted: [OK]
  uncounted: [BAD, UGLY]
  cloudevents: {prefix: com.example., source: /bank, mode: binary}
---
features: [{name: n, expr: "count('1d', state == 'BAD')"}]
`)
	p := s.Policy
	want := Policy{BaseCurrency: "USD", HumanFrom: Never, RejectFrom: schemas.LevelMedium, Slack: 2 * day, Zone: time.UTC, Counted: []string{"OK"}, Uncounted: []string{"BAD", "UGLY"},
		CloudEvents: CloudEvents{Prefix: "com.example.", Source: "/bank", Mode: Binary}}
	if !reflect.DeepEqual(p, want) || s.Plan.Retention != 3*day {
		t.Errorf("got %+v, retention %s", p, formatDuration(s.Plan.Retention))
	}
	for _, c := range []struct {
		state         string
		given         bool
		counts, known bool
	}{{"OK", true, true, true}, {"BAD", true, false, true}, {"", false, true, false}, {"NEW", true, true, false}, {"bad", true, true, false}} {
		if p.Counts(c.state, c.given) != c.counts || p.KnownState(c.state) != c.known {
			t.Errorf("%+v: counts %v, known %v", c, p.Counts(c.state, c.given), p.KnownState(c.state))
		}
	}
}

func TestCompile_SameFilesMakeTheSamePlanWhateverTheirOrder(t *testing.T) {
	files := Library()
	slices.Reverse(files)
	a, err := Compile(&schemas.Snapshot{Version: 1, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Compile(&schemas.Snapshot{Version: 1, Files: Library()})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a.Plan.Aggregates, b.Plan.Aggregates) || !slices.EqualFunc(a.Plan.Filters, b.Plan.Filters, func(x, y Filter) bool { return x.Text == y.Text }) {
		t.Errorf("got %v and %v", a.Plan, b.Plan)
	}
}
