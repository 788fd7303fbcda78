package schemas_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// enums are the Go name lists by type: what the schemas' symbols must be.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[schemas.Kind]():    schemas.Kinds,
	reflect.TypeFor[schemas.Side]():    schemas.Sides,
	reflect.TypeFor[schemas.Outcome](): schemas.Outcomes,
	reflect.TypeFor[schemas.Level]():   schemas.Levels,
	reflect.TypeFor[schemas.Verdict](): schemas.Verdicts,
	reflect.TypeFor[schemas.Stage]():   schemas.Stages,
}

// avsc is a parsed schema file with its named types.
type avsc struct {
	root  any
	named map[string]map[string]any
}

func readSchema(t *testing.T, file string) avsc {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("wire", file+".avsc"))
	if err != nil {
		t.Fatal(err)
	}
	s := avsc{named: map[string]map[string]any{}}
	if err := json.Unmarshal(text, &s.root); err != nil {
		t.Fatal(err)
	}
	s.collect(s.root)
	return s
}

func (s avsc) collect(x any) {
	switch x := x.(type) {
	case []any:
		for _, y := range x {
			s.collect(y)
		}
	case map[string]any:
		if name, ok := x["name"].(string); ok && (x["type"] == "record" || x["type"] == "enum" || x["type"] == "fixed") {
			s.named[name] = x
		}
		for _, y := range x {
			s.collect(y)
		}
	}
}

// resolve gives the kind of a type and its definition, names looked up.
func (s avsc) resolve(x any) (kind string, def map[string]any) {
	switch x := x.(type) {
	case string:
		if def, ok := s.named[strings.TrimPrefix(x, "streamgauge.")]; ok {
			return s.resolve(def)
		}
		return x, nil
	case map[string]any:
		return x["type"].(string), x
	}
	panic(fmt.Sprintf("BUG: type %v", x))
}

func fields(def map[string]any) (out []map[string]any) {
	for _, f := range def["fields"].([]any) {
		out = append(out, f.(map[string]any))
	}
	return out
}

// TestWire_SchemasAndGoTypesHoldTheSame: every field of a schema is one of the Go type and the reverse, in the same order, of the same
// type, and every enumeration has the Go names by value.
func TestWire_SchemasAndGoTypesHoldTheSame(t *testing.T) {
	files, err := filepath.Glob("wire/*.avsc")
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v: a schema without a test", files, err)
	}
	for file, typ := range map[string]reflect.Type{
		"event": reflect.TypeFor[schemas.Event](), "fact": reflect.TypeFor[schemas.Fact](),
		"rejection": reflect.TypeFor[schemas.Rejection](), "snapshot": reflect.TypeFor[schemas.Snapshot](),
	} {
		s := readSchema(t, file)
		s.hold(t, file, s.root, typ)
	}
}

func (s avsc) hold(t *testing.T, path string, x any, typ reflect.Type) {
	t.Helper()
	kind, def := s.resolve(x)
	want := avroKind(typ)
	if kind != want {
		t.Errorf("%s: %s in the schema, %s in Go is %s", path, kind, typ, want)
		return
	}
	switch kind {
	case "record":
		s.holdRecord(t, path, def, typ)
	case "array":
		s.hold(t, path+"[]", def["items"], typ.Elem())
	case "enum":
		var symbols []string
		for _, y := range def["symbols"].([]any) {
			symbols = append(symbols, y.(string))
		}
		if !slices.Equal(symbols, enums[typ]) {
			t.Errorf("%s: symbols %v, in Go %v", path, symbols, enums[typ])
		}
		if def["default"] != symbols[0] {
			t.Errorf("%s: default %v is not the zero value %s", path, def["default"], symbols[0])
		}
	case "fixed":
		if int(def["size"].(float64)) != typ.Len() || def["logicalType"] != "decimal" || def["precision"] != 38.0 || def["scale"] != 6.0 {
			t.Errorf("%s: %v, want decimal(38,6) in %d bytes", path, def, typ.Len())
		}
	}
}

