package window_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing")

// goldenShape is the configuration of the stored customer in testdata.
func goldenShape() *window.Shape {
	return plain(7, 10_000, window.Since{Key: 0x0102030405060708, Bit: 0}, window.Since{Key: 9, Bit: window.All})
}

func goldenShapes(v int32) *window.Shape {
	if v == 7 {
		return goldenShape()
	}
	return nil
}

// goldenCustomer has everything that the form can hold: a configuration that changed R, events that left, a tie, a late event, absent
// and empty texts, no amount, a foreign currency, an uncounted event, both sides and none, negative amounts.
func goldenCustomer() *window.Customer {
	c := window.New("team", "kliëntas-1", plain(6, 5_000, window.Since{Key: 9, Bit: window.All}))
	lsn := int64(100)
	fold := func(e schemas.Event, base, counted bool) {
		lsn += 3
		e.Origin = schemas.Origin{Topic: "payments", Partition: 2, Offset: lsn * 10}
		c.Fold(&e, window.IDHash(e.ID, e.Side), base, counted, lsn)
	}
	fold(schemas.Event{Kind: schemas.KindPayment, ID: "a", Time: 1_000, Side: schemas.SideOut, HasAmount: true, Amount: 1}, true, true)
	fold(schemas.Event{Kind: schemas.KindPayment, ID: "b", Time: 9_000, Side: schemas.SideIn}, false, true)
	c.Adopt(goldenShape())
	e := schemas.Event{Kind: schemas.KindTransaction, ID: "c", Time: 13_000, Side: schemas.SideOut, HasAmount: true, Amount: 57_160_000}
	e.SetText(schemas.FieldCurrency, "EUR")
	e.SetText(schemas.FieldCounterparty, "LT12 1000 0111 0100 1000")
	e.SetText(schemas.FieldCountry, "LT")
	fold(e, true, true)
	e.ID, e.Amount = "d", -schemas.MaxAmount
	e.SetText(schemas.FieldCurrency, "USD")
	e.SetText(schemas.FieldState, "")
	fold(e, false, true)
	e.ID, e.Time, e.Amount, e.Side = "e", 12_999, 2, schemas.SideNone
	e.SetText(schemas.FieldState, "DECLINED")
	fold(e, true, false)
	c.Trim()
	return c
}

