package demo

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// TestFactLine_SaysAtWatermarkWhereItIsAndNothingElsewhere: facts of events in order keep the keys that they always had.
func TestFactLine_SaysAtWatermarkWhereItIsAndNothingElsewhere(t *testing.T) {
	f := schemas.Fact{Outcome: schemas.Assessed, Hits: []schemas.HitExplained{{Rule: "A", Level: schemas.LevelLow, Reason: "a"}, {Rule: "B", Level: schemas.LevelHigh, AtWatermark: true, Reason: "b"}}}
	line := string(appendFactLine(nil, 1, &f))
	if want := `"hits":[{"rule":"A","level":"LOW","shadow":false,"reason":"a","values":{}},{"rule":"B","level":"HIGH","shadow":false,"at_watermark":true,"reason":"b","values":{}}]`; !strings.Contains(line, want) {
		t.Errorf("got %s, want in it %s", line, want)
	}
	object(t, line)
}

// TestFile_FactLineHasTheDocumentedShape holds whole lines, keys and forms of values, against what the README promises.
func TestFile_FactLineHasTheDocumentedShape(t *testing.T) {
	rules := `features:
  - {name: c_n1, expr: "count('1d')"}
  - {name: c_sum1, expr: "sum('1d', amount)"}
  - {name: paid_out, expr: "sum('1d', amount, direction == 'OUT')"}
  - {name: mean, expr: "avg('1d', amount, direction == 'OUT')"}
---
{id: VEL_OUT, version: 1, name: v, nature: AML, on: [payment, transaction], when: feature.c_n1 >= 2, level: MEDIUM, score: 1, reason: "{feature.c_n1} within a day"}
---
{id: CHANNEL, version: 1, name: c, nature: AML, on: [payment], when: channel == 'pos', level: LOW, score: 1, reason: pos}
`
	file := write(t, "in.jsonl", strings.Join([]string{
		`{"id":"16","time":"2018-04-01T00:00:31Z","customer":596,"amount":57.160,"direction":"out"}`,
		`{"id":"17","time":"2018-04-01T02:00:31.250+02:00","customer":"596","amount":"-0.000001","channel":"","type":"transaction"}`,
		`{"id":"18","time":"2018-03-01T00:00:00Z","customer":"596","amount":0,"channel":"pos","note":{"a":1}}`,
		`{"id":"18","time":"2018-03-31T12:00:00Z","customer":"596","amount":0,"channel":"pos","note":"n"}`,
		`{"id":"16","time":"2018-04-01T00:00:31Z","customer":"596","amount":57.17,"direction":"OUT"}`,
		`{"id":"19","time":"2018-04-01T00:00:31Z","customer":"596","amount":100000000,"direction":"OUT"}`,
		`{"id":"20","time":"2018-03-01T00:00:31Z","customer":"596","amount":1}`,
	}, "\n"))
	r := replay(t, "", rulesDir(t, rules), file)
	want := []string{
		`{"line":1,"id":"16","customer":"596","time":"2018-04-01T00:00:31Z","kind":"payment","outcome":"assessed","late":false,"level":"NONE","rules":{"VEL_OUT":"NO_HIT","CHANNEL":"ND"},"features":{"c_n1":"1","c_sum1":"57.16","paid_out":"57.16","mean":"57.16"}}`,
		`{"line":2,"id":"17","customer":"596","time":"2018-04-01T00:00:31.250Z","kind":"transaction","outcome":"assessed","late":false,"level":"MEDIUM","rules":{"VEL_OUT":"HIT"},"features":{"c_n1":"2","c_sum1":"57.159999","paid_out":"57.16","mean":"57.16"},"hits":[{"rule":"VEL_OUT","level":"MEDIUM","shadow":false,"reason":"2 within a day","values":{"feature.c_n1":"2"}}]}`,
		`{"line":4,"id":"18","customer":"596","time":"2018-03-31T12:00:00Z","kind":"payment","outcome":"assessed","late":true,"level":"MEDIUM","rules":{"VEL_OUT":"HIT","CHANNEL":"HIT"},"features":{"c_n1":"1","c_sum1":"0","paid_out":"0"},"hits":[{"rule":"VEL_OUT","level":"MEDIUM","shadow":false,"at_watermark":true,"reason":"3 within a day","values":{"feature.c_n1":"3"}},{"rule":"CHANNEL","level":"LOW","shadow":false,"reason":"pos","values":{"channel":"pos"}}]}`,
		`{"line":5,"id":"16","customer":"596","time":"2018-04-01T00:00:31Z","kind":"payment","outcome":"rejected","reason":"conflict","late":true}`,
		`{"line":6,"id":"19","customer":"596","time":"2018-04-01T00:00:31Z","kind":"payment","outcome":"assessed","late":true,"level":"MEDIUM","rules":{"VEL_OUT":"HIT","CHANNEL":"ND"},"features":{"c_n1":"3","c_sum1":"100000057.16","paid_out":"100000057.16","mean":"50000028.58"},"hits":[{"rule":"VEL_OUT","level":"MEDIUM","shadow":false,"reason":"3 within a day","values":{"feature.c_n1":"3"}}]}`,
		`{"line":7,"id":"20","customer":"596","time":"2018-03-01T00:00:31Z","kind":"payment","outcome":"rejected","reason":"beyond_retention","late":true}`,
	}
	got := strings.Split(strings.TrimSuffix(r.text(t, "facts.jsonl"), "\n"), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d facts, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		g, w := object(t, got[i]), object(t, want[i])
		if detail, ok := g["detail"].(string); ok && w["outcome"] == "rejected" { // for people, so its words may change
			if delete(g, "detail"); len(detail) < 20 {
				t.Errorf("detail %q explains nothing", detail)
			}
		}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("line %d\n got %s\nwant %s", i+1, got[i], want[i])
		}
	}
	if bad := r.rejected(t); len(bad) != 1 || bad[0].Line != 3 || bad[0].Reason != "wrong_type" || !strings.Contains(bad[0].Detail, "note") {
		t.Errorf("rejected: %+v", bad)
	}
}

