package schemas_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing")

// wholeEvent has every field set, to values that no other field has.
func wholeEvent() schemas.Event {
	return schemas.Event{
		Kind: schemas.KindTransaction, Organisation: "org", Team: "team", Source: "source", Customer: "klientas ž", ID: "id-1",
		Side: schemas.SideIn, Time: 1_700_000_000_123, Amount: -57_160_001, HasAmount: true, Present: 0x7e, Currency: "EUR",
		Counterparty: "LT121000011101001000", Channel: "online", Country: "LT", State: "CREATED", Type: "TRANSFER",
		Attributes: []schemas.Attribute{{Name: "attr.a", Value: "1"}, {Name: "attr.b", Value: ""}}, Flags: []string{schemas.FlagRounded},
		Origin:  schemas.Origin{Topic: "transactions", Partition: 3, Offset: 1 << 40},
		Control: schemas.Control{Version: 4, Digest: "00ff"},
	}
}

func wholeFact() schemas.Fact {
	return schemas.Fact{
		Generation: 1, Partition: 17, Offset: 123_456_789_012, Seq: 2, Appended: 1_700_000_000_456,
		Event: wholeEvent(), Outcome: schemas.Assessed, Reason: "reason", Detail: "detail", Late: true,
		BaseAmount: schemas.MaxAmount, HasBase: true, Config: 9,
		Features:   []schemas.Feature{{Name: "c_n1", Value: schemas.I128(5_000_000).Bytes()}, {Name: "c_sum1", Value: schemas.I128(-1).Bytes()}},
		Assessment: "00010011-0000-8000-8000-000000000000", Stage: schemas.StageOpen, InitialLevel: schemas.LevelHigh, FinalLevel: schemas.LevelExtreme,
		DecisionType: schemas.DecisionRejected, Score: -40,
		Rules: []schemas.RuleVerdict{{Rule: "VEL_OUT", Version: 1, Verdict: schemas.Hit, Note: "n"}, {Rule: "DORMANT", Version: 2, Verdict: schemas.ND, Note: "since"}},
		Hits: []schemas.HitExplained{{Rule: "VEL_OUT", Version: 1, Level: schemas.LevelMedium, Score: 40, Shadow: true, AtWatermark: true, Reason: "11 payments within 1h",
			Values: []schemas.Attribute{{Name: "count('1h')", Value: "11"}}}},
	}
}

func wholeRejection() schemas.Rejection {
	return schemas.Rejection{Origin: schemas.Origin{Topic: "payments", Partition: 1, Offset: 2}, Stage: "intake", Reason: "invalid_json",
		Detail: "at byte 3", Key: []byte{0xff, 0}, Value: []byte("{\"a\":\x00")}
}

func wholeSnapshot() schemas.Snapshot {
	return schemas.Snapshot{Version: 3, Files: []schemas.SnapshotFile{{Name: "policy.yaml", Content: "base: EUR\n"}, {Name: "rules/a.yaml", Content: "id: A\n"}}}
}

// TestCodec_GoldenBytesAreKept: what stands in a topic for seven days, or for ever, is read by later programs.
func TestCodec_GoldenBytesAreKept(t *testing.T) {
	golden(t, "event", schemas.Events.Codec, wholeEvent())
	golden(t, "fact", schemas.Facts.Codec, wholeFact())
	golden(t, "rejection", schemas.RejectedRecords.Codec, wholeRejection())
	golden(t, "snapshot", schemas.Configurations.Codec, wholeSnapshot())
}

func golden[T any](t *testing.T, name string, codec *schemas.Codec[T], v T) {
	t.Helper()
	everyFieldIsSet(t, name, reflect.ValueOf(v))
	got, err := codec.Append([]byte("before"), &v)
	if err != nil {
		t.Fatal(err)
	}
	got = got[len("before"):]
	file := filepath.Join("testdata", name+".hex")
	if *update {
		if err := os.WriteFile(file, hexLines(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := readHex(t, file)
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the wire form changed\n got %x\nwant %x", name, got, want)
	}
	var back T
	if err := codec.Decode(want, &back); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !reflect.DeepEqual(back, v) {
		t.Errorf("%s: decoded\n %+v\nwant\n %+v", name, back, v)
	}
}

// everyFieldIsSet keeps the golden values whole when a type grows.
func everyFieldIsSet(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			everyFieldIsSet(t, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case v.Kind() == reflect.Slice && v.Len() > 0:
		everyFieldIsSet(t, path+"[0]", v.Index(0))
	case v.IsZero():
		t.Errorf("%s is not set in the golden value", path)
	}
}

func hexLines(b []byte) []byte {
	var s bytes.Buffer
	for len(b) > 0 {
		n := min(32, len(b))
		fmt.Fprintf(&s, "%x\n", b[:n])
		b = b[n:]
	}
	return s.Bytes()
}

func readHex(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
