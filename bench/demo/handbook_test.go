package demo

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// handbookMapping names the columns of the handbook's files.
const handbookMapping = "id=tx_id,time=ts:unix,customer=customer,amount=amount_cents:1e-2"

// handbookColumns are the features in the order of the expected columns behind tx_id; a sum is in cents there.
var handbookColumns = []string{"c_n1", "c_sum1", "c_n7", "c_sum7", "c_n30", "c_sum30"}

var handbookMonths = []string{"2018-04", "2018-05"}

// handbookLines reads one of the handbook's files.
func handbookLines(t *testing.T, name string) (next func() string) {
	t.Helper()
	return gzipLines(t, "handbook", name)
}

// gzipLines reads a file of the independent data without its header, and returns "" behind the last line. Its cells hold no quotes.
func gzipLines(t *testing.T, set, name string) (next func() string) {
	t.Helper()
	f, err := os.Open(data(t, set, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Scan()
	return func() string {
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return ""
		}
		return lines.Text()
	}
}

// handbookRow is one row of the handbook's months with its expected columns.
type handbookRow struct {
	tx       string // the line of tx-YYYY-MM.csv
	id       string
	customer string
	seconds  int64
	expect   []string // by handbookColumns, as the product writes them
}

// handbookMonth reads one month's rows: of the customers in keep, or of all where that is nil.
func handbookMonth(t *testing.T, month string, keep map[string]bool, fn func(r *handbookRow)) {
	t.Helper()
	tx, expect := handbookLines(t, "tx-"+month+".csv.gz"), handbookLines(t, "expect-"+month+".csv.gz")
	for line := tx(); line != ""; line = tx() {
		want := expect()
		cells := strings.SplitN(line, ",", 4)
		r := handbookRow{tx: line, id: cells[0], customer: cells[2]}
		if keep != nil && !keep[r.customer] {
			continue
		}
		columns := strings.SplitN(want, ",", 2+len(handbookColumns))
		if columns[0] != r.id {
			t.Fatalf("the handbook's files differ: row %s stands beside %s", r.id, want)
		}
		var err error
		if r.seconds, err = strconv.ParseInt(cells[1], 10, 64); err != nil {
			t.Fatal(err)
		}
		r.expect = columns[1 : 1+len(handbookColumns)]
		for i, name := range handbookColumns {
			if strings.HasPrefix(name, "c_sum") {
				r.expect[i] = hundredths(t, r.expect[i])
			}
		}
		fn(&r)
	}
}

// hundredths is whole cents as decimal text without trailing zeros.
func hundredths(t *testing.T, cents string) string {
	t.Helper()
	n, err := strconv.ParseInt(cents, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s := fmt.Sprintf("%d.%02d", n/100, n%100)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// compareHandbook holds facts.jsonl against the handbook's columns row by row: of the customers in keep, or of all. each, unless nil,
// sees every fact.
func compareHandbook(t *testing.T, r replayed, rows iter.Seq[*handbookRow], each func(f *factLine)) (n int) {
	t.Helper()
	next, stop := iter.Pull(rows)
	defer stop()
	watermark := map[string]int64{}
	different := 0
	n = eachLine(t, r, "facts.jsonl", func(f *factLine) {
		want, ok := next()
		if !ok {
			t.Fatalf("row %s has a fact too many", f.ID)
		}
		late := want.seconds < watermark[want.customer]
		watermark[want.customer] = max(watermark[want.customer], want.seconds)
		same := f.ID == want.id && f.Customer == want.customer && f.Outcome == "assessed" && f.Late != nil && *f.Late == late && len(f.Features) == len(handbookColumns)
		for i, name := range handbookColumns {
			same = same && f.Features[name] == want.expect[i]
		}
		if !same {
			if different++; different <= 5 {
				t.Errorf("row %s, late %v, wants %v, got %+v", want.tx, late, want.expect, *f)
			}
		}
		if each != nil {
			each(f)
		}
	})
	if want, more := next(); more {
		t.Errorf("%d facts; row %s has none", n, want.id)
	}
	if different > 0 {
		t.Errorf("%d of %d rows differ", different, n)
	}
	if bad := r.text(t, "rejected.jsonl"); bad != "" {
		t.Errorf("rejected.jsonl holds %.500s", bad)
	}
	return n
}

// TestData_HandbookSliceEqualsEveryColumn replays both months of the customers that have a row which tells boundary conventions apart:
// one exactly a window's length after another, or two in one second.
func TestData_HandbookSliceEqualsEveryColumn(t *testing.T) {
	customers := map[string]bool{}
	edges := handbookLines(t, "edge-rows.csv.gz")
	for line := edges(); line != ""; line = edges() {
		if cells := strings.Split(line, ","); strings.HasPrefix(cells[0], "cust_") {
			customers[cells[3]] = true
		}
	}
	var files []string
	var rows []*handbookRow
	for _, month := range handbookMonths {
		var b strings.Builder
		b.WriteString("tx_id,ts,customer,terminal,amount_cents,fraud,scenario\n")
		handbookMonth(t, month, customers, func(r *handbookRow) {
			b.WriteString(r.tx + "\n")
			rows = append(rows, r)
		})
		files = append(files, write(t, month+".csv.gz", b.String()))
	}
	r := replay(t, handbookMapping, rulesDir(t, windows), files...)
	n := compareHandbook(t, r, slices.Values(rows), nil)
	if len(customers) < 60 || n < 10_000 {
		t.Errorf("%d rows of %d customers: the slice is not what it was", n, len(customers))
	}
	t.Logf("%d rows of %d customers", n, len(customers))
}

// handbookRules are the rules of which the data's README lists the hits, over its two months.
var handbookRules = []struct {
	id, when        string
	rows, customers int
}{
	{"N1_8", "feature.c_n1 >= 8", 17_908, 1_982},
	{"N1_10", "feature.c_n1 >= 10", 2_520, 779},
	{"SUM1_500", "feature.c_sum1 >= 500", 31_756, 1_591},
	{"SUM7_2000", "feature.c_sum7 >= 2000", 59_326, 998},
	{"N30_120", "feature.c_n30 >= 120", 15_807, 372},
	{"AMOUNT_220", "amount > 220", 1_098, 344},
	{"FIVE_TIMES_AVERAGE", "amount * feature.c_n30 > 5 * feature.c_sum30 && feature.c_n30 >= 10", 270, 112},
}

// TestData_HandbookWholeEqualsEveryColumnAndItsRulesHitAsListed replays April and May whole; it runs with STREAMGAUGE_TEST_DATA=all only.
func TestData_HandbookWholeEqualsEveryColumnAndItsRulesHitAsListed(t *testing.T) {
	if os.Getenv("STREAMGAUGE_TEST_DATA") != "all" {
		t.Skip("STREAMGAUGE_TEST_DATA=all (make test-data) replays all 585,177 rows")
	}
	rules := windows
	for _, r := range handbookRules {
		rules += fmt.Sprintf("---\n{id: %s, version: 1, name: %s, nature: AML, on: [payment], when: %q, level: LOW, score: 1, reason: hit}\n", r.id, r.id, r.when)
	}
	var files []string
	for _, month := range handbookMonths {
		files = append(files, data(t, "handbook", "tx-"+month+".csv.gz"))
	}
	r := replay(t, handbookMapping, rulesDir(t, rules), files...)
	rows, customers := map[string]int{}, map[string]map[string]bool{}
	all := func(yield func(*handbookRow) bool) {
		for _, month := range handbookMonths {
			handbookMonth(t, month, nil, func(r *handbookRow) { yield(r) }) // whoever stops early has failed
		}
	}
	n := compareHandbook(t, r, all, func(f *factLine) {
		if len(f.Rules) != len(handbookRules) {
			t.Fatalf("row %s has %d outcomes of %d rules", f.ID, len(f.Rules), len(handbookRules))
		}
		for id, outcome := range f.Rules {
			if outcome == "HIT" {
				if rows[id]++; customers[id] == nil {
					customers[id] = map[string]bool{}
				}
				customers[id][f.Customer] = true
			}
		}
	})
	if n != 585_177 {
		t.Errorf("%d rows compared, want 585177", n)
	}
	for _, want := range handbookRules {
		if rows[want.id] != want.rows || len(customers[want.id]) != want.customers {
			t.Errorf("%s (%s) hit %d rows of %d customers, want %d of %d", want.id, want.when, rows[want.id], len(customers[want.id]), want.rows, want.customers)
		}
	}
	ids := map[string]bool{}
	eachLine(t, r, "results.jsonl", func(e *resultLine) { ids[e.ID] = true })
	if len(ids) != n {
		t.Errorf("%d different results of %d assessments", len(ids), n)
	}
}
