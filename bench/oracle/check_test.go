package oracle

import (
	"slices"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// factOf is the fact that satisfies a want.
func factOf(w *Want) *schemas.Fact {
	f := &schemas.Fact{Generation: 1, Partition: w.Partition, Offset: w.Offset, Seq: w.Seq, Appended: w.Appended, Event: w.Event, Outcome: w.Outcome, Reason: w.Reason, Late: w.Late}
	if w.Outcome != schemas.Assessed {
		return f
	}
	f.Config, f.BaseAmount, f.HasBase, f.Assessment = w.Config, w.BaseAmount, w.HasBase, w.Assessment
	for _, m := range w.Features {
		if !m.ND {
			f.Features = append(f.Features, schemas.Feature{Name: m.Name, Value: m.Value.Bytes()})
		}
	}
	for _, j := range w.Rules {
		f.Rules = append(f.Rules, schemas.RuleVerdict{Rule: j.Rule, Verdict: j.Verdict})
		if j.Verdict == schemas.Hit {
			f.Hits = append(f.Hits, schemas.HitExplained{Rule: j.Rule, AtWatermark: j.AtWatermark})
		}
	}
	f.InitialLevel, f.Score, f.Stage, f.FinalLevel, f.DecisionType = w.Level, w.Score, schemas.StageDone, w.Level, schemas.Accepted
	if w.Open {
		f.Stage, f.FinalLevel, f.DecisionType = schemas.StageOpen, 0, ""
	}
	return f
}

func resultOf(w *Want) Result {
	r := Result{Type: "app.amlyze." + schemas.OperationCompleted, GUID: w.Assessment, Partition: w.Partition, Key: string(schemas.CustomerKey(nil, w.Event.Team, w.Event.Customer))}
	if w.Open {
		r.Type = "app.amlyze." + schemas.OperationPending
	}
	r.ID = schemas.CloudEventID(r.GUID, r.Type)
	return r
}

// sample is a small run with every outcome, hits, one of them at the watermark, an open assessment, features of which one is not
// determinable somewhere, and two records that release a stateChange each: one applied, one expired.
func sample(t *testing.T) (cfg Config, records []Record, wants []Want) {
	t.Helper()
	cfg = Default()
	cfg.Retention, cfg.Once, cfg.Rejections = 4*day, false, true
	cfg.Features = []Feature{{Name: "n", Func: Count, Window: 4 * day}, {Name: "sum", Func: Sum, Window: hour}}
	l := newLog(t, cfg)
	appended := base + 30*day
	add := func(e schemas.Event) {
		e.Origin = schemas.Origin{Topic: "payments", Offset: int64(len(records))}
		records = append(records, Record{Partition: 2, Offset: int64(len(records)) * 2, Appended: appended, Event: e})
		w, released := l.oracle.Step(&records[len(records)-1])
		wants = append(append(wants, w), released...)
	}
	add(schemas.Event{Kind: schemas.KindControl, Control: schemas.Control{Version: 1}})
	add(pay("a", 0, 30_000))
	add(pay("b", hour, 9_500))
	add(pay("d", hour, 9_500))
	add(pay("e", 2*hour, 9_500))
	add(pay("late", minute, 7))
	add(pay("a", 0, 30_000))
	add(pay("a", 0, 31_000))
	add(pay("f", 9*day, 1))
	add(stateOf("g", 9*day+2, "DECLINED"))
	add(stateOf("z", 9*day, "SENT"))
	add(pay("g", 9*day+1, 1))
	appended += day + 1
	add(pay("h", 9*day+2, 1))
	return cfg, records, wants
}

// stateOf makes a stateChange at base + at.
func stateOf(id string, at int64, state string) schemas.Event {
	e := schemas.Event{Kind: schemas.KindStateChange, Team: "retail", Customer: "c", ID: id, Side: schemas.SideOut, Time: base + at}
	e.SetText(schemas.FieldState, state)
	return e
}

// checkRun feeds a run to a checker in the given order of kinds, with the right rejections.
func checkRun(t *testing.T, cfg Config, records []Record, facts []*schemas.Fact, results []Result) Report {
	t.Helper()
	c, err := NewChecker(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, _, wants := sample(t)
	for _, r := range rejectionsOf(wants) {
		c.Rejection(&r)
	}
	for i := range records {
		c.Record(&records[i])
	}
	for _, f := range facts {
		c.Fact(f)
	}
	for i := range results {
		c.Result(&results[i])
	}
	return c.Report()
}

func rejectionsOf(wants []Want) (list []schemas.Rejection) {
	for i := range wants {
		if w := &wants[i]; w.Outcome == schemas.Rejected {
			list = append(list, schemas.Rejection{
				Origin: w.Event.Origin, Stage: "monitor", Reason: w.Reason, Key: schemas.CustomerKey(nil, w.Event.Team, w.Event.Customer),
			})
		}
	}
	return list
}

func answers(wants []Want) (facts []*schemas.Fact, results []Result) {
	for i := range wants {
		facts = append(facts, factOf(&wants[i]))
		if wants[i].Outcome == schemas.Assessed {
			results = append(results, resultOf(&wants[i]))
		}
	}
	return facts, results
}

func TestChecker_ARightRunIsExactInAnyInterleaving(t *testing.T) {
	cfg, records, wants := sample(t)
	facts, results := answers(wants)
	r := checkRun(t, cfg, records, facts, results)
	if !r.Exact() || r.Records != 13 || r.Compared != 15 || r.Results.Expected != 8 || r.Rejections.Seen != 2 || r.Outcomes[schemas.Rejected] != 2 ||
		r.Outcomes[schemas.Parked] != 2 || r.Rules["STRUCT_BELOW"][schemas.Hit] != 2 || r.AtWatermark["STRUCT_BELOW"] != 1 {
		t.Fatalf("%s\n%+v", r.String(), r)
	}
	c, _ := NewChecker(cfg)
	reused := schemas.Fact{}
	for i := range facts { // facts and results first, in memory that is used again
		reused.Reset()
		features, rules := append(reused.Features, facts[i].Features...), append(reused.Rules, facts[i].Rules...)
		hits := append(reused.Hits, facts[i].Hits...)
		reused = *facts[i]
		reused.Features, reused.Rules, reused.Hits = features, rules, hits
		c.Fact(&reused)
	}
	for i := range results {
		c.Result(&results[i])
	}
	if r := c.Report(); r.Exact() || r.Surplus != 15 || r.Results.Surplus != 8 {
		t.Errorf("facts and results of no record pass: %s", r.String())
	}
	for i := range records {
		c.Record(&records[i])
	}
	if r := c.Report(); r.Exact() || !r.ExactFacts() || r.Rejections.Missing != 2 {
		t.Errorf("without the rejections: %s", r.String())
	}
	for _, r := range rejectionsOf(wants) {
		c.Rejection(&r)
	}
	if r := c.Report(); !r.Exact() || r.Compared != 15 {
		t.Errorf("facts first: %s", r.String())
	}
	if r := Compare(slices.Values(wants), slices.Values(facts)); !r.ExactFacts() || r.Compared != 15 {
		t.Errorf("Compare: %s", r.String())
	}
	if r := CheckResults(slices.Values(wants), slices.Values(results)); !r.Exact() || r.Results.Seen != 8 {
		t.Errorf("CheckResults: %s", r.String())
	}
}

// TestDiff_EveryPlantedFaultIsSeen: the checker that cannot fail proves nothing.
func TestDiff_EveryPlantedFaultIsSeen(t *testing.T) {
	_, _, wants := sample(t)
	const open = 4 // the index of the assessment with a STRUCT_BELOW hit
	faults := map[string]struct {
		of    int
		plant func(*schemas.Fact)
	}{
		"generation":          {1, func(f *schemas.Fact) { f.Generation = 2 }},
		"offset":              {1, func(f *schemas.Fact) { f.Offset++ }},
		"seq":                 {1, func(f *schemas.Fact) { f.Seq = 1 }},
		"appended":            {1, func(f *schemas.Fact) { f.Appended++ }},
		"outcome":             {6, func(f *schemas.Fact) { f.Outcome = schemas.Assessed }},
		"reason":              {7, func(f *schemas.Fact) { f.Reason = "future" }},
		"late":                {5, func(f *schemas.Fact) { f.Late = false }},
		"event.country":       {1, func(f *schemas.Fact) { f.Event.SetText(schemas.FieldCountry, "DE") }},
		"has event.country":   {1, func(f *schemas.Fact) { f.Event.SetText(schemas.FieldCountry, "") }},
		"event.currency":      {1, func(f *schemas.Fact) { f.Event.SetText(schemas.FieldCurrency, "USD") }},
		"event.time":          {1, func(f *schemas.Fact) { f.Event.Time++ }},
		"event.amount":        {6, func(f *schemas.Fact) { f.Event.Amount-- }},
		"event.origin":        {7, func(f *schemas.Fact) { f.Event.Origin.Offset++ }},
		"event.attributes":    {1, func(f *schemas.Fact) { f.Event.Attributes = make([]schemas.Attribute, 1) }},
		"event.control":       {0, func(f *schemas.Fact) { f.Event.Control.Version++ }},
		"configuration":       {1, func(f *schemas.Fact) { f.Config = 2 }},
		"has base amount":     {1, func(f *schemas.Fact) { f.HasBase = false }},
		"base amount":         {1, func(f *schemas.Fact) { f.BaseAmount-- }},
		"assessment":          {1, func(f *schemas.Fact) { f.Assessment = "x" }},
		"feature sum":         {2, func(f *schemas.Fact) { f.Features[1].Value[15]++ }},
		"feature n: expected": {2, func(f *schemas.Fact) { f.Features = f.Features[1:] }},
		"feature sum: given twice": {2, func(f *schemas.Fact) {
			f.Features = append(f.Features, f.Features[1])
		}},
		"feature z: expected no such":                    {2, func(f *schemas.Fact) { f.Features = append(f.Features, schemas.Feature{Name: "z"}) }},
		"features: expected in the order":                {2, func(f *schemas.Fact) { f.Features[0], f.Features[1] = f.Features[1], f.Features[0] }},
		"feature n: expected none":                       {5, func(f *schemas.Fact) { f.Features = append(f.Features, schemas.Feature{Name: "n"}) }},
		"rule VEL_OUT":                                   {1, func(f *schemas.Fact) { f.Rules[3].Verdict = schemas.Hit }},
		"rules: expected in the order":                   {1, func(f *schemas.Fact) { f.Rules[0], f.Rules[1] = f.Rules[1], f.Rules[0] }},
		"rule VEL_OUT: expected NO_HIT, got no verdict":  {1, func(f *schemas.Fact) { f.Rules = slices.Delete(f.Rules, 3, 4) }},
		"rule DORMANT: judged twice":                     {1, func(f *schemas.Fact) { f.Rules = append(f.Rules, f.Rules[0]) }},
		"rule Z: expected no such":                       {1, func(f *schemas.Fact) { f.Rules = append(f.Rules, schemas.RuleVerdict{Rule: "Z"}) }},
		"explained hits of rule STRUCT":                  {open, func(f *schemas.Fact) { f.Hits = nil }},
		"rule STRUCT_BELOW at watermark: expected false": {open, func(f *schemas.Fact) { f.Hits[0].AtWatermark = true }},
		"rule STRUCT_BELOW at watermark: expected true":  {5, func(f *schemas.Fact) { f.Hits[0].AtWatermark = false }},
		"level":                             {open, func(f *schemas.Fact) { f.InitialLevel = schemas.LevelLow }},
		"score":                             {open, func(f *schemas.Fact) { f.Score++ }},
		"stage":                             {open, func(f *schemas.Fact) { f.Stage = schemas.StageDone }},
		"final level":                       {1, func(f *schemas.Fact) { f.FinalLevel = schemas.LevelExtreme }},
		"decision":                          {open, func(f *schemas.Fact) { f.DecisionType = schemas.Accepted }},
		"seq: expected 1, got 0":            {12, func(f *schemas.Fact) { f.Seq = 0 }},
		"appended: expected":                {12, func(f *schemas.Fact) { f.Appended-- }},
		"event.state: expected":             {12, func(f *schemas.Fact) { f.Event.State = "SENT" }},
		`reason: expected "parked_expired"`: {14, func(f *schemas.Fact) { f.Reason = "" }},
		"features of an event that is not assessed": {6, func(f *schemas.Fact) { f.Features = make([]schemas.Feature, 1) }},
		"verdicts on an event that is not assessed": {6, func(f *schemas.Fact) { f.Rules = make([]schemas.RuleVerdict, 1) }},
		"hits on an event that is not assessed":     {6, func(f *schemas.Fact) { f.Hits = make([]schemas.HitExplained, 1) }},
	}
	for name, c := range faults {
		f := factOf(&wants[c.of])
		if list := Diff(&wants[c.of], f); len(list) > 0 {
			t.Fatalf("before %s: %v", name, list)
		}
		c.plant(f)
		if list := Diff(&wants[c.of], f); !slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(s, name) }) {
			t.Errorf("planted %s, seen %v", name, list)
		}
	}
}

