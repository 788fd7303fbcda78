package demo

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// terminalMapping takes the handbook's terminals for customers; fraud stays an attribute.
const terminalMapping = "id=tx_id,time=ts:unix,customer=terminal,amount=amount_cents:1e-2"

// terminalColumns are the features in the order of the expected columns behind the customers' ones: events and frauds of a terminal over
// 1, 7 and 30 days, seven days ago and before, when frauds have become known.
var terminalColumns = []string{"k_n1", "k_fraud1", "k_n7", "k_fraud7", "k_n30", "k_fraud30"}

const terminalFeatures = `features:
  - {name: k_n1, expr: "count(delay('1d', '7d'))"}
  - {name: k_fraud1, expr: "count(delay('1d', '7d'), attr.fraud == '1')"}
  - {name: k_n7, expr: "count(delay('7d', '7d'))"}
  - {name: k_fraud7, expr: "count(delay('7d', '7d'), attr.fraud == '1')"}
  - {name: k_n30, expr: "count(delay('30d', '7d'))"}
  - {name: k_fraud30, expr: "count(delay('30d', '7d'), attr.fraud == '1')"}
`

// terminalRules are the rules of which the data's README lists the hits.
var terminalRules = []struct {
	id, when string
	rows     int
}{
	{"RISK7", "feature.k_n7 > 0 && 2 * feature.k_fraud7 >= feature.k_n7", 2_204},
	{"RISK30", "feature.k_n30 >= 5 && 10 * feature.k_fraud30 >= feature.k_n30", 3_644},
}

func terminalRulesText() string {
	text := terminalFeatures
	for _, r := range terminalRules {
		text += fmt.Sprintf("---\n{id: %s, version: 1, name: %s, nature: FRAUD, on: [payment, transaction], when: %q, level: LOW, score: 1, reason: hit}\n", r.id, r.id, r.when)
	}
	return text
}

// terminalRows calls fn for every row of both months with its expected columns: of the terminals in keep, or of all.
func terminalRows(t *testing.T, keep map[string]bool, fn func(tx string, expect []string)) {
	t.Helper()
	for _, month := range handbookMonths {
		tx, expect := handbookLines(t, "tx-"+month+".csv.gz"), handbookLines(t, "expect-"+month+".csv.gz")
		for line := tx(); line != ""; line = tx() {
			want := strings.Split(expect(), ",")
			if keep == nil || keep[strings.SplitN(line, ",", 5)[3]] {
				fn(line, want[1+len(handbookColumns):])
			}
		}
	}
}

// compareTerminals holds facts.jsonl against the expected columns, and counts the rules' hits.
func compareTerminals(t *testing.T, r replayed, keep map[string]bool) (rows int, hits map[string]int) {
	t.Helper()
	hits = map[string]int{}
	facts := r.facts(t)
	frauds := 0
	terminalRows(t, keep, func(tx string, expect []string) {
		if rows == len(facts) {
			t.Fatalf("row %s has no fact", tx)
		}
		f := &facts[rows]
		rows++
		same := f.ID == strings.SplitN(tx, ",", 2)[0] && f.Outcome == "assessed" && len(f.Features) == len(terminalColumns)
		for i, name := range terminalColumns {
			same = same && f.Features[name] == expect[i]
		}
		if !same {
			t.Fatalf("row %s wants %v, got %+v", tx, expect, *f)
		}
		if expect[5] != "0" {
			frauds++
		}
		for id, verdict := range f.Rules {
			if verdict == "HIT" {
				hits[id]++
			}
		}
	})
	if rows != len(facts) || frauds == 0 {
		t.Errorf("%d rows, %d facts, %d rows behind a fraud", rows, len(facts), frauds)
	}
	return rows, hits
}

// TestData_HandbookTerminalsSliceEqualsEveryColumn replays both months of the terminals that have a row which tells boundary conventions
// of delayed windows apart.
func TestData_HandbookTerminalsSliceEqualsEveryColumn(t *testing.T) {
	terminals := map[string]bool{}
	edges := handbookLines(t, "edge-rows.csv.gz")
	for line := edges(); line != ""; line = edges() {
		if cells := strings.Split(line, ","); strings.HasPrefix(cells[0], "term_") {
			terminals[cells[4]] = true
		}
	}
	seen := map[string]bool{} // and of all terminals with a fraud among the first ones of April
	fraud := handbookLines(t, "tx-2018-04.csv.gz")
	for line := fraud(); line != "" && len(seen) < 60; line = fraud() {
		if cells := strings.Split(line, ","); cells[5] == "1" {
			seen[cells[3]], terminals[cells[3]] = true, true
		}
	}
	var b strings.Builder
	b.WriteString("tx_id,ts,customer,terminal,amount_cents,fraud,scenario\n")
	terminalRows(t, terminals, func(tx string, _ []string) { b.WriteString(tx + "\n") })
	r := replay(t, terminalMapping, rulesDir(t, terminalRulesText()), write(t, "tx.csv.gz", b.String()))
	rows, hits := compareTerminals(t, r, terminals)
	t.Logf("%d rows of %d terminals, hits %v", rows, len(terminals), hits)
	if rows < 3_000 || hits["RISK7"] == 0 || hits["RISK30"] == 0 {
		t.Errorf("%d rows, hits %v: the slice is not what it was", rows, hits)
	}
}

// TestData_HandbookTerminalsWholeEqualEveryColumn replays April and May whole; it runs with STREAMGAUGE_TEST_DATA=all only.
func TestData_HandbookTerminalsWholeEqualEveryColumn(t *testing.T) {
	if os.Getenv("STREAMGAUGE_TEST_DATA") != "all" {
		t.Skip("STREAMGAUGE_TEST_DATA=all (make test-data) replays all 585,177 rows")
	}
	var files []string
	for _, month := range handbookMonths {
		files = append(files, data(t, "handbook", "tx-"+month+".csv.gz"))
	}
	rows, hits := compareTerminals(t, replay(t, terminalMapping, rulesDir(t, terminalRulesText()), files...), nil)
	if rows != 585_177 {
		t.Errorf("%d rows compared, want 585177", rows)
	}
	for _, want := range terminalRules {
		if hits[want.id] != want.rows {
			t.Errorf("%s (%s) hit %d rows, want %d", want.id, want.when, hits[want.id], want.rows)
		}
	}
}