func object(t *testing.T, text string) (o map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return o
}

// TestFile_EveryFormatOfTheSameRowsGivesTheSameFacts writes one set of rows in every format, with times and amounts in every unit.
func TestFile_EveryFormatOfTheSameRowsGivesTheSameFacts(t *testing.T) {
	var plain, units, lines, reordered strings.Builder
	plain.WriteString("id,time,customer,amount,direction\n")
	units.WriteString("amt_cents,when,acct,ref,dir\n")
	for i := range 300 {
		ms, cents, dir := int64(1_522_540_800_000)+int64(i)*977_001, 5*i, []string{"IN", "OUT"}[i%2]
		customer, id := "c"+strconv.Itoa(i%7), "t"+strconv.Itoa(i)
		iso := stamp(ms)
		fmt.Fprintf(&plain, "%s,%s,%s,%d.%02d,%s\n", id, iso, customer, cents/100, cents%100, dir)
		fmt.Fprintf(&units, "%d,%d.%03d,%s,\"%s\",%s\r\n", cents, ms/1000, ms%1000, customer, id, strings.ToLower(dir))
		fmt.Fprintf(&lines, `{"id":%q,"time":%d,"customer":%q,"amount":%d.%02d,"direction":%q}`+"\n", id, ms, customer, cents/100, cents%100, dir)
		fmt.Fprintf(&reordered, ` { "direction":%q, "amt":"%de-2", "acct":%q, "t":"%d", "id":%q , "counterparty":null} `+"\n\n", dir, cents, customer, ms, id)
	}
	want := ""
	for _, c := range []struct{ name, mapping, content string }{
		{"plain.csv", "", plain.String()},
		{"units.csv.gz", "customer=acct,amount=amt_cents:1e-2,time=when:unix,id=ref,direction=dir", units.String()},
		{"lines.jsonl.gz", "", lines.String()},
		{"reordered.jsonl", "customer=acct,amount=amt,time=t:unixms", reordered.String()},
	} {
		r := replay(t, c.mapping, "", write(t, c.name, c.content))
		got := r.text(t, "facts.jsonl")
		if want == "" {
			want = got
		}
		if n := len(r.facts(t)); n != 300 || got != want {
			t.Errorf("%s: %d facts, not those of plain.csv; rejected %.300s", c.name, n, r.text(t, "rejected.jsonl"))
		}
	}
}

// TestFile_TwoRunsWriteTheSameFacts runs the same disordered lines twice, records of the future among them: nothing that the machine's
// clock or the way of the batches decides may be in facts.jsonl.
func TestFile_TwoRunsWriteTheSameFacts(t *testing.T) {
	content := "id,customer,time,amount\n"
	for i := range 3000 {
		content += fmt.Sprintf("%d,c%d,%s,%d.5\n", i*7%2900, i%29, stamp(int64(1_522_540_800_000)+int64(i*7919%3000)*1_800_000), i)
	}
	content += "f,c1,2199-12-31T23:59:59.999Z,1\n"
	file := write(t, "in.csv", content)
	a, b := replay(t, "", "", file), replay(t, "", "", file)
	for _, name := range []string{"facts.jsonl", "rejected.jsonl"} {
		if x, y := a.text(t, name), b.text(t, name); x != y {
			at := 0
			for at < min(len(x), len(y)) && x[at] == y[at] {
				at++
			}
			t.Errorf("%s differs from byte %d: %.300s\nand %.300s", name, at, x[at:], y[at:])
		}
	}
	reasons := map[string]int{}
	for _, f := range a.facts(t) {
		reasons[f.Outcome+" "+f.Reason]++
	}
	for _, must := range []string{"assessed ", "rejected conflict", "rejected future", "rejected beyond_retention"} {
		if reasons[must] == 0 {
			t.Errorf("no line became %q: %v", must, reasons)
		}
	}
}

