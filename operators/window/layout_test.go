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
	s := plain(7, 10_000, []int64{9_000}, window.Filter{Key: 0x0102030405060708, Match: positive}, window.Filter{Key: 9, Match: positive})
	s.Columns = []window.Column{{Field: schemas.FieldCounterparty}, {Field: schemas.FieldState}, {Attr: "device"}, {Field: schemas.FieldDirection}}
	s.Aggregates = append(s.Aggregates, window.Aggregate{Func: window.Distinct, Field: 0, Filter: window.All, Scan: window.NoScan})
	return s
}

func goldenShapes(v int32) *window.Shape {
	if v == 7 {
		return goldenShape()
	}
	return nil
}

// goldenLimits make chunks of four rows.
func goldenLimits() window.Limits {
	l := window.DefaultLimits()
	l.Chunk = 4
	return l
}

// goldenCustomer has everything that the form can hold: a configuration that changed R, events that left, sealed chunks of which one was
// edited, a tie, late events, absent and empty texts, no amount, a foreign currency, uncounted and retracted events, both sides and none,
// negative amounts, a held stateChange.
func goldenCustomer() *window.Customer {
	old := plain(6, 5_000, nil, window.Filter{Key: 9, Match: positive})
	old.Columns = []window.Column{{Field: schemas.FieldCounterparty}}
	c := window.New("team", "kliëntas-1", old)
	lsn := int64(100)
	fold := func(id string, at int64, side schemas.Side, amount int64, set func(e *schemas.Event)) {
		lsn += 3
		e := schemas.Event{Kind: schemas.KindPayment, ID: id, Time: at, Side: side, HasAmount: amount != 0, Amount: amount, Origin: schemas.Origin{Topic: "payments", Partition: 2, Offset: lsn * 10}}
		if set != nil {
			set(&e)
		}
		c.Fold(&e, window.IDHash(e.ID, e.Side), e.Currency != "USD", e.State != "DECLINED", lsn)
	}
	fold("a", 1_000, schemas.SideOut, 1, nil)
	fold("b", 9_000, schemas.SideIn, 0, nil)
	c.Adopt(goldenShape())
	to := func(cp, state, device string) func(e *schemas.Event) {
		return func(e *schemas.Event) {
			e.SetText(schemas.FieldCounterparty, cp)
			e.SetText(schemas.FieldState, state)
			e.Attributes = []schemas.Attribute{{Name: "device", Value: device}}
		}
	}
	fold("c", 13_000, schemas.SideOut, 57_160_000, to("LT12 1000 0111 0100 1000", "CREATED", "d1"))
	fold("d", 13_000, schemas.SideOut, -schemas.MaxAmount, func(e *schemas.Event) { e.Currency, e.Kind = "USD", schemas.KindTransaction })
	fold("e", 12_999, schemas.SideNone, 2, to("", "DECLINED", ""))
	for i := range int64(8) {
		fold(string(rune('f'+i)), 13_100+i*100, schemas.SideIn, 1_000_000+i, to("x", "CREATED", "d1"))
	}
	fold("late", 12_000, schemas.SideOut, 3_000_000, nil)
	c.SetState(window.IDHash("c", schemas.SideOut), 14_000, "REVERSED", false, lsn+1)
	c.SetState(window.IDHash("m", schemas.SideIn), 14_000, "DECLINED", false, lsn+2)
	c.Hold(window.Held{ID: 77, Appended: 14_001, LSN: lsn + 3, Record: []byte("record")})
	return c
}

func goldenWrite() (head []byte, chunks []window.Chunk) {
	w := goldenCustomer().Write()
	return w.Value, w.Chunks
}

