package oracle

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// data is the folder of independent data beside the repository.
const data = "../../../shared/data"

func open(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(data, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("independent data %s is not beside the repository", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestOracle_WindowIsLeftOpenRightClosed(t *testing.T) {
	l := newLog(t, plain(2*hour, Feature{Name: "n", Func: Count, Window: hour}, Feature{Name: "sum", Func: Sum, Window: hour}))
	l.step(pay("a", 0, 1))
	w := l.step(pay("b", hour-1, 10))
	l.feature("1 ms before a leaves", w, "sum", "11")
	w = l.step(pay("d", hour, 100))
	l.feature("exactly W after a", w, "sum", "110")
	l.feature("exactly W after a", w, "n", "2")
	l.feature("exactly W after b", l.step(pay("e", 2*hour-1, 1000)), "sum", "1100")
}

func TestOracle_TiesCountInLogOrder(t *testing.T) {
	l := newLog(t, plain(2*hour, Feature{Name: "n", Func: Count, Window: 1}, Feature{Name: "sum", Func: Sum, Window: hour}))
	for i, want := range []string{"1", "3", "7"} {
		w := l.step(pay(fmt.Sprint(i), 5, 1<<i))
		l.feature("tie", w, "sum", want)
		l.feature("tie", w, "n", fmt.Sprint(i+1))
		if w.Late {
			t.Error("an event at the watermark is not late")
		}
	}
}

func TestOracle_LateEventIsCountedAtItsOwnTime(t *testing.T) {
	l := newLog(t, plain(2*hour, Feature{Name: "n", Func: Count, Window: hour}, Feature{Name: "sum", Func: Sum, Window: hour}))
	l.step(pay("a", 0, 1))
	l.step(pay("b", 40*minute, 10))
	w := l.step(pay("late", 20*minute, 100))
	if !w.Late {
		t.Error("not late")
	}
	l.feature("the late event does not see what is after it", w, "sum", "101")
	l.feature("a later event sees the late one at its own time", l.step(pay("d", 70*minute, 1000)), "sum", "1110")
	l.feature("which leaves at its own time", l.step(pay("e", 80*minute, 10_000)), "sum", "11010")
}

func TestOracle_WindowBelowTheHorizonIsNotDeterminable(t *testing.T) {
	l := newLog(t, plain(2*hour, Feature{Name: "hour", Func: Count, Window: hour}, Feature{Name: "two", Func: Count, Window: 2 * hour}, Feature{Name: "avg", Func: Avg, Window: hour}))
	w := l.step(pay("a", 0, 1))
	l.feature("no late event: history is complete", w, "two", "1")
	l.step(pay("b", 2*hour-1, 1))
	w = l.step(pay("late", hour-1, 1))
	l.feature("the window begins exactly at the horizon", w, "hour", "2")
	l.feature("the window begins before the horizon", w, "two", "ND")
	w = l.step(pay("later", hour-2, 1))
	l.feature("1 ms below the horizon", w, "hour", "ND")
	l.feature("1 ms below the horizon", w, "avg", "ND")
	if l.step(pay("far", 50*hour, 1)).Features[1].ND {
		t.Error("an event at the watermark always sees its windows")
	}
}

func TestOracle_UncountedForeignAndIncomingEvents(t *testing.T) {
	l := newLog(t, plain(2*hour,
		Feature{Name: "n", Func: Count, Window: hour}, Feature{Name: "sum", Func: Sum, Window: hour}, Feature{Name: "avg", Func: Avg, Window: hour},
		Feature{Name: "min", Func: Min, Window: hour}, Feature{Name: "max", Func: Max, Window: hour},
		Feature{Name: "out", Func: Sum, Window: hour, Side: schemas.SideOut}, Feature{Name: "in", Func: Count, Window: hour, Side: schemas.SideIn},
		Feature{Name: "minOut", Func: Min, Window: hour, Side: schemas.SideOut},
		Feature{Name: "cp", Func: Distinct, Window: hour, Field: schemas.FieldCounterparty}))
	declined := pay("a", 0, 500)
	declined.SetText(schemas.FieldState, "DECLINED")
	w := l.step(declined)
	l.expect("a declined event", w, schemas.Assessed, "")
	for name, want := range map[string]string{"n": "0", "sum": "0", "avg": "ND", "min": "ND", "max": "ND", "cp": "0"} {
		l.feature("a declined event alone", w, name, want)
	}
	foreign := pay("b", 1, 700)
	foreign.SetText(schemas.FieldCurrency, "USD")
	foreign.SetText(schemas.FieldCounterparty, "")
	w = l.step(foreign)
	for name, want := range map[string]string{"n": "1", "sum": "0", "avg": "ND", "cp": "1"} {
		l.feature("a foreign event counts and has no base amount", w, name, want)
	}
	in := pay("d", 2, -10)
	in.Side = schemas.SideIn
	in.SetText(schemas.FieldCurrency, "EUR")
	in.SetText(schemas.FieldCounterparty, "x")
	w = l.step(in)
	for name, want := range map[string]string{"n": "2", "sum": "-10", "avg": "-10", "min": "-10", "max": "-10", "out": "0", "in": "1", "minOut": "ND", "cp": "2"} {
		l.feature("an incoming event", w, name, want)
	}
	e := pay("e", 3, 0)
	e.Amount = 5
	e.SetText(schemas.FieldState, "SENT")
	e.SetText(schemas.FieldCounterparty, "x")
	w = l.step(e)
	// the mean of −10 and 0.000005 is −4.9999975, half way between two sixth places
	for name, want := range map[string]string{"n": "3", "sum": "-9.999995", "avg": "-4.999998", "min": "-10", "max": "0.000005", "out": "0.000005", "cp": "2"} {
		l.feature("six places", w, name, want)
	}
}

// streamsCase is one case of kafka-streams-sliding.json.
type streamsCase struct {
	Name    string
	Grace   int64          `json:"grace_ms"`
	Events  []streamsEvent `json:"events_in_arrival_order"`
	Windows []struct {
		Key     string
		End     int64
		Members []int64
	} `json:"final_windows_ending_at_an_event"`
}

type streamsEvent struct {
	Key       string
	Value, TS int64
}

// TestOracle_KafkaStreamsSlidingWindows: [t−10, t] there is (t−11, t] here. The final members of the window that ends at an event are what
// the event itself sees where all arrive in order of time, and those of them that came before it where they do not.
func TestOracle_KafkaStreamsSlidingWindows(t *testing.T) {
	var file struct{ Cases []streamsCase }
	if err := json.NewDecoder(open(t, "rule-scenarios/kafka-streams-sliding.json")).Decode(&file); err != nil {
		t.Fatal(err)
	}
	windows := 0
	for _, c := range file.Cases {
		if c.Grace == 0 {
			continue // drops late events, which the contract never does
		}
		windows += c.replay(t, false)
		slices.SortStableFunc(c.Events, func(a, b streamsEvent) int { return int(a.TS - b.TS) })
		windows += c.replay(t, true)
	}
	if windows != 2*(19+3) {
		t.Errorf("%d windows compared, want 44", windows)
	}
}

// replay feeds the case's events as they stand and returns how many windows were compared.
func (c *streamsCase) replay(t *testing.T, inOrder bool) (windows int) {
	t.Helper()
	l := newLog(t, plain(day, Feature{Name: "n", Func: Count, Window: 11}, Feature{Name: "sum", Func: Sum, Window: 11}))
	arrived := map[string][]int64{}
	for _, e := range c.Events {
		x := pay(fmt.Sprint(e.Key, e.Value), e.TS, e.Value)
		x.Customer = e.Key
		w := l.step(x)
		arrived[e.Key] = append(arrived[e.Key], e.Value)
		for _, win := range c.Windows {
			if win.Key != e.Key || win.End != e.TS {
				continue
			}
			var n, sum int64
			for _, m := range win.Members {
				if slices.Contains(arrived[e.Key], m) {
					n, sum = n+1, sum+m
				}
			}
			if inOrder && int(n) != len(win.Members) {
				t.Errorf("%s: %s ends at %d with %d of %d members", c.Name, e.Key, e.TS, n, len(win.Members))
			}
			what := fmt.Sprintf("%s, %s at %d, in order %v", c.Name, e.Key, e.TS, inOrder)
			l.feature(what, w, "n", fmt.Sprint(n))
			l.feature(what, w, "sum", fmt.Sprint(sum))
			windows++
		}
	}
	return windows
}

// handbookFeatures are the features of the handbook's c_ columns, in their order.
func handbookFeatures() []Feature {
	var list []Feature
	for _, days := range []int64{1, 7, 30} {
		list = append(list, Feature{Name: fmt.Sprintf("c_n%d", days), Func: Count, Window: days * day}, Feature{Name: fmt.Sprintf("c_sum%d", days), Func: Sum, Window: days * day})
	}
	return list
}

// handbook replays rows of a month and compares the six c_ columns. keep chooses customers; most bounds the rows read, 0: all.
func handbook(t *testing.T, l *log, month string, keep func(customer string) bool, most int) (compared int) {
	t.Helper()
	tx, expect := rows(t, "handbook/tx-"+month+".csv.gz"), rows(t, "handbook/expect-"+month+".csv.gz")
	for n := 0; most == 0 || n < most; n++ {
		row, err := tx.Read()
		want, errWant := expect.Read()
		if err == io.EOF && errWant == io.EOF {
			break
		}
		if err := errors.Join(err, errWant); err != nil {
			t.Fatal(err)
		}
		if !keep(row[2]) {
			continue
		}
		seconds, _ := strconv.ParseInt(row[1], 10, 64)
		cents, _ := strconv.ParseInt(row[4], 10, 64)
		w := l.step(schemas.Event{
			Kind: schemas.KindPayment, Customer: row[2], ID: row[0], Time: seconds * 1000, Amount: cents * schemas.Micro / 100, HasAmount: true,
		})
		l.expect("row "+row[0], w, schemas.Assessed, "")
		for i, m := range w.Features {
			v, _ := strconv.ParseInt(want[1+i], 10, 64)
			expected := schemas.I128(v * schemas.Micro)
			if strings.HasPrefix(m.Name, "c_sum") {
				expected = schemas.I128(v * schemas.Micro / 100)
			}
			if m.ND || m.Value != expected {
				t.Fatalf("row %s, %s: %s (ND %v), want %s", row[0], m.Name, m.Value.Decimal(), m.ND, expected.Decimal())
			}
			compared++
		}
	}
	return compared
}

func rows(t *testing.T, name string) *csv.Reader {
	t.Helper()
	z, err := gzip.NewReader(open(t, name))
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(z)
	r.ReuseRecord = true
	if _, err := r.Read(); err != nil { // the header
		t.Fatal(err)
	}
	return r
}

func TestOracle_HandbookSliceInEveryColumn(t *testing.T) {
	l := newLog(t, plain(31*day, handbookFeatures()...))
	if n := handbook(t, l, "2018-04", func(string) bool { return true }, 20_000); n != 6*20_000 {
		t.Errorf("%d values compared, want %d", n, 6*20_000)
	}
}

// TestOracle_HandbookEdgeRows replays both months of the customers who have a row that tells boundary conventions apart.
func TestOracle_HandbookEdgeRows(t *testing.T) {
	customers := map[string]bool{}
	edges := rows(t, "handbook/edge-rows.csv.gz")
	for {
		row, err := edges.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(row[0], "cust_") {
			customers[row[3]] = true
		}
	}
	l := newLog(t, plain(31*day, handbookFeatures()...))
	keep := func(customer string) bool { return customers[customer] }
	n := handbook(t, l, "2018-04", keep, 0) + handbook(t, l, "2018-05", keep, 0)
	t.Logf("%d customers, %d values compared", len(customers), n)
	if len(customers) == 0 || n < 6*1000 {
		t.Errorf("%d values of %d customers compared", n, len(customers))
	}
}