func TestDiff_WhatOtherRulesDecideIsLeftOut(t *testing.T) {
	_, _, wants := sample(t)
	w := wants[1]
	w.others = true
	f := factOf(&w)
	f.Rules = append(f.Rules, schemas.RuleVerdict{Rule: "MINE", Verdict: schemas.Hit})
	f.Hits = append(f.Hits, schemas.HitExplained{Rule: "MINE"})
	f.Features = append(f.Features, schemas.Feature{Name: "mine"})
	f.InitialLevel, f.Stage, f.Score = schemas.LevelExtreme, schemas.StageOpen, 99
	if list := Diff(&w, f); len(list) > 0 {
		t.Errorf("%v", list)
	}
	f.Event.SetText(schemas.FieldCurrency, "EUR") // which stands for no currency
	f.Rules[0].Verdict = schemas.Hit
	if list := Diff(&w, f); len(list) != 1 {
		t.Errorf("a wrong verdict of a known rule: %v", list)
	}
}

func TestChecker_MissingSurplusAndRepeatedAreCounted(t *testing.T) {
	cfg, records, wants := sample(t)
	facts, results := answers(wants)

	late := facts[5]
	r := checkRun(t, cfg, records, slices.Delete(slices.Clone(facts), 5, 6), results)
	if r.Exact() || r.Missing != 1 || r.Compared != 14 || !strings.Contains(r.String(), `partition 2 offset 10, customer "c", event "late": no fact`) {
		t.Errorf("a fact is missing: %s", r.String())
	}
	r = checkRun(t, cfg, records, append(slices.Clone(facts), late), results)
	if r.Exact() || r.Surplus != 1 || !strings.Contains(r.String(), "partition 2 offset 10: a second fact") {
		t.Errorf("a fact came twice: %s", r.String())
	}
	elsewhere := *late
	elsewhere.Offset = 11
	r = checkRun(t, cfg, records, append(slices.Clone(facts), &elsewhere), results)
	if r.Exact() || r.Surplus != 1 || !strings.Contains(r.String(), "partition 2 offset 11: a fact of no record") {
		t.Errorf("a fact of no record: %s", r.String())
	}
	wrong := *late
	wrong.Late = false
	r = checkRun(t, cfg, records, slices.Replace(slices.Clone(facts), 5, 6, &wrong), results)
	if r.Exact() || r.Different != 1 || !strings.Contains(r.String(), "late: expected true, got false") {
		t.Errorf("a fact is different: %s", r.String())
	}
	none := make([]*schemas.Fact, 0)
	if r = checkRun(t, cfg, records, none, results); r.Missing != 15 || len(r.First) != 10 {
		t.Errorf("no facts: %s", r.String())
	}
}

