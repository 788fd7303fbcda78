package schemas_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/avro"

	"github.com/streamgauge/streamgauge/schemas"
)

// oracle is the library on a published schema: what any other reader and writer of our topics is.
func oracle(t testing.TB, name string) *avro.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("wire", name+".avsc"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := avro.Parse(string(text), avro.CustomType{LogicalType: "decimal", AvroType: "fixed"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fill gives every field below v a random value; extremes, empty texts and empty lists come often.
func fill(r *rand.Rand, v reflect.Value) {
	if names, ok := enums[v.Type()]; ok {
		v.SetUint(r.Uint64N(uint64(len(names))))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Slice:
		n := r.IntN(4) * r.IntN(2)
		if r.IntN(50) == 0 {
			n = 60 + r.IntN(10) // a count of one byte and of two
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Uint8:
		v.SetUint(uint64(r.Uint32() & 0xff))
	case reflect.String:
		v.SetString(randomText(r))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int32, reflect.Int64:
		x := int64(r.Uint64()) >> r.IntN(64)
		switch r.IntN(6) {
		case 0:
			x = math.MaxInt64
		case 1:
			x = math.MinInt64
		case 2, 3:
			v.SetInt([]int64{0, -1, 1, 63, 64, -64, -65, 8191, 8192}[r.IntN(9)])
			return
		}
		v.SetInt(x >> (64 - v.Type().Bits()))
	default:
		panic("BUG: no random " + v.Type().String())
	}
}

func randomText(r *rand.Rand) string {
	n := r.IntN(12)
	switch r.IntN(8) {
	case 0:
		n = 0
	case 1:
		n = 62 + r.IntN(4) // a length of one byte and of two
	case 2:
		n = r.IntN(300)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32()) // no UTF-8: nobody checks
	}
	return string(b)
}

// TestEncode_BytesAreTheLibrarysForAnyValue, and the library and we read them back as the value that they were.
func TestEncode_BytesAreTheLibrarysForAnyValue(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for _, f := range forms(t) {
		for range 5000 {
			v := f.fresh()
			fill(r, reflect.ValueOf(v).Elem())
			got, err := f.append(v)
			if err != nil {
				t.Fatalf("%s: %v: %+v", f.name, err, v)
			}
			want, err := f.oracle.AppendSingleObject(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%s of\n%+v\n got %x\nwant %x", f.name, v, got, want)
			}
			back := f.fresh()
			f.holdDecoded(t, got, back, f.decode(got, back))
			if again, err := f.append(back); err != nil || !bytes.Equal(again, got) {
				t.Fatalf("%s read back\n%+v\nwas\n%+v", f.name, back, v)
			}
		}
	}
}

// holdDecoded holds what b was decoded to, or that it was not, against the library.
func (f *form) holdDecoded(t testing.TB, b []byte, got any, err error) {
	t.Helper()
	want := f.fresh()
	rest, wantErr := f.oracle.DecodeSingleObject(b, want)
	if wantErr == nil && len(rest) > 0 {
		wantErr = fmt.Errorf("%d bytes behind", len(rest))
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: %v, the library: %v, of %x", f.name, err, wantErr, b)
	}
	if err != nil {
		return
	}
	if g, w := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want); strings.ReplaceAll(g, "(nil)", "{}") != strings.ReplaceAll(w, "(nil)", "{}") { // no list and an empty one are the same
		t.Fatalf("%s: decoded\n %s\nthe library\n %s\nof %x", f.name, g, w, b)
	}
}

// TestDecode_BrokenBytesAreTheLibrarysToJudge: flipped, cut, lengthened, in several blocks, with lengths that lie.
func TestDecode_BrokenBytesAreTheLibrarysToJudge(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	for _, f := range forms(t) {
		reused := f.fresh() // holds the remains of whatever failed before
		for range 20_000 {
			b := bytes.Clone(f.golden)
			for range 1 + r.IntN(3) {
				at := 10 + r.IntN(len(b)-10)
				switch r.IntN(4) {
				case 0:
					b[at] = byte(r.Uint32())
				case 1:
					b[at] ^= 1 << r.IntN(8)
				case 2:
					b = append(b[:at], b[at+r.IntN(min(3, len(b)-at)):]...)
				case 3:
					b = append(b[:at], append(binary.AppendVarint(nil, int64(r.Uint64())>>r.IntN(64)), b[at:]...)...)
				}
				if len(b) < 12 {
					break
				}
			}
			f.holdDecoded(t, b, reused, f.decode(b, reused))
		}
	}
}

// TestEncode_AValueWithoutANameIsRefusedAsTheLibraryDoes, for every enumeration in a fact, and nothing is appended.
func TestEncode_AValueWithoutANameIsRefusedAsTheLibraryDoes(t *testing.T) {
	refused := 0
	var walk func(v reflect.Value, whole *schemas.Fact)
	walk = func(v reflect.Value, whole *schemas.Fact) {
		if names, ok := enums[v.Type()]; ok {
			had := v.Uint()
			defer v.SetUint(had)
			for _, bad := range []int{len(names), 63, 64, 127, 128, 255} {
				v.SetUint(uint64(bad))
				refused++
				b, err := schemas.Facts.Codec.Append([]byte("before"), whole)
				if _, libErr := oracle(t, "fact").AppendSingleObject(nil, whole); err == nil || libErr == nil {
					t.Errorf("%s %d: %v, the library: %v", v.Type(), bad, err, libErr)
				} else if want := fmt.Sprintf("unknown(%d)", bad); !strings.Contains(err.Error(), want) || string(b) != "before" {
					t.Errorf("%s %d: %q and %v, want %s in it", v.Type(), bad, b, err, want)
				}
			}
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i), whole)
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i), whole)
			}
		}
	}
	whole := wholeFact()
	walk(reflect.ValueOf(&whole).Elem(), &whole)
	if refused != 6*9 { // kind, side, outcome, stage, two levels, two rules, one hit
		t.Errorf("tried %d values, want 54", refused)
	}
	for typ, names := range enums {
		if len(names) > 64 {
			t.Errorf("%s has %d names: encode.go and decode.go hold one in a byte", typ, len(names))
		}
	}
}

