package schemas_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"github.com/twmb/avro"

	"github.com/streamgauge/streamgauge/schemas"
)

// form is one codec with its type forgotten, so that all four go through the same tests.
type form struct {
	name   string
	golden []byte
	oracle *avro.Schema // the library on the published schema
	fresh  func() any
	decode func(b []byte, v any) error
	append func(v any) ([]byte, error)
}

func formOf[T any](t testing.TB, name string, c *schemas.Codec[T]) form {
	return form{
		name: name, golden: readHex(t, filepath.Join("testdata", name+".hex")), oracle: oracle(t, name),
		fresh:  func() any { return new(T) },
		decode: func(b []byte, v any) error { return c.Decode(b, v.(*T)) },
		append: func(v any) ([]byte, error) { return c.Append(nil, v.(*T)) },
	}
}

func forms(t testing.TB) []form {
	return []form{
		formOf(t, "event", schemas.Events.Codec), formOf(t, "fact", schemas.Facts.Codec),
		formOf(t, "rejection", schemas.RejectedRecords.Codec), formOf(t, "snapshot", schemas.Configurations.Codec),
	}
}

// TestCodec_RefusesForeignAndBrokenBytes: cut short, longer, another schema's, no Avro at all, unknown enumeration values.
func TestCodec_RefusesForeignAndBrokenBytes(t *testing.T) {
	all := forms(t)
	r := rand.New(rand.NewPCG(1, 1))
	for _, f := range all {
		for n := range f.golden {
			if f.decode(f.golden[:n], f.fresh()) == nil {
				t.Errorf("%s: took %d of %d bytes", f.name, n, len(f.golden))
			}
		}
		if f.decode(append(bytes.Clone(f.golden), 0), f.fresh()) == nil {
			t.Errorf("%s: took a byte behind the value", f.name)
		}
		for i := range 10 { // another schema's fingerprint before a good body
			b := bytes.Clone(f.golden)
			b[i] ^= 1
			if f.decode(b, f.fresh()) == nil {
				t.Errorf("%s: took the header %x", f.name, b[:10])
			}
		}
		for _, g := range all {
			if g.name != f.name && f.decode(g.golden, f.fresh()) == nil {
				t.Errorf("%s: took a %s", f.name, g.name)
			}
		}
		for _, foreign := range [][]byte{nil, {}, []byte(`{"id":1}`), f.golden[10:], {0, 0, 0, 0, 1, 2}, make([]byte, 100)} {
			if f.decode(foreign, f.fresh()) == nil {
				t.Errorf("%s: took %.10q", f.name, foreign)
			}
		}
		for range 20_000 { // behind a good header anything may stand; it must not panic
			b := append(bytes.Clone(f.golden[:10]), f.golden[10:]...)
			for range 1 + r.IntN(4) {
				b[10+r.IntN(len(b)-10)] = byte(r.Uint32())
			}
			_ = f.decode(b, f.fresh())
			for i := range b[10:] {
				b[10+i] = byte(r.Uint32())
			}
			_ = f.decode(b, f.fresh())
		}
	}
	event := bytes.Clone(all[0].golden)
	for _, kind := range []byte{byte(2 * len(schemas.Kinds)), 1, 0x7f} { // zigzag: one too many, −1, −64
		event[10] = kind
		if schemas.Events.Codec.Decode(event, new(schemas.Event)) == nil {
			t.Errorf("took kind %#x", kind)
		}
	}
}

// TestCodec_ReusedValueKeepsNothing: a decode into a value that held another one gives what a decode into a new one gives, and neither
// points into the input.
func TestCodec_ReusedValueKeepsNothing(t *testing.T) {
	for _, f := range forms(t) {
		empty, err := f.append(f.fresh())
		if err != nil {
			t.Fatal(err)
		}
		whole := f.fresh()
		if err := f.decode(f.golden, whole); err != nil {
			t.Fatal(err)
		}
		reused := f.fresh()
		for i, b := range [][]byte{f.golden, empty, f.golden, f.golden, empty} {
			input := bytes.Clone(b)
			if err := f.decode(input, reused); err != nil {
				t.Fatal(err)
			}
			clear(input)
			again, err := f.append(reused)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again, b) {
				t.Errorf("%s, decode %d into the same value:\n got %x\nwant %x", f.name, i, again, b)
			}
		}
		if err := f.decode(f.golden, reused); err != nil || !reflect.DeepEqual(whole, reused) {
			t.Errorf("%s: reused\n %+v\nfresh\n %+v", f.name, reused, whole)
		}
	}
}