// TestLayout_GoldenFormIsKept: a stored customer and its chunks outlive the program that wrote them.
func TestLayout_GoldenFormIsKept(t *testing.T) {
	defer window.SetLimits(goldenLimits())()
	file := filepath.Join("testdata", "customer-v2.hex")
	head, chunks := goldenWrite()
	text := "head\n" + hexLines(head)
	for _, x := range chunks {
		text += "chunk\n" + hexLines(x.Value)
	}
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("the stored form changed; a new form needs a new Format\n got %s\nwant %s", text, want)
	}
	c, err := window.Decode(head, goldenShapes)
	if err != nil {
		t.Fatal(err)
	}
	names := c.Missing(nil, 14_000, 1)
	if len(names) != len(chunks) || len(chunks) < 2 {
		t.Fatalf("%d chunks missing of %d", len(names), len(chunks))
	}
	for _, x := range chunks {
		if err := c.Supply(x.Name, x.Value); err != nil {
			t.Fatal(err)
		}
	}
	if wm, ok := c.Watermark(); c.Team() != "team" || c.ID() != "kliëntas-1" || c.Version() != 7 || !ok || wm != 13_800 || c.Len() != 13 {
		t.Errorf("header: %s %s version %d watermark %d rows %d", c.Team(), c.ID(), c.Version(), wm, c.Len())
	}
	if n, oldest := c.HeldLen(); n != 1 || oldest != 14_001 {
		t.Errorf("%d held since %d", n, oldest)
	}
	if id, ok := c.Find(window.IDHash("d", schemas.SideOut)); !ok || id.Kind != schemas.KindTransaction || id.Amount != -schemas.MaxAmount || !id.HasAmount {
		t.Errorf("identity of d: %+v, %t", id, ok)
	}
	e := schemas.Event{Kind: schemas.KindPayment, ID: "z", Time: 13_800}
	out := make([]window.Value, 5)
	c.Measure(c.Fold(&e, 5, false, true, 1), 13_800, out, &window.Scratch{})
	// b c d f-l late z; e was declined, c and m were retracted; f to l are 1 unit and something each
	if out[0].I != schemas.I128(11) || out[1].I.Decimal() != "10.000021" || out[2].I != schemas.I128(100) || out[3].I != schemas.I128(100) || out[4].I != schemas.I128(1) {
		t.Errorf("measured: %+v", out)
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

func crc(b []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(b), crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// seal makes a head value of a frame and records, with right checksums and lengths.
func seal(lsn uint64, version uint32, watermark int64, frame []byte, segments ...[]byte) []byte {
	frame = crc(frame)
	body := bytes.Clone(frame)
	for _, s := range segments {
		body = append(body, crc(append(binary.AppendUvarint(nil, uint64(len(s))), s...))...)
	}
	h := binary.BigEndian.AppendUint64(nil, lsn)
	h = append(h, window.Format)
	h = binary.BigEndian.AppendUint32(h, version)
	h = binary.BigEndian.AppendUint32(h, uint32(33+len(body)))
	h = binary.BigEndian.AppendUint32(h, uint32(len(frame)))
	h = crc(binary.BigEndian.AppendUint64(h, uint64(watermark)))
	return append(h, body...)
}

// TestDecode_RefusesWhatWasNotWrittenSo: cut, flipped, foreign and over-long forms, each with its reason.
func TestDecode_RefusesWhatWasNotWrittenSo(t *testing.T) {
	defer window.SetLimits(goldenLimits())()
	good, chunks := goldenWrite()
	for n := range good {
		if _, err := window.Decode(good[:n], goldenShapes); err == nil {
			t.Fatalf("took %d of %d bytes", n, len(good))
		}
		bad := bytes.Clone(good)
		bad[n] ^= 0x10
		if _, err := window.Decode(bad, goldenShapes); err == nil {
			t.Fatalf("took a flipped bit in byte %d", n)
		}
	}
	for n := range chunks[0].Value {
		bad := bytes.Clone(chunks[0].Value)
		bad[n] ^= 0x10
		for _, b := range [][]byte{bad, bad[:n], chunks[1].Value} {
			c, err := window.Decode(good, goldenShapes)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Supply(chunks[0].Name, b); err == nil || !strings.Contains(err.Error(), "stored chunk") {
				t.Fatalf("took a wrong chunk: %v", err)
			}
		}
	}
	format := bytes.Clone(good)
	format[8]++
	if _, err := window.Decode(format, goldenShapes); err == nil || !strings.Contains(err.Error(), "format 3") {
		t.Errorf("another format: %v", err)
	}
	if _, err := window.Decode(append(bytes.Clone(good), 0), goldenShapes); err == nil {
		t.Error("took a byte behind the end")
	}
	if _, err := window.Decode(good, func(int32) *window.Shape { return nil }); err == nil || !strings.Contains(err.Error(), "configuration 7") {
		t.Errorf("an unknown configuration: %v", err)
	}
	other := goldenShape()
	other.Filters[0].Key++
	if _, err := window.Decode(good, func(int32) *window.Shape { return other }); err == nil {
		t.Error("took since times of another condition")
	}
}

// TestDecode_RefusesWhatCannotBe: frames and records that no customer writes, whatever their checksums.
func TestDecode_RefusesWhatCannotBe(t *testing.T) {
	shapes := func(v int32) *window.Shape {
		s := plain(v, 100, []int64{10})
		s.Columns = []window.Column{{Field: schemas.FieldType}}
		return s
	}
	frame := func(rest ...byte) []byte { return append([]byte{1, 't', 1, 'c', 0, 0, 0, 0, 1, 0, 0, 0}, rest...) }
	empty := frame(0, 0)
	row := func(flags, time byte, rest ...byte) []byte {
		return append(append([]byte{flags, time}, make([]byte, 12)...), rest...)
	}
	for _, x := range []struct {
		name     string
		frame    []byte
		segments [][]byte
		good     bool
	}{
		{"empty", empty, nil, true},
		{"rows and a text", empty, [][]byte{append(row(4, 2, 1, 1, 'a'), row(4, 2, 2)...)}, true},
		{"two segments, the second late", empty, [][]byte{row(4, 6, 1, 1, 'a'), row(4, 3, 2)}, true},
		{"a stated row", empty, [][]byte{row(0x44, 6, 0, 0, 1, 1, 'x')}, true},
		{"a stated row without a text", empty, [][]byte{row(0x44, 6, 0, 0, 0)}, false},
		{"a state", empty, [][]byte{append(row(4, 6, 0), append(append([]byte{0x81}, make([]byte, 8)...), 8, 1, 1, 'x')...)}, true},
		{"a state of no row", empty, [][]byte{append(append([]byte{0x81}, make([]byte, 8)...), 8, 1, 1, 'x')}, false},
		{"record of no kind", empty, [][]byte{append(row(4, 6, 0), append(append([]byte{0x82}, make([]byte, 8)...), 8, 1, 1, 'x')...)}, false},
		{"a text that is not there yet", empty, [][]byte{row(4, 6, 2)}, false},
		{"a base amount without an amount", empty, [][]byte{row(6, 6, 0)}, false},
		{"behind the watermark", empty, [][]byte{row(4, 0x80+100, 1, 0)}, false},
		{"cut row", empty, [][]byte{row(4, 6)}, false},
		{"long number", frame(0x80, 0, 0), nil, false},
		{"presence byte 2", append([]byte{0, 0, 2}, empty[3:]...), nil, false},
		{"a chunk", frame(1, 1, 0, 0, 3, 4, 2), nil, true},
		{"a chunk of a seq that was not given", frame(1, 1, 1, 0, 3, 4, 2), nil, false},
		{"an empty chunk", frame(1, 1, 0, 0, 0, 4, 2), nil, false},
		{"a chunk twice", frame(2, 2, 0, 0, 3, 4, 2, 0, 1, 3, 4, 2), nil, false},
		{"chunks out of order", frame(2, 2, 0, 0, 3, 4, 2, 1, 0, 3, 3, 2), nil, false},
		{"a chunk behind the watermark", frame(1, 1, 0, 0, 3, 4, 120), nil, false},
		{"bytes behind the frame", frame(0, 0, 0), nil, false},
	} {
		b := seal(9, 7, 50, x.frame, x.segments...)
		c, err := window.Decode(b, shapes)
		if (err == nil) != x.good {
			t.Errorf("%s: %v", x.name, err)
		}
		if err == nil && c.LSN() != 9 {
			t.Errorf("%s: LSN %d", x.name, c.LSN())
		}
	}
}

// TestDecode_SharesNoMemoryWithItsInput: the caller's buffer is used again.
func TestDecode_SharesNoMemoryWithItsInput(t *testing.T) {
	defer window.SetLimits(goldenLimits())()
	want, chunks := goldenWrite()
	b := bytes.Clone(want)
	c, err := window.Decode(b, goldenShapes)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	for _, x := range chunks {
		v := bytes.Clone(x.Value)
		if err := c.Supply(x.Name, v); err != nil {
			t.Fatal(err)
		}
		clear(v)
	}
	if got := c.Whole(nil); !bytes.Equal(got, want) {
		t.Error("the customer changed with the buffer that it was read from")
	}
}

// TestDecode_HostileLengthsAskForLittleMemory: a length is believed only as far as there are bytes for it.
func TestDecode_HostileLengthsAskForLittleMemory(t *testing.T) {
	huge := binary.AppendUvarint(nil, math.MaxInt32)
	endless := binary.AppendUvarint(nil, math.MaxUint64)
	names := []byte{1, 't', 1, 'c', 0, 0, 0, 0}
	for name, b := range map[string][]byte{
		"team": huge, "team endless": endless, "columns": append(bytes.Clone(names), huge...), "since": append(append(bytes.Clone(names), 0), huge...),
		"held": append(append(bytes.Clone(names), 0, 0), endless...), "chunks": append(append(bytes.Clone(names), 0, 0, 0, 0), huge...),
	} {
		b = seal(1, 7, 50, append(b, make([]byte, 1000)...))
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

// FuzzDecode: any bytes give a customer or an error, and a customer that was read survives its use and its own writing.
func FuzzDecode(f *testing.F) {
	restore := window.SetLimits(goldenLimits())
	head, chunks := goldenWrite()
	restore()
	frame := binary.BigEndian.Uint32(head[17:])
	f.Add(head[33:33+frame-4], head[33+frame+2:len(head)-4], chunks[0].Value[:len(chunks[0].Value)-4], int64(13_800))
	f.Add([]byte{1, 't', 1, 'c', 0, 0, 0, 0, 0, 0, 0, 0, 0}, []byte{}, []byte{}, int64(0))
	f.Fuzz(func(t *testing.T, frame, records, chunk []byte, watermark int64) {
		defer window.SetLimits(goldenLimits())()
		if watermark < -1<<50 || watermark > 1<<50 {
			return // a header's watermark is that of an event that was accepted
		}
		shape := goldenShape()
		shapes := func(int32) *window.Shape { return shape }
		if _, err := window.Decode(append(bytes.Clone(frame), records...), shapes); err == nil {
			t.Fatal("took bytes without a checksum")
		}
		c, err := window.Decode(seal(5, 7, watermark, frame, records), shapes)
		if err != nil {
			return
		}
		for range 4 {
			for _, n := range c.Missing(nil, watermark, 1) {
				if c.Supply(n, crc(chunk)) != nil {
					return
				}
			}
		}
		if len(c.Missing(nil, watermark, 1)) > 0 {
			return
		}
		whole := c.Whole(nil)
		again, err := window.Decode(whole, shapes)
		if err != nil {
			t.Fatalf("read\n %x %x\nwrote\n %x\nwhich is refused: %v", frame, records, whole, err)
		}
		if c.Chunks() == 0 && !bytes.Equal(again.Whole(nil), whole) {
			t.Fatalf("wrote\n %x, then\n %x", whole, again.Whole(nil))
		}
		useHostile(c, watermark)
	})
}

// useHostile asks a customer of unknown origin everything; it must not panic.
func useHostile(c *window.Customer, watermark int64) {
	var j window.Journal
	var s window.Scratch
	j.Save(c)
	e := schemas.Event{Kind: schemas.KindPayment, Time: watermark}
	e.SetText(schemas.FieldType, "new")
	out := make([]window.Value, 5)
	c.Measure(c.Fold(&e, 1, true, true, 1), watermark, out, &s)
	c.Find(1)
	c.SetState(1, watermark, "x", false, 2)
	c.Trim()
	j.Rollback()
	c.Release()
	c.Bytes()
}