// TestLayout_GoldenFormIsKept: a stored customer outlives the program that wrote it.
func TestLayout_GoldenFormIsKept(t *testing.T) {
	file := filepath.Join("testdata", "customer-v1.hex")
	got := goldenCustomer().Append(nil)
	if *update {
		if err := os.WriteFile(file, []byte(hexLines(got)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := readHex(t, file)
	if !bytes.Equal(got, want) {
		t.Errorf("the stored form changed; a new form needs a new Format\n got %x\nwant %x", got, want)
	}
	c, err := window.Decode(want, goldenShapes)
	if err != nil {
		t.Fatal(err)
	}
	if wm, ok := c.Watermark(); c.Team() != "team" || c.ID() != "kliëntas-1" || c.LSN() != 115 || c.Version() != 7 || !ok || wm != 13_000 || c.Len() != 4 {
		t.Errorf("header: %s %s lsn %d version %d watermark %d rows %d", c.Team(), c.ID(), c.LSN(), c.Version(), wm, c.Len())
	}
	if why, _ := c.Known(3_999); why != "warming" {
		t.Errorf("below the old retention: %q", why)
	}
	i, j := c.Span(4_000, 13_000)
	if n, sum := c.Count(i, j, window.All, window.None), c.Total(i, j, window.All, window.None); n != 3 || sum.Decimal() != "57.16" {
		t.Errorf("count %d sum %s, want 3 and 57.16", n, sum.Decimal())
	}
	if n, _ := c.Distinct(i, j, window.All, window.None, schemas.FieldCurrency, new(window.Marks)); n != 2 {
		t.Errorf("distinct currencies %d, want 2", n)
	}
	if id, ok := c.Find(window.IDHash("d", schemas.SideOut)); !ok || id.Kind != schemas.KindTransaction || id.Amount != -schemas.MaxAmount || !id.HasAmount {
		t.Errorf("identity of d: %+v, %t", id, ok)
	}
	if at, found, _ := c.Since(1, 0); !found || at != 1_000 {
		t.Errorf("what left is not remembered: %d, %t", at, found)
	}
	if _, found, complete := c.Since(0, 0); found || complete {
		t.Errorf("the condition that came later knows too much: found %t complete %t", found, complete)
	}
}

func hexLines(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(32, len(b))
		s.WriteString(hex.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	return s.String()
}

func readHex(t testing.TB, file string) []byte {
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

// seal puts the right checksum behind a changed body.
func seal(b []byte) []byte {
	body := bytes.Clone(b[:len(b)-4])
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// TestDecode_RefusesWhatWasNotWrittenSo: cut, flipped, foreign and over-long forms, each with its reason.
func TestDecode_RefusesWhatWasNotWrittenSo(t *testing.T) {
	good := goldenCustomer().Append(nil)
	for n := range good {
		if _, err := window.Decode(good[:n], goldenShapes); err == nil {
			t.Fatalf("took %d of %d bytes", n, len(good))
		}
		if n >= 13 {
			if _, err := window.Decode(seal(good[:n]), goldenShapes); err == nil {
				t.Fatalf("took %d of %d bytes with a good checksum", n, len(good))
			}
		}
		bad := bytes.Clone(good)
		bad[n] ^= 0x10
		if _, err := window.Decode(bad, goldenShapes); err == nil {
			t.Fatalf("took a flipped bit in byte %d", n)
		}
	}
	format := bytes.Clone(good)
	format[8]++
	if _, err := window.Decode(seal(format), goldenShapes); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("another format: %v", err)
	}
	behind := append(bytes.Clone(good), 0)
	if _, err := window.Decode(seal(behind), goldenShapes); err == nil {
		t.Error("took a byte behind the rows")
	}
	if _, err := window.Decode(good, func(int32) *window.Shape { return nil }); err == nil || !strings.Contains(err.Error(), "configuration 7") {
		t.Errorf("an unknown configuration: %v", err)
	}
	other := goldenShape()
	other.Since[0].Key++
	if _, err := window.Decode(good, func(int32) *window.Shape { return other }); err == nil {
		t.Error("took since times of another condition")
	}
}

// TestDecode_OneStateHasOneForm: bytes that would be written otherwise are refused, whatever their checksum.
func TestDecode_OneStateHasOneForm(t *testing.T) {
	row := func(time byte, texts ...byte) []byte {
		return append(append([]byte{time, 0}, make([]byte, 13)...), texts...)
	}
	form := func(times []byte, retention []byte, rest ...byte) []byte {
		b := append(make([]byte, 8), window.Format, 0, 0)
		b = append(append(b, times...), retention...)
		return seal(append(append(append(b, 7), rest...), 0, 0, 0, 0)) // version 7; the checksum's place
	}
	none, one := []byte{0, 0, 0}, []byte{1}
	shapes := func(int32) *window.Shape { return plain(7, 1) }
	for _, x := range []struct {
		name string
		b    []byte
		good bool
	}{
		{"empty", form(none, one, 0, 0, 0), true},
		{"one row and two texts", form(none, one, append([]byte{0, 2, 0, 1, 'a', 1}, row(2, 1, 2, 0, 0, 0, 1)...)...), true},
		{"presence byte 2", form([]byte{0, 0, 2}, one, 0, 0, 0), false},
		{"no time as a time", form([]byte{1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0}, one, 0, 0, 0), false},
		{"long number", form(none, []byte{0x81, 0}, 0, 0, 0), false},
		{"negative retention", form(none, []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, 0, 0, 0), false},
		{"number beyond 64 bits", form(none, []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 2}, 0, 0, 0), false},
		{"unused text", form(none, one, append([]byte{0, 2, 0, 1, 'a', 1}, row(2, 1, 1, 0, 0, 0, 0)...)...), false},
		{"texts not in order of use", form(none, one, append([]byte{0, 2, 0, 1, 'a', 1}, row(2, 2, 1, 0, 0, 0, 0)...)...), false},
		{"text id beyond the texts", form(none, one, append([]byte{0, 1, 0, 1}, row(2, 1, 2, 0, 0, 0, 0)...)...), false},
		{"rows out of order", form(none, one, append(append([]byte{0, 0, 2}, row(4, 0, 0, 0, 0, 0, 0)...), row(1, 0, 0, 0, 0, 0, 0)...)...), false},
	} {
		c, err := window.Decode(x.b, shapes)
		if (err == nil) != x.good {
			t.Errorf("%s: %v", x.name, err)
		}
		if err == nil && !bytes.Equal(c.Append(nil), x.b) {
			t.Errorf("%s: written otherwise", x.name)
		}
	}
}

// TestDecode_SharesNoMemoryWithItsInput: the caller's buffer is used again.
func TestDecode_SharesNoMemoryWithItsInput(t *testing.T) {
	want := goldenCustomer().Append(nil)
	b := bytes.Clone(want)
	c, err := window.Decode(b, goldenShapes)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if got := c.Append(nil); !bytes.Equal(got, want) {
		t.Error("the customer changed with the buffer that it was read from")
	}
}

// TestDecode_HostileLengthsAskForLittleMemory: a length is believed only as far as there are bytes for it.
func TestDecode_HostileLengthsAskForLittleMemory(t *testing.T) {
	head := make([]byte, 8, 64)
	head = append(head, window.Format)
	huge := binary.AppendUvarint(nil, math.MaxInt32)
	endless := binary.AppendUvarint(nil, math.MaxUint64)
	empty := append(bytes.Clone(head), 0, 0, 0, 0, 0, 0, 1, 7) // no names, no times, retention 1, version 7
	for name, b := range map[string][]byte{
		"team": append(bytes.Clone(head), huge...), "team endless": append(bytes.Clone(head), endless...),
		"since": append(bytes.Clone(empty), huge...), "since endless": append(bytes.Clone(empty), endless...),
		"texts": append(append(bytes.Clone(empty), 0), huge...), "text": append(append(bytes.Clone(empty), 0, 1), huge...),
		"rows": append(append(bytes.Clone(empty), 0, 0), huge...), "rows endless": append(append(bytes.Clone(empty), 0, 0), endless...),
	} {
		b = seal(append(b, make([]byte, 1000)...))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := window.Decode(b, goldenShapes); err == nil {
			t.Errorf("%s: taken", name)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
			t.Errorf("%s: %d bytes of input asked for %d", name, len(b), n)
		}
	}
}

// FuzzDecode: any bytes give a customer or an error, and a customer writes the very bytes it was read from.
func FuzzDecode(f *testing.F) {
	f.Add(readHex(f, filepath.Join("testdata", "customer-v1.hex")))
	f.Add(window.New("", "", plain(7, 1)).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := window.Decode(b, goldenShapes); err == nil && len(b) < 13 {
			t.Fatal("took too few bytes")
		}
		if len(b) < 13 {
			return
		}
		b = bytes.Clone(b)
		b[8] = window.Format
		b = seal(b)
		shape := goldenShape()
		c, err := window.Decode(b, func(v int32) *window.Shape {
			shape.Version = v
			return shape
		})
		if err != nil {
			return
		}
		if again := c.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("read\n %x\nwrote\n %x", b, again)
		}
		useHostile(c, shape)
	})
}

// useHostile asks a customer of unknown origin everything; it must not panic.
func useHostile(c *window.Customer, shape *window.Shape) {
	var marks window.Marks
	i, j := c.Span(math.MinInt64, math.MaxInt64)
	for class := range 3 {
		c.Count(i, j, class-1, i)
		c.Total(i, j, class-1, i)
		c.Extremes(i, j, class-1, i)
		for f := range schemas.NumFields {
			c.Distinct(i, j, class-1, i, f, &marks)
		}
	}
	e := schemas.Event{Kind: schemas.KindPayment, Time: 5_000}
	e.SetText(schemas.FieldType, "new")
	save := c.SaveAll()
	place := c.Fold(&e, 1, true, true, 1)
	c.Since(0, place)
	c.Find(1)
	c.Adopt(plain(8, 1))
	c.Trim()
	c.Restore(save)
	c.Adopt(shape)
}