// TestCodec_ResetValuesEncodeAsEmpty: what is reused between events holds nothing of the last one.
func TestCodec_ResetValuesEncodeAsEmpty(t *testing.T) {
	e, f := wholeEvent(), wholeFact()
	e.Reset()
	f.Reset()
	if !bytes.Equal(encode(t, schemas.Events.Codec, &e), encode(t, schemas.Events.Codec, &schemas.Event{})) {
		t.Errorf("event after Reset: %+v", e)
	}
	if !bytes.Equal(encode(t, schemas.Facts.Codec, &f), encode(t, schemas.Facts.Codec, &schemas.Fact{})) {
		t.Errorf("fact after Reset: %+v", f)
	}
	if cap(e.Attributes) == 0 || cap(e.Flags) == 0 || cap(f.Features) == 0 || cap(f.Rules) == 0 || cap(f.Hits) == 0 || cap(f.Event.Attributes) == 0 {
		t.Error("Reset gave its slices away")
	}
}

func encode[T any](t *testing.T, c *schemas.Codec[T], v *T) []byte {
	t.Helper()
	b, err := c.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestCodec_HostileLengthsAskForLittleMemory: ten bytes must not ask for gigabytes.
func TestCodec_HostileLengthsAskForLittleMemory(t *testing.T) {
	for _, f := range forms(t) {
		for at := 10; at < len(f.golden); at++ {
			for _, n := range []int64{math.MaxInt32, math.MaxInt64, math.MinInt64, 1 << 20} {
				b := append(binary.AppendVarint(bytes.Clone(f.golden[:at]), n), f.golden[at:]...)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_ = f.decode(b, f.fresh())
				runtime.ReadMemStats(&after)
				if got := after.TotalAlloc - before.TotalAlloc; got > 256<<10 {
					t.Fatalf("%s: length %d at byte %d of %d asked for %d bytes", f.name, n, at, len(b), got)
				}
			}
		}
	}
}

// FuzzCodec: any bytes give an error, and the library's too, or the library's value, which encodes to the library's bytes; these decode to
// the same value.
func FuzzCodec(f *testing.F) {
	all := forms(f)
	for i, x := range all {
		f.Add(uint8(i), x.golden[10:])
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		x := all[int(which)%len(all)]
		_ = x.decode(body, x.fresh())
		whole := append(bytes.Clone(x.golden[:10]), body...)
		v := x.fresh()
		err := x.decode(whole, v)
		x.holdDecoded(t, whole, v, err)
		if err != nil {
			return
		}
		b, err := x.append(v)
		if err != nil {
			t.Fatalf("decoded %+v, which cannot be encoded: %v", v, err)
		}
		if want := must(x.oracle.AppendSingleObject(nil, v)); !bytes.Equal(b, want) {
			t.Fatalf("encoded\n %x\nthe library\n %x", b, want)
		}
		again := x.fresh()
		if err := x.decode(b, again); err != nil {
			t.Fatal(err)
		}
		if c := must(x.append(again)); !bytes.Equal(b, c) {
			t.Fatalf("two encodings\n %x\n %x", b, c)
		}
	})
}

// TestCustomerKey_TeamAndCustomerCannotMeet as long as a team's name holds no zero byte.
func TestCustomerKey_TeamAndCustomerCannotMeet(t *testing.T) {
	got := fmt.Sprintf("%q", schemas.CustomerKey([]byte("x"), "team", "a\x00b"))
	if want := `"xteam\x00a\x00b"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if bytes.Equal(schemas.CustomerKey(nil, "ab", "c"), schemas.CustomerKey(nil, "a", "bc")) {
		t.Error("two customers share a key")
	}
}
