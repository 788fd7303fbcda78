package schemas_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/streamgauge/streamgauge/schemas"
)

// shared is where the independent documents and data lie, beside the repository.
var shared = filepath.Join("..", "..", "shared")

const exampleGUID = "82deaa92-d559-40bd-96b7-053341a08e28"

// record is a Kafka record as the SDK's bindings read one: the oracle of both modes.
type record struct {
	headers []schemas.Attribute
	value   []byte
}

var kafkaSpecs = spec.WithPrefix("ce_")

func (r record) header(name string) string {
	for _, h := range r.headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

func (r record) ReadEncoding() binding.Encoding {
	switch {
	case format.Lookup(r.header("content-type")) != nil:
		return binding.EncodingStructured
	case kafkaSpecs.Version(r.header(kafkaSpecs.PrefixedSpecVersionName())) != nil:
		return binding.EncodingBinary
	}
	return binding.EncodingUnknown
}

func (r record) ReadStructured(ctx context.Context, w binding.StructuredWriter) error {
	f := format.Lookup(r.header("content-type"))
	if f == nil {
		return binding.ErrNotStructured
	}
	return w.SetStructuredEvent(ctx, f, bytes.NewReader(r.value))
}

func (r record) ReadBinary(_ context.Context, w binding.BinaryWriter) error {
	version := kafkaSpecs.Version(r.header(kafkaSpecs.PrefixedSpecVersionName()))
	if version == nil {
		return binding.ErrNotBinary
	}
	for _, h := range r.headers {
		var err error
		if a := version.Attribute(h.Name); a != nil {
			err = w.SetAttribute(a, h.Value)
		} else if h.Name == "content-type" {
			err = w.SetAttribute(version.AttributeFromKind(spec.DataContentType), h.Value)
		} else {
			err = w.SetExtension(strings.TrimPrefix(h.Name, "ce_"), h.Value)
		}
		if err != nil {
			return err
		}
	}
	return w.SetData(bytes.NewReader(r.value))
}

func (r record) GetAttribute(kind spec.Kind) (spec.Attribute, any) {
	a := kafkaSpecs.Latest().AttributeFromKind(kind)
	if kind == spec.DataContentType {
		return a, r.header("content-type")
	}
	return a, r.header(a.PrefixedName())
}

func (r record) GetExtension(name string) any { return r.header("ce_" + name) }

func binaryRecord(c *schemas.CloudEvent) record {
	return record{c.BinaryHeaders(), c.AppendData(nil)}
}

func structuredRecord(c *schemas.CloudEvent) record {
	return record{[]schemas.Attribute{{Name: "content-type", Value: schemas.StructuredContentType}}, c.AppendStructured(nil)}
}

func decodeBySDK(t *testing.T, r record, mode binding.Encoding) *event.Event {
	t.Helper()
	if got := r.ReadEncoding(); got != mode {
		t.Fatalf("the SDK takes the record as %s, not %s", got, mode)
	}
	e, err := binding.ToEvent(t.Context(), r)
	if err != nil {
		t.Fatalf("%s: %v\n%s", mode, err, r.value)
	}
	if err := e.Validate(); err != nil {
		t.Fatalf("%s: %v\n%s", mode, err, r.value)
	}
	return e
}

func exampleEvents() []schemas.CloudEvent {
	pending := schemas.CloudEvent{
		Type: "app.amlyze." + schemas.OperationPending, Source: "operation", Subject: "op-1", ID: schemas.CloudEventID(exampleGUID, "p"),
		Time: 1_576_238_462_694, Data: schemas.Assessment{GUID: exampleGUID, Stage: schemas.StageOpen, InitialLevel: schemas.LevelLow},
	}
	decided := pending
	decided.Type, decided.Time = "app.amlyze."+schemas.OperationCompleted, 1_522_949_460_000
	decided.Data.Stage, decided.Data.FinalLevel, decided.Data.DecisionType, decided.Data.GroundCode = schemas.StageDone, schemas.LevelLow, schemas.Accepted, "01"
	automatic := decided
	automatic.Data.GroundCode = ""
	odd := decided
	odd.Subject, odd.Source, odd.Data.GroundCode = "ž \"quoted\"\\\n\t\x01<&>\u2028/💶", "/a?b=<c>&d", "<&>"
	waiting := pending
	waiting.Data.Stage = schemas.StageWaitingApproval
	return []schemas.CloudEvent{pending, decided, automatic, odd, waiting}
}

// TestCloudEvent_BothModesDecodeToTheSameEvent is conformance vector V10, with the CloudEvents SDK as the reader.
func TestCloudEvent_BothModesDecodeToTheSameEvent(t *testing.T) {
	for _, c := range exampleEvents() {
		bin := decodeBySDK(t, binaryRecord(&c), binding.EncodingBinary)
		str := decodeBySDK(t, structuredRecord(&c), binding.EncodingStructured)
		for _, e := range []*event.Event{bin, str} {
			if e.Type() != c.Type || e.Source() != c.Source || e.Subject() != c.Subject || e.ID() != c.ID || e.SpecVersion() != "1.0" ||
				!e.Time().Equal(time.UnixMilli(c.Time)) || e.DataContentType() != "application/json" || len(e.Extensions()) != 0 {
				t.Errorf("read as %s\nwant %+v", e, c)
			}
		}
		var a, b any
		if json.Unmarshal(bin.Data(), &a) != nil || json.Unmarshal(str.Data(), &b) != nil || mustJSON(a) != mustJSON(b) {
			t.Errorf("data differs between the modes:\n %s\n %s", bin.Data(), str.Data())
		}
		for _, name := range []string{"ce_id", "ce_source", "ce_type", "ce_specversion"} {
			if binaryRecord(&c).header(name) == "" {
				t.Errorf("%s is missing in binary mode", name)
			}
		}
		if _, err := time.Parse(time.RFC3339, binaryRecord(&c).header("ce_time")); err != nil {
			t.Error(err)
		}
	}
}

func mustJSON(v any) string { return string(must(json.Marshal(v))) }

// TestCloudEvent_DataIsTheReferenceDocuments: the very text of its examples but for white space, and no ground code where no human
// decided.
func TestCloudEvent_DataIsTheReferenceDocuments(t *testing.T) {
	e := exampleEvents()
	pending := `{"assessmentGuid":"82deaa92-d559-40bd-96b7-053341a08e28","initialRiskLevel":"LOW"}`
	automatic := `{"assessmentGuid":"82deaa92-d559-40bd-96b7-053341a08e28","initialRiskLevel":"LOW","finalRiskLevel":"LOW","decisionType":"ACCEPTED"}`
	decided := strings.TrimSuffix(automatic, "}") + `,"decisionGroundCode":"01"}`
	for i, want := range []string{pending, decided, automatic} {
		if got := string(e[i].AppendData(nil)); got != want {
			t.Errorf("data\n got %s\nwant %s", got, want)
		}
	}
	if got := string(e[4].AppendData(nil)); got != pending {
		t.Errorf("waiting for approval: %s", got)
	}
	text, err := os.ReadFile(filepath.Join(shared, "seeds", "001_amlyze_cloudevents.txt"))
	if err != nil {
		t.Skipf("the reference document is not here: %v", err)
	}
	for name, want := range map[string]string{schemas.OperationPending: pending, schemas.OperationCompleted: decided} {
		_, section, found := bytes.Cut(text, []byte("\napp.amlyze."+name+"\n"))
		from, to := bytes.IndexByte(section, '{'), bytes.IndexByte(section, '}')
		if !found || from < 0 || to < from {
			t.Fatalf("%s is not in the document", name)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, section[from:to+1]); err != nil {
			t.Fatal(err)
		}
		if compact.String() != want {
			t.Errorf("the document's example of %s\n is %s\nours %s", name, &compact, want)
		}
	}
}

// TestCloudEvent_StructuredIsTheReferenceEnvelope: its keys in its order, valid by the specification's own JSON schema.
func TestCloudEvent_StructuredIsTheReferenceEnvelope(t *testing.T) {
	e := exampleEvents()
	want := `{"type":"app.amlyze.operation.riskmanagement.operation_realtime.pending","specversion":"1.0","source":"operation","subject":"op-1","id":"` +
		e[0].ID + `","time":"2019-12-13T12:01:02.694Z","datacontenttype":"application/json","data":` + string(e[0].AppendData(nil)) + `}`
	if got := string(e[0].AppendStructured([]byte("x"))); got != "x"+want {
		t.Errorf("\n got %s\nwant x%s", got, want)
	}
	text, err := os.ReadFile(filepath.Join(shared, "data", "cloudevents", "spec-cloudevents.json"))
	if err != nil {
		t.Skipf("the specification's schema is not here: %v", err)
	}
	var schema struct {
		Required   []string
		Properties map[string]struct {
			Ref string `json:"$ref"`
		}
		Definitions map[string]struct{ MinLength int }
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for _, c := range e {
		var got map[string]any
		if err := json.Unmarshal(c.AppendStructured(nil), &got); err != nil {
			t.Fatal(err)
		}
		for _, name := range schema.Required {
			if got[name] == nil {
				t.Errorf("%s is missing", name)
			}
		}
		for name, v := range got {
			p, known := schema.Properties[name]
			text, isText := v.(string)
			if !known || isText && len(text) < schema.Definitions[strings.TrimPrefix(p.Ref, "#/definitions/")].MinLength {
				t.Errorf("%s: %v", name, v)
			}
		}
	}
}

// TestAppendTime_IsRFC3339 over the whole range of event times, milliseconds only where there are any.
func TestAppendTime_IsRFC3339(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "1970-01-01T00:00:00Z", 1_522_949_460_000: "2018-04-05T17:31:00Z", 1_576_238_462_694: "2019-12-13T12:01:02.694Z",
		1_576_238_462_690: "2019-12-13T12:01:02.690Z", 7_289_654_399_999: "2200-12-31T23:59:59.999Z", -1: "1969-12-31T23:59:59.999Z",
	} {
		got := string(schemas.AppendTime(nil, ms))
		at, err := time.Parse(time.RFC3339Nano, got)
		if got != want || err != nil || at.UnixMilli() != ms {
			t.Errorf("%d: %s, %v; want %s", ms, got, err, want)
		}
	}
}

// TestAppendJSONString_ReadsAsEncodingJSONWritesIt on random bytes, broken UTF-8 included.
func TestAppendJSONString_ReadsAsEncodingJSONWritesIt(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	parts := []string{"", "a", "\"", "\\", "\n", "\r", "\t", "\b", "\f", "\x00", "\x1f", "\x7f", "<&>", "ž", "€", "💶", "\u2028", "\u2029", "\ufffd",
		"\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80", "/"}
	for range 40_000 {
		var b strings.Builder
		for range r.IntN(12) {
			if r.IntN(4) == 0 {
				b.WriteByte(byte(r.Uint32()))
			} else {
				b.WriteString(parts[r.IntN(len(parts))])
			}
		}
		holdJSONString(t, b.String())
	}
}

func holdJSONString(t *testing.T, s string) {
	t.Helper()
	got := schemas.AppendJSONString([]byte("x"), s)[1:]
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false) // escapes of <, > and & are the same text, only longer
	if err := enc.Encode(s); err != nil {
		t.Fatal(err)
	}
	var a, b string
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%q: %s: %v", s, got, err)
	}
	if err := json.Unmarshal(want.Bytes(), &b); err != nil || a != b {
		t.Fatalf("%q: %s reads %q, encoding/json's %s reads %q", s, got, a, &want, b)
	}
	if !utf8.Valid(got) || slices.ContainsFunc(got, func(c byte) bool { return c < ' ' }) {
		t.Fatalf("%q: %q is not JSON text", s, got)
	}
}

// FuzzAppendJSONString holds any text against encoding/json.
func FuzzAppendJSONString(f *testing.F) {
	f.Add("a\"\\\n\x00\xff💶\u2028")
	f.Fuzz(holdJSONString)
}
