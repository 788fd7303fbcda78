package input

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// ours splits a whole text, the way Reader does, from a window that grows byte by byte where grow is true.
func ours(text []byte, grow bool) (records [][]string, mistakes int) {
	var s split
	var scratch []byte
	for len(text) > 0 {
		if text[0] == '\n' || bytes.HasPrefix(text, []byte("\r\n")) || string(text) == "\r" {
			size, _ := firstLine(text)
			text = text[size:]
			continue
		}
		size := len(text)
		if grow {
			size = 1
		}
		for ; ; size++ {
			splitRecord(text[:size], size == len(text), &s, &scratch)
			if s.complete {
				break
			}
		}
		if s.mistake != "" {
			mistakes++
		} else {
			var record []string
			for _, f := range s.fields {
				record = append(record, string(f))
			}
			records = append(records, record)
		}
		text = text[s.size:]
	}
	return records, mistakes
}

func FuzzSplitRecord_AgreesWithEncodingCSV(f *testing.F) {
	for _, s := range []string{
		"a,b\n1,2\n", "\"a,\"\"b\"\"\",c\r\n\"x\ny\r\nz\",\n", "a\"b,c\n1,2\n", "\"a\"b,c\n1,2\n", "\"open,1\n2,3\n", ",\n,,\n", "\r\n\n\"\"\n",
		"a\r\r\n", "\"a\"\r", "a,\r", "\"\"\"\"\n", "a\rb,c", "\"a\"\r\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, mistakes := ours(text, false)
		if grown, m := ours(text, true); m != mistakes || !slices.EqualFunc(got, grown, slices.Equal) {
			t.Fatalf("%q: read at once %q, byte by byte %q", text, got, grown)
		}
		r := csv.NewReader(bytes.NewReader(text))
		r.FieldsPerRecord = -1
		want, err := r.ReadAll()
		if (err != nil) != (mistakes > 0) {
			t.Fatalf("%q: %d mistakes, encoding/csv says %v", text, mistakes, err)
		}
		if err == nil && !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%q: got %q, want %q", text, got, want)
		}
	})
}

func TestSplitRecord_AMistakeCostsOneLine(t *testing.T) {
	text := "a\"b,1\nc,2\n\"d\"e,3\n\"f\n,4\n\"g\nh\",5\ni,6\n\"j"
	records, mistakes := ours([]byte(text), false)
	// The quote before f closes at the one before g, which g follows: the line of f is the mistake, and reading goes on at ",4".
	want := [][]string{{"c", "2"}, {"", "4"}, {"g\nh", "5"}, {"i", "6"}}
	if mistakes != 4 || !slices.EqualFunc(records, want, slices.Equal) {
		t.Errorf("%d mistakes, records %q", mistakes, records)
	}
}

func BenchmarkReader(b *testing.B) {
	text := strings.Repeat("123456,1522540831,596,3156,5716,0,0\n", 1000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	m, err := ParseMapping(handbookMapping)
	if err != nil {
		b.Fatal(err)
	}
	path := write(b, "x.csv", "tx_id,ts,customer,terminal,amount_cents,fraud,scenario\n"+text)
	for b.Loop() {
		r, err := Open(path, m)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) || r.Close() != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "lines/s")
}
