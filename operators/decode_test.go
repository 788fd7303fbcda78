package operators

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/schemas"
)

var update = flag.Bool("update", false, "rewrite golden files")

var testSources = Sources{
	{Name: "core", Team: "tm", Topic: schemas.Payments, Format: "spektr"},
	{Name: "file", Team: "tm", Topic: schemas.Transactions, Format: "flat"},
}

// intake takes one value through the whole chain, as the runner does.
func intake(t testing.TB, topic string, value []byte) *Item {
	t.Helper()
	it := &Item{Value: value, Offset: 7}
	b := &Batch{Topic: topic, Partition: 3, Items: []*Item{it}}
	for _, op := range []Operator{Decode{testSources}, Validate{}, Link{"org"}} {
		if err := op.Process(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if it.Rejected {
			break
		}
	}
	return it
}

// render is an item's fate on one line.
func render(it *Item) string {
	if it.Rejected {
		return it.Reason + " | " + it.Detail
	}
	e := &it.Event
	s := fmt.Sprintf("%s %s %s %q of %q, %s", e.Kind, e.Side, time.UnixMilli(e.Time).UTC().Format(time.RFC3339Nano), e.ID, e.Customer,
		schemas.FormatAmount(e.Amount))
	for f := schemas.FieldCurrency; f < schemas.NumFields; f++ {
		if v, ok := e.Text(f); ok {
			s += fmt.Sprintf(", %s %q", f, v)
		}
	}
	for _, a := range e.Attributes {
		s += fmt.Sprintf(", attr.%s %q", a.Name, a.Value)
	}
	if len(e.Flags) > 0 {
		s += fmt.Sprintf(", flags %v", e.Flags)
	}
	return s
}

func TestDecode_EveryCaseOfTheGoldenFilesHasItsResult(t *testing.T) {
	for topic, file := range map[string]string{schemas.Payments: "spektr.txt", schemas.Transactions: "flat.txt"} {
		path := filepath.Join("testdata", "intake", file)
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for line := range strings.Lines(string(want)) {
			if strings.HasPrefix(line, "=> ") {
				continue
			}
			got.WriteString(line)
			if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
				got.WriteString("=> " + render(intake(t, topic, []byte(line))) + "\n")
			}
		}
		if *update {
			if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, expected := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
		for i := range max(len(have), len(expected)) {
			if i >= len(have) || i >= len(expected) || have[i] != expected[i] {
				t.Errorf("%s: line %d differs; -update rewrites it if that is meant\n got %s\nwant %s", file, i+1,
					strings.Join(have[i:min(i+1, len(have))], ""), strings.Join(expected[i:min(i+1, len(expected))], ""))
				break
			}
		}
	}
}

func TestDecode_V1_OneBadItemSinksNoOther(t *testing.T) {
	payment := func(id, createdAt string) []byte {
		return []byte(`{"type":"paymentMade","workspaceId":"w","spektrId":"c"` + createdAt +
			`,"eventData":{"transaction_id":"` + id + `","type":"deposit","amount":1,"currency":"EUR"}}`)
	}
	b := &Batch{Topic: schemas.Payments, Items: []*Item{
		{Value: payment("1", `,"createdAt":1522540831000`)}, {Value: []byte(`{"type":"foo"}`)}, {Value: payment("3", "")},
	}}
	if err := (Decode{testSources}).Process(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if it := b.Items[0]; it.Rejected || it.Event.ID != "1" {
		t.Errorf("item 1: %s", render(it))
	}
	if it := b.Items[1]; it.Reason != ReasonUnknownType || !strings.Contains(it.Detail, "paymentMade or recordUpdated") {
		t.Errorf("item 2: %s", render(it))
	}
	if it := b.Items[2]; it.Reason != ReasonMissing || !strings.Contains(it.Detail, "createdAt") {
		t.Errorf("item 3: %s", render(it))
	}
}

func TestDecode_AReusedItemKeepsNothingOfTheLastRecord(t *testing.T) {
	it := &Item{}
	b := &Batch{Topic: schemas.Transactions, Items: []*Item{it}}
	for _, value := range []string{
		`{"id":"1","time":1,"customer":"c","amount":0.0000001,"currency":"EUR","country":"DE","x":"1","y":"2","direction":"IN"}`,
		`{"id":"2","time":2,"customer":"d","amount":3}`,
	} {
		it.Value = []byte(value)
		if err := (Decode{testSources}).Process(t.Context(), b); err != nil || it.Rejected {
			t.Fatal(err, it.Detail)
		}
	}
	if got, want := render(it), `payment NONE 1970-01-01T00:00:00.002Z "2" of "d", 3`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDecode_TheEventSurvivesTheRecordsMemory(t *testing.T) {
	value := []byte(`{"id":"t1","time":1,"customer":"c1","amount":3,"currency":"EUR","channel":"p\u006fs","x":"1","y":22}`)
	it := intake(t, schemas.Transactions, value)
	before := render(it)
	for i := range value {
		value[i] = 'Z'
	}
	if after := render(it); after != before {
		t.Errorf("the event shares the record's memory\nbefore %s\nafter  %s", before, after)
	}
}

func TestDecode_LimitsHoldAtTheirEdge(t *testing.T) {
	flat := func(more string) string {
		return `{"id":"i","time":1,"customer":"c","amount":1` + more + `}`
	}
	attrs := func(n int) (s string) {
		for i := range n {
			s += fmt.Sprintf(`,"a%d":%d`, i, i)
		}
		return s
	}
	nested := func(depth int) string { // the object itself is the first level
		return `{"x":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
	}
	text := func(n int) string { return strings.Repeat("ü", n/2) }
	for _, c := range []struct{ name, value, reason string }{
		{"value size", flat(strings.Repeat(" ", MaxValue-len(flat("")))), ""},
		{"value size +1", flat(strings.Repeat(" ", MaxValue-len(flat(""))+1)), ReasonTooLarge},
		{"depth", nested(MaxDepth), ReasonMissing},
		{"depth +1", nested(MaxDepth + 1), ReasonTooDeep},
		{"attributes", flat(attrs(MaxAttributes)), ""},
		{"attributes +1", flat(attrs(MaxAttributes + 1)), ReasonTooManyFields},
		{"members +1", `{"x":{"n":0` + attrs(MaxMembers) + `}}`, ReasonTooManyFields},
		{"text", flat(`,"channel":"` + text(MaxText) + `"`), ""},
		{"text +", flat(`,"channel":"` + text(MaxText+2) + `"`), ReasonTooLong},
		{"country", flat(`,"country":"` + text(MaxCountry) + `"`), ""},
		{"country +", flat(`,"country":"` + text(MaxCountry+2) + `"`), ReasonTooLong},
		{"attribute", flat(`,"` + text(MaxText) + `":"` + text(MaxText) + `"`), ""},
		{"attribute name +", flat(`,"` + text(MaxText+2) + `":1`), ReasonTooLong},
		{"attribute number +", flat(`,"a":1` + strings.Repeat("0", MaxText)), ReasonTooLong},
		{"customer", strings.Replace(flat(""), `"c"`, `"`+text(MaxID)+`"`, 1), ""},
		{"customer +", strings.Replace(flat(""), `"c"`, `"`+text(MaxID+2)+`"`, 1), ReasonTooLong},
		{"id +", strings.Replace(flat(""), `"i"`, "1"+strings.Repeat("0", MaxID), 1), ReasonTooLong},
	} {
		if it := intake(t, schemas.Transactions, []byte(c.value)); it.Reason != c.reason {
			t.Errorf("%s: got %q %s, want %q", c.name, it.Reason, it.Detail, c.reason)
		}
	}
}

func TestDecode_ATopicWithoutASourceIsAnError(t *testing.T) {
	err := (Decode{testSources}).Process(t.Context(), &Batch{Topic: "other"})
	if err == nil || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("got %v", err)
	}
}

func TestSources_EveryMistakeAtOnce(t *testing.T) {
	err := Sources{{}, {Name: "a", Team: "t\x00", Topic: "x", Format: "csv"}, {Name: "a", Team: "t", Topic: "x", Format: "flat"}}.Check()
	for _, want := range []string{
		"sources[0]: name is empty", "sources[0]: team is empty", "sources[0]: topic is empty", `format "" is none of spektr, flat`,
		"U+0000", `format "csv"`, `source "a": the name is given twice`, `topic "x" belongs to source "a" already`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if err := testSources.Check(); err != nil {
		t.Error(err)
	}
	if (Sources{}).Check() == nil {
		t.Error("no source at all is no mistake")
	}
}

const (
	benchFlat = `{"id":"123456","time":"2018-04-01T00:00:31.250Z","customer":"596","amount":"57.16","direction":"OUT","currency":"EUR",` +
		`"counterparty":"3156","channel":"pos","country":"DE","type":"CARD","terminal":"3156"}`
	benchSpektr = `{"type":"paymentMade","workspaceId":"w1","spektrId":"596","createdAt":1522540831250,"source":"core","eventData":` +
		`{"transaction_id":"123456","type":"withdrawal","amount":57.16,"currency":"EUR","counterparty":"3156","country":"DE","channel":"pos"}}`
)

// decodeAllocations is the budget a record: its texts are copied out one by one.
const decodeAllocations = 16

func TestDecode_StaysWithinItsAllocations(t *testing.T) {
	for topic, value := range map[string]string{schemas.Transactions: benchFlat, schemas.Payments: benchSpektr} {
		b := benchBatch(topic, value)
		got := testing.AllocsPerRun(20, func() {
			if err := (Decode{testSources}).Process(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}) / float64(len(b.Items))
		if got > decodeAllocations && !raceEnabled() {
			t.Errorf("%s: %.1f allocations a record, budget %d", topic, got, decodeAllocations)
		}
	}
}

// raceEnabled reports the race detector by what it does: sync.Pool then drops values at random.
func raceEnabled() bool {
	return testing.AllocsPerRun(100, func() { parsers.Put(parsers.Get()) }) > 0
}

func benchBatch(topic, value string) *Batch {
	b := &Batch{Topic: topic}
	for range 512 {
		b.Items = append(b.Items, &Item{Value: []byte(value)})
	}
	return b
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct{ name, topic, value string }{
		{"flat", schemas.Transactions, benchFlat}, {"spektr", schemas.Payments, benchSpektr},
	} {
		b.Run(c.name, func(b *testing.B) {
			batch, n := benchBatch(c.topic, c.value), 0
			b.ReportAllocs()
			for b.Loop() {
				if err := (Decode{testSources}).Process(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				n += len(batch.Items)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
		})
	}
}