func (s avsc) holdRecord(t *testing.T, path string, def map[string]any, typ reflect.Type) {
	t.Helper()
	if def["name"] != typ.Name() {
		t.Errorf("%s: record %v, in Go %s", path, def["name"], typ.Name())
	}
	inSchema := fields(def)
	for i := range max(len(inSchema), typ.NumField()) {
		switch {
		case i >= len(inSchema):
			t.Errorf("%s: Go field %s is not in the schema", path, typ.Field(i).Name)
		case i >= typ.NumField():
			t.Errorf("%s: schema field %v is not in Go", path, inSchema[i]["name"])
		default:
			f, g := inSchema[i], typ.Field(i)
			if f["name"] != g.Tag.Get("avro") {
				t.Errorf("%s: field %d is %v in the schema, %q in Go", path, i, f["name"], g.Tag.Get("avro"))
			}
			s.hold(t, fmt.Sprintf("%s.%v", path, f["name"]), f["type"], g.Type)
		}
	}
}

func avroKind(typ reflect.Type) string {
	if _, ok := enums[typ]; ok {
		return "enum"
	}
	switch typ.Kind() {
	case reflect.Struct:
		return "record"
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "array"
	case reflect.Array:
		return "fixed"
	}
	return map[reflect.Kind]string{reflect.String: "string", reflect.Int32: "int", reflect.Int64: "long", reflect.Bool: "boolean"}[typ.Kind()]
}

// TestWire_SharedTypesAreTheSameInEveryFile: Event in a fact is the Event of topic events.
func TestWire_SharedTypesAreTheSameInEveryFile(t *testing.T) {
	first := map[string]any{}
	for _, file := range []string{"event", "fact", "rejection", "snapshot"} {
		for name, def := range readSchema(t, file).named {
			if had, ok := first[name]; ok && !reflect.DeepEqual(had, any(def)) {
				t.Errorf("%s is another in %s.avsc", name, file)
			}
			first[name] = any(def)
		}
	}
}

// TestCodec_BytesAreThoseOfTheAvroSpecification encodes the golden values by the text of the schemas and the rules of the
// specification, without the library.
func TestCodec_BytesAreThoseOfTheAvroSpecification(t *testing.T) {
	for name, v := range map[string]any{"event": wholeEvent(), "fact": wholeFact(), "rejection": wholeRejection(), "snapshot": wholeSnapshot()} {
		s := readSchema(t, name)
		got := readHex(t, filepath.Join("testdata", name+".hex"))
		if !bytes.HasPrefix(got, []byte{0xC3, 0x01}) {
			t.Errorf("%s: begins with %x", name, got[:2])
		}
		if want := s.encode(nil, s.root, reflect.ValueOf(v)); !bytes.Equal(got[10:], want) {
			t.Errorf("%s:\n got %x\nwant %x", name, got[10:], want)
		}
	}
}

func (s avsc) encode(b []byte, x any, v reflect.Value) []byte {
	kind, def := s.resolve(x)
	switch kind {
	case "record":
		for i, f := range fields(def) {
			b = s.encode(b, f["type"], v.Field(i))
		}
	case "array":
		if n := v.Len(); n > 0 {
			b = binary.AppendVarint(b, int64(n))
			for i := range n {
				b = s.encode(b, def["items"], v.Index(i))
			}
		}
		b = append(b, 0)
	case "string":
		b = append(binary.AppendVarint(b, int64(v.Len())), v.String()...)
	case "bytes":
		b = append(binary.AppendVarint(b, int64(v.Len())), v.Bytes()...)
	case "fixed":
		for i := range v.Len() {
			b = append(b, byte(v.Index(i).Uint()))
		}
	case "boolean":
		b = append(b, map[bool]byte{true: 1}[v.Bool()])
	case "enum":
		b = binary.AppendVarint(b, int64(v.Uint()))
	default:
		b = binary.AppendVarint(b, v.Int())
	}
	return b
}