// TestFile_EveryLineEndsInOnePlace takes good and bad lines of two files: what is no event stands in rejected.jsonl alone, what monitor
// rejects in facts.jsonl alone, and lines are counted through, without headers and empty lines.
func TestFile_EveryLineEndsInOnePlace(t *testing.T) {
	first := write(t, "first.csv", "id,time,customer,amount,status,memo\n"+
		"a,2018-04-01T00:00:00Z,c,1,,\n"+ // 1
		"\n"+
		"b,2018-04-01T00:00:01Z,c,1\n"+ // 2 field_count
		"c,2018-04-01T00:00:02Z,c,1,,\"two\nlines\"\n"+ // 3
		"d,2018-04-01T00:00:03Z,c,\"1,,\n"+ // 4 invalid_csv
		"e,2018-04-01T00:00:04Z,c,1.5x,,\n"+ // 5 wrong_value
		"f,1900-01-01T00:00:00Z,c,1,,\n"+ // 6 implausible_time
		",2018-04-01T00:00:05Z,c,1,,\n"+ // 7 missing
		"g,2018-04-01T00:00:06Z,c,1000000000000,,\n"+ // 8 amount_range
		"h,2018-04-01T00:00:07Z,c,1,LOST,\n"+ // 9 unknown_state
		"a,2018-04-01T00:00:00Z,c,1.000,,\n"+ // 10 duplicate
		"a,2018-04-01T00:00:00Z,c,2,,\n"+ // 11 conflict
		"i,2199-01-01T00:00:00Z,c,1,,\n"+ // 12 future
		"j,2017-01-01T00:00:00Z,c,1,,\n"+ // 13 beyond_retention
		"k,2018-04-01T00:00:08Z,c,0.0000005,declined,\n"+ // 14
		"l,2018-04-01T00:00:09Z,,1,,\n"+ // 15 missing
		"m,2018-04-01T00:00:10Z,c\xff,1,,\n"+ // 16 invalid_text
		strings.Repeat("n", 257)+",2018-04-01T00:00:11Z,c,1,,\n"+ // 17 too_long
		"a,2018-04-01T00:00:00Z,other,2,,") // 18, another customer's
	second := write(t, "second.jsonl", ""+
		`{"id":"o","time":"2018-04-01T00:00:12Z","customer":"c","amount":1}`+"\n"+ // 19
		"  \n"+
		`{"id":"p","time":"2018-04-01T00:00:12Z","customer":"c","amount":1`+"\n"+ // 20 invalid_json
		`[1]`+"\n"+ // 21 wrong_type
		`{"id":"q","id":"q","time":"2018-04-01T00:00:12Z","customer":"c","amount":1}`+"\n"+ // 22 duplicate_key
		`{"id":"r","time":"2018-04-01T00:00:12Z","customer":"c","amount":1,"x":"`+strings.Repeat("y", 1<<20)+`"}`+"\n"+ // 23 too_large
		`{"id":"s","time":"2018-04-01T00:00:12Z","customer":"c","amount":1,"currency":"USD"}`+"\n"+ // 24
		`{"id":"t","time":1522540812,"customer":"c","amount":1}`) // 25, 1970: seconds where milliseconds belong
	r := replay(t, "", rulesDir(t, windows), first, second)
	wantFacts := map[int]string{
		1: "assessed", 3: "assessed", 9: "rejected unknown_state", 10: "duplicate", 11: "rejected conflict", 12: "rejected future", 13: "rejected beyond_retention",
		14: "assessed", 18: "assessed", 19: "assessed", 24: "assessed", 25: "rejected beyond_retention",
	}
	wantRejected := map[int]string{
		2: "field_count", 4: "invalid_csv", 5: "wrong_value", 6: "implausible_time", 7: "missing", 8: "amount_range", 15: "missing", 16: "invalid_text", 17: "too_long",
		20: "invalid_json", 21: "wrong_type", 22: "duplicate_key", 23: "too_large",
	}
	facts, rejected := map[int]string{}, map[int]string{}
	byLine := map[int]factLine{}
	last := 0
	for _, f := range r.facts(t) {
		facts[f.Line], byLine[f.Line] = strings.TrimSpace(f.Outcome+" "+f.Reason), f
		if f.Line <= last {
			t.Errorf("line %d stands behind line %d", f.Line, last)
		}
		if last = f.Line; (f.Outcome == "assessed") != (f.Features != nil) || (f.Outcome == "assessed") != (f.Level != "") {
			t.Errorf("line %d: %+v", f.Line, f)
		}
	}
	last = 0
	for _, f := range r.rejected(t) {
		rejected[f.Line] = f.Reason
		if f.Line <= last || f.Detail == "" {
			t.Errorf("rejected line %d behind line %d with detail %q", f.Line, last, f.Detail)
		}
		last = f.Line
	}
	if !maps.Equal(facts, wantFacts) {
		t.Errorf("facts\n got %v\nwant %v", facts, wantFacts)
	}
	if !maps.Equal(rejected, wantRejected) {
		t.Errorf("rejected\n got %v\nwant %v", rejected, wantRejected)
	}
	// What is not counted (a declined one, line 14) or in another currency (24) must not move the windows in the wrong way.
	if f := byLine[24].Features; f["c_n1"] != "4" || f["c_sum1"] != "3" {
		t.Errorf("line 24 has %v; four counted, one of them with no rate", f)
	}
	for _, say := range []string{"25 lines", "assessed", "duplicate", "conflict 1", "invalid_csv 1", "archive: off", "facts.jsonl", "USD"} {
		if !strings.Contains(r.summary, say) {
			t.Errorf("the summary does not say %q:\n%s", say, r.summary)
		}
	}
}