func TestChecker_EveryAssessmentHasExactlyOneResult(t *testing.T) {
	cfg, records, wants := sample(t)
	facts, right := answers(wants)
	const open = 3 // the index of the pending result
	if !strings.HasSuffix(right[open].Type, ".pending") {
		t.Fatalf("result %d is %s", open, right[open].Type)
	}
	swapped := right[open]
	swapped.Type = right[0].Type
	swapped.ID = schemas.CloudEventID(swapped.GUID, swapped.Type)
	both := append(slices.Clone(right), swapped)
	change := func(f func(*Result)) []Result {
		list := slices.Clone(right)
		f(&list[0])
		return list
	}
	for name, c := range map[string]struct {
		results []Result
		want    Results
	}{
		"one missing":           {right[1:], Results{Missing: 1}},
		"one twice":             {append(slices.Clone(right), right[2]), Results{Surplus: 1}},
		"pending and completed": {both, Results{Surplus: 1}},
		"completed for pending": {slices.Replace(slices.Clone(right), open, open+1, swapped), Results{Different: 1}},
		"of no assessment":      {append(slices.Clone(right), Result{GUID: "x", Type: right[0].Type}), Results{Surplus: 1}},
		"another key":           {change(func(r *Result) { r.Key = "k" }), Results{Different: 1}},
		"another partition":     {change(func(r *Result) { r.Partition = 0 }), Results{Different: 1}},
		"another id":            {change(func(r *Result) { r.ID = r.GUID }), Results{Different: 1}},
		"another guid":          {change(func(r *Result) { r.GUID = "y" }), Results{Missing: 1, Surplus: 1}},
	} {
		for _, r := range []Report{checkRun(t, cfg, records, facts, c.results), CheckResults(slices.Values(wants), slices.Values(c.results))} {
			got := r.Results
			got.Seen, got.Expected = 0, 0
			if got != c.want || r.Exact() || len(r.First) == 0 {
				t.Errorf("%s: %s", name, r.String())
			}
		}
	}
	other := checkRun(t, cfg, records, facts, change(func(r *Result) { r.Type = "app.amlyze.other" }))
	if other.Exact() || other.Results.Different == 0 {
		t.Errorf("another type: %s", other.String())
	}
}
