package schemas_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// TestField_GivenEmptyTextIsAValue: absent and empty are two things, for every field but the direction.
func TestField_GivenEmptyTextIsAValue(t *testing.T) {
	for f := schemas.FieldDirection + 1; f < schemas.NumFields; f++ {
		var e schemas.Event
		if v, ok := e.Text(f); ok || v != "" || e.Has(f) {
			t.Errorf("%s of an empty event: %q, %t", f, v, ok)
		}
		e.SetText(f, "")
		if _, ok := e.Text(f); !ok || !e.Has(f) {
			t.Errorf("%s set to the empty text is absent", f)
		}
		e.SetText(f, f.String())
		for g := range schemas.NumFields {
			if v, ok := e.Text(g); ok != (f == g) || ok && v != f.String() {
				t.Errorf("%s was set, %s reads %q, %t", f, g, v, ok)
			}
		}
	}
	for side, want := range map[schemas.Side]string{schemas.SideNone: "", schemas.SideOut: "OUT", schemas.SideIn: "IN"} {
		e := schemas.Event{Side: side}
		if v, ok := e.Text(schemas.FieldDirection); v != want || ok != (want != "") {
			t.Errorf("side %s: direction %q, %t", side, v, ok)
		}
	}
	if v, ok := new(schemas.Event).Text(schemas.NumFields); ok || v != "" {
		t.Error("a field that is none has a value")
	}
	defer func() {
		if s, _ := recover().(string); !strings.HasPrefix(s, "BUG: ") {
			t.Errorf("SetText of the direction: %q", s)
		}
	}()
	new(schemas.Event).SetText(schemas.FieldDirection, "OUT")
}

// TestPast_HoldsWhatTheEventGave and nothing of the event that it held before.
func TestPast_HoldsWhatTheEventGave(t *testing.T) {
	var p schemas.Past
	whole := wholeEvent()
	bare := schemas.Event{Kind: schemas.KindPayment, Time: 3}
	for _, e := range []*schemas.Event{&whole, &bare, &whole} {
		p.Of(e, 7, e == &whole)
		if p.Time != e.Time || p.Kind != e.Kind || p.Amount != 7 || p.HasAmount != (e == &whole) {
			t.Errorf("past %+v of %+v", p, e)
		}
		for f := range schemas.NumFields {
			want, wantOK := e.Text(f)
			if v, ok := p.Get(f); v != want || ok != wantOK {
				t.Errorf("%s: %q, %t; the event has %q, %t", f, v, ok, want, wantOK)
			}
		}
	}
	if got := fmt.Sprint(p.Attributes); got != fmt.Sprint(whole.Attributes) {
		t.Errorf("attributes %s of %v", got, whole.Attributes)
	}
	p.Set(schemas.FieldType, "x")
	if v, ok := p.Get(schemas.FieldType); v != "x" || !ok {
		t.Errorf("set type: %q, %t", v, ok)
	}
}

func TestAttr_IsFoundAmongAnyNumber(t *testing.T) {
	var e schemas.Event
	for n := range 9 {
		var p schemas.Past
		p.Of(&e, 0, false)
		for i := range 2*n + 1 { // the odd ones are there
			name := string(rune('a' + i))
			v, ok := e.Attr(name)
			if w, also := p.Attr(name); w != v || also != ok {
				t.Errorf("%s of %d: the past event has %q, %t, the event %q, %t", name, n, w, also, v, ok)
			}
			if want := i%2 == 1; ok != want || ok && v != name+name {
				t.Errorf("%s of %d: %q, %t", name, n, v, ok)
			}
		}
		name := string(rune('a' + 2*n + 1))
		e.Attributes = append(e.Attributes, schemas.Attribute{Name: name, Value: name + name})
	}
}

// TestKind_UnknownAndReservedAreNotTaken.
func TestKind_UnknownAndReservedAreNotTaken(t *testing.T) {
	for k := range 256 {
		kind := schemas.Kind(k)
		want := kind == schemas.KindPayment || kind == schemas.KindTransaction || kind == schemas.KindStateChange || kind == schemas.KindControl
		if kind.Supported() != want {
			t.Errorf("%s: supported %t", kind, kind.Supported())
		}
	}
	if s := schemas.Kind(200).String(); s != "unknown(200)" {
		t.Errorf("kind 200 is called %s", s)
	}
}

// TestEnums_NamesStandByTheirValues and levels read back.
func TestEnums_NamesStandByTheirValues(t *testing.T) {
	for got, want := range map[string]string{
		schemas.KindTick.String(): "tick", schemas.KindControl.String(): "control", schemas.SideIn.String(): "IN",
		schemas.Parked.String(): "parked", schemas.Assessed.String(): "assessed", schemas.LevelExtreme.String(): "EXTREME",
		schemas.Errored.String(): "ERROR", schemas.ND.String(): "ND", schemas.StageDone.String(): "DONE", schemas.FieldType.String(): "type",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for i, name := range schemas.Levels {
		if l, err := schemas.ParseLevel(name); err != nil || int(l) != i {
			t.Errorf("%s: %d, %v", name, l, err)
		}
	}
	if _, err := schemas.ParseLevel("high"); err == nil || !strings.Contains(err.Error(), `"high"`) || !strings.Contains(err.Error(), "EXTREME") {
		t.Errorf("level high: %v", err)
	}
}

// TestSnapshotDigest_SaysTheFilesAndNotTheVersion: equal folders have equal digests, and a border moved between two texts shows.
func TestSnapshotDigest_SaysTheFilesAndNotTheVersion(t *testing.T) {
	digest := func(version int32, texts ...string) string {
		s := schemas.Snapshot{Version: version}
		for i := 0; i < len(texts); i += 2 {
			s.Files = append(s.Files, schemas.SnapshotFile{Name: texts[i], Content: texts[i+1]})
		}
		return s.Digest()
	}
	if digest(1, "a", "b") != digest(2, "a", "b") || len(digest(1)) != 64 {
		t.Error("the version is in the digest")
	}
	all := map[string]bool{}
	for _, texts := range [][]string{{}, {"", ""}, {"a", "b"}, {"ab", ""}, {"", "ab"}, {"a", "b", "", ""}, {"a", "", "b", ""}, {"a", "\x00\x00\x00\x01b"}} {
		all[digest(1, texts...)] = true
	}
	if len(all) != 8 {
		t.Errorf("%d digests of 8 folders", len(all))
	}
}

// TestTopics_NameKeyAndSchema: a topic without one of them cannot be declared.
func TestTopics_NameKeyAndSchema(t *testing.T) {
	for name, schema := range map[string]string{
		schemas.Events.Name: schemas.Events.Codec.Schema(), schemas.Facts.Name: schemas.Facts.Codec.Schema(),
		schemas.RejectedRecords.Name: schemas.RejectedRecords.Codec.Schema(), schemas.Configurations.Name: schemas.Configurations.Codec.Schema(),
	} {
		if name == "" || !strings.Contains(schema, "streamgauge") {
			t.Errorf("topic %q, schema %.40s", name, schema)
		}
	}
}