// TestDecode_AnyByteAtAnyPlaceIsTakenOrRefusedAsTheLibraryDoes: of booleans, enumerations and counts the neighbours of what is allowed, too.
func TestDecode_AnyByteAtAnyPlaceIsTakenOrRefusedAsTheLibraryDoes(t *testing.T) {
	f := forms(t)[0]
	for at := 10; at < len(f.golden); at++ {
		for v := range 256 {
			b := bytes.Clone(f.golden)
			b[at] = byte(v)
			got := f.fresh()
			f.holdDecoded(t, b, got, f.decode(b, got))
		}
	}
}

// TestCodec_TheHotPathAsksForNoMemory but for the one copy that a decoded event's texts share. None at all would be the library, which
// takes its memory in slabs: a decode that fell to it shows here.
func TestCodec_TheHotPathAsksForNoMemory(t *testing.T) {
	e, f := wholeEvent(), wholeFact()
	b := make([]byte, 0, 4096)
	event := encode(t, schemas.Events.Codec, &e)
	var into schemas.Event
	for what, x := range map[string]struct {
		want float64
		do   func() error
	}{
		"encode event": {0, func() (err error) { _, err = schemas.Events.Codec.Append(b, &e); return err }},
		"encode fact":  {0, func() (err error) { _, err = schemas.Facts.Codec.Append(b, &f); return err }},
		"decode event": {1, func() error { return schemas.Events.Codec.Decode(event, &into) }},
	} {
		if err := x.do(); err != nil {
			t.Fatal(err)
		}
		if got := testing.AllocsPerRun(100, func() { _ = x.do() }); got != x.want {
			t.Errorf("%s: %.0f allocations, want %.0f", what, got, x.want)
		}
	}
}

// typicalFact is what the monitor writes for most events: twelve features, five rules, no hit.
func typicalFact() schemas.Fact {
	f := wholeFact()
	f.Event.Flags, f.Event.Control, f.Event.Attributes = nil, schemas.Control{}, nil
	f.Features, f.Rules, f.Hits = nil, nil, nil
	for i := range 12 {
		f.Features = append(f.Features, schemas.Feature{Name: fmt.Sprintf("feature_%d", i), Value: schemas.I128(int64(i) * 1e6).Bytes()})
	}
	for i := range 5 {
		f.Rules = append(f.Rules, schemas.RuleVerdict{Rule: fmt.Sprintf("RULE_%d", i), Version: 1})
	}
	return f
}

func BenchmarkFactEncode(b *testing.B) {
	f, buf := typicalFact(), make([]byte, 0, 4096)
	lib := oracle(b, "fact")
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = schemas.Facts.Codec.Append(buf, &f)
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = lib.AppendSingleObject(buf, &f)
		}
	})
}

func BenchmarkEventDecode(b *testing.B) {
	f := typicalFact()
	bytes := must(schemas.Events.Codec.Append(nil, &f.Event))
	lib := oracle(b, "event")
	var e schemas.Event
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = schemas.Events.Codec.Decode(bytes, &e)
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = lib.DecodeSingleObject(bytes, &e)
		}
	})
}