// TestFile_EveryAssessedLineHasOneCloudEvent holds results.jsonl against facts.jsonl and the reference document.
func TestFile_EveryAssessedLineHasOneCloudEvent(t *testing.T) {
	rules := `{id: BIG, version: 1, name: big, nature: AML, on: [payment], when: amount >= 100, level: HIGH, score: 1, reason: big}
---
{id: MIDDLE, version: 1, name: middle, nature: AML, on: [payment], when: amount >= 50, level: MEDIUM, score: 1, reason: middle}
`
	content := "id,customer,time,amount\n"
	for i := range 400 {
		content += fmt.Sprintf("t%d,c%d,%s,%d\n", i%390, i%10, stamp(1_522_540_800_000+int64(i%390)*1000), i%130)
	}
	r := replay(t, "", rulesDir(t, rules), write(t, "in.csv", content))
	want := map[string][]string{} // by subject: the level of each assessment
	for _, f := range r.facts(t) {
		if f.Outcome == "assessed" {
			want[f.ID] = append(want[f.ID], f.Level)
		}
	}
	ids, guids := map[string]bool{}, map[string]bool{}
	got := map[string][]string{}
	for _, e := range r.results(t) {
		level := e.Data["initialRiskLevel"]
		got[e.Subject] = append(got[e.Subject], level)
		keys := slices.Sorted(maps.Keys(e.Data))
		kind, wantKeys := "completed", []string{"assessmentGuid", "decisionType", "finalRiskLevel", "initialRiskLevel"}
		if level == "HIGH" {
			kind, wantKeys = "pending", []string{"assessmentGuid", "initialRiskLevel"}
		}
		if e.Type != "app.amlyze.operation.riskmanagement.operation_realtime."+kind || !slices.Equal(keys, wantKeys) || e.SpecVersion != "1.0" ||
			e.Source != "customer" || e.DataContentType != "application/json" || !strings.HasSuffix(e.Time, "Z") {
			t.Errorf("%+v", e)
		}
		if kind == "completed" && (e.Data["decisionType"] != "ACCEPTED" || e.Data["finalRiskLevel"] != level) {
			t.Errorf("policy decides %v", e.Data)
		}
		if guid := e.Data["assessmentGuid"]; ids[e.ID] || guids[guid] || len(guid) != 36 {
			t.Errorf("id %s or guid %s stands twice", e.ID, guid)
		}
		ids[e.ID], guids[e.Data["assessmentGuid"]] = true, true
	}
	for _, byID := range []map[string][]string{want, got} {
		for id := range byID {
			slices.Sort(byID[id])
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("results of %d ids, assessments of %d", len(got), len(want))
	}
	if len(ids) != 390 { // ten came twice
		t.Errorf("%d results of 400 lines", len(ids))
	}
}
