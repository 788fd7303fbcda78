package input

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const handbookMapping = "id=tx_id,time=ts:unix,customer=customer,amount=amount_cents:1e-2"

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func packed(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

// all reads a whole file, one line of text for each data line.
func all(t testing.TB, path, mapping string) (lines []string) {
	t.Helper()
	m, err := ParseMapping(mapping)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines
		} else if err != nil {
			t.Fatal(err)
		}
		if line.Err != nil {
			lines = append(lines, fmt.Sprintf("%d %s: %s", line.Number, line.Err.Reason, line.Err.Detail))
		} else {
			lines = append(lines, fmt.Sprintf("%d %s %s", line.Number, line.Customer, line.Value))
		}
	}
}

func compare(t *testing.T, got []string, want string) {
	t.Helper()
	if text := strings.Join(got, "\n"); text != strings.TrimSpace(want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestReader_CSVLinesBecomeFlatRecords(t *testing.T) {
	text := "\xef\xbb\xbf\r\nts, acct ,cents,tx,customer,note,attr.x,,currency\r\n" +
		"1522540831,c1,5716,t1,own,\"say \"\"hi\"\",\nü\",1,9,EUR\r\n" +
		"\r\n" +
		"1522540831.5,,,\"\",,,,,\n" +
		"short,line\n" +
		"a,b,c,d,e,f,g,h,i,j\n" +
		"not a time,c2,1.234567891,t2,,bare \" quote,,,\n" +
		"not a time,c2,1.234567891,t2,,\"no end,,,\n" +
		"not a time,c2,1.234567891,t2,,,,,\n" +
		"1,c3,x,t\xff,,,,,\n" +
		"1,c3,x\\,t3,,\x01,,,"
	const mapping = "customer=acct,amount=cents:1e-2,time=ts:unix,id=tx"
	want := `
1 c1 {"time":1522540831000,"customer":"c1","amount":"57.16","id":"t1","attr.customer":"own","attr.note":"say \"hi\",\nü","attr.x":"1","attr.column8":"9","currency":"EUR"}
2  {"time":1522540831500}
3 field_count: 2 fields, the header has 9 columns
4 field_count: 10 fields, the header has 9 columns
5 invalid_csv: a quote inside field 6, which does not begin with one; quote the whole field and double the quotes in it
6 invalid_csv: the quote that begins field 6 is never closed
7 c2 {"time":"not a time","customer":"c2","amount":"1.234567891e-2","id":"t2"}
8 invalid_text: column "tx" is not UTF-8; save the file as UTF-8
9 c3 {"time":1000,"customer":"c3","amount":"x\\","id":"t3","attr.note":"\u0001"}`
	compare(t, all(t, write(t, "a.csv", text), mapping), want)
	compare(t, all(t, write(t, "a.CSV.GZ", packed(t, text)), mapping), want)
	compare(t, all(t, write(t, "a.csv", packed(t, text[:40])+packed(t, text[40:])), mapping), want) // by its bytes, not its name
	compare(t, all(t, write(t, "a.csv.gz", text), mapping), want)
}

func TestReader_JSONLinesBecomeFlatRecords(t *testing.T) {
	text := "\xef\xbb\xbf" + `{"ts":1522540831.25,"acct":596,"cents":5716,"tx":"t1","customer":"own","n":{"a":[1, 2]},"x":1e400,"attr.y":null,"\u0061cct2":"\ud83d\ude00"}` + "\r\n" +
		"  \r\n" +
		`{"ts":"1522540831","acct":"c\"2","cents":"5716","tx":2,"channel":""}` + "\n" +
		`{"ts":true,"acct":["c"],"cents":null}` + "\n" +
		`[1]` + "\n" +
		`{"a":1} {"b":2}` + "\n" +
		`{"a":1} {"b":` + "\n" +
		`{"a":1,}` + "\n" +
		`{"a":"` + "\xff" + `"}` + "\n" +
		`{"\ud800":1}` + "\n" +
		"[" + "\n" +
		`{"a":1,"a":2}` + "\n" +
		`{}`
	compare(t, all(t, write(t, "a.jsonl", text), "customer=acct,amount=cents:1e-2,time=ts:unix,id=tx"), `
1 596 {"time":1522540831250,"customer":596,"amount":"57.16","id":"t1","attr.customer":"own","attr.n":{"a":[1, 2]},"attr.x":1e400,"attr.y":null,"attr.acct2":"\ud83d\ude00"}
2 c"2 {"time":1522540831000,"customer":"c\"2","amount":"57.16","id":2,"channel":""}
3  {"time":true,"customer":["c"],"amount":null}
4 wrong_type: expected one JSON object, got array
5 invalid_json: bytes behind the object; want one object a line
6 invalid_json: bytes behind the object; want one object a line
7 invalid_json: unexpected byte 125 '}' at 7
8 invalid_json: not UTF-8 at byte 6
9 invalid_json: lone surrogate at byte 2
10 invalid_json: unexpected end at byte 1
11  {"attr.a":1,"attr.a":2}
12  {}`)
	if lines := all(t, write(t, "a.jsonl", ""), ""); len(lines) != 0 {
		t.Errorf("an empty file has lines %q", lines)
	}
}

func TestReader_WithoutAMappingCanonicalNamesAreTheirOwn(t *testing.T) {
	compare(t, all(t, write(t, "a.csv", "id,time,customer,amount,status,fraud\n1,2018-04-01 00:00:31,c,5.5,OK,1\n"), ""),
		`1 c {"id":"1","time":"2018-04-01T00:00:31Z","customer":"c","amount":"5.5","status":"OK","attr.fraud":"1"}`)
	compare(t, all(t, write(t, "a.jsonl", `{"id":"1","time":1522540831000,"customer":"c","amount":5.50}`), ""),
		`1 c {"id":"1","time":1522540831000,"customer":"c","amount":5.50}`)
	// One column may serve two canonical ones.
	compare(t, all(t, write(t, "a.csv", "time,customer,amount\n2018-04-01,c,1\n"), "id=time"),
		`1 c {"id":"2018-04-01","time":"2018-04-01T00:00:00Z","customer":"c","amount":"1"}`)
}

func TestReader_ALongLineIsBadAndTheNextOneGood(t *testing.T) {
	long := strings.Repeat("x", 3*MaxLine)
	head := "id,time,customer,amount\n"
	compare(t, all(t, write(t, "a.csv", head+"1,2018-04-01,c,1\n"+long+"\n2,2018-04-01,c,1\n"+long), ""), fmt.Sprintf(`
1 c {"id":"1","time":"2018-04-01T00:00:00Z","customer":"c","amount":"1"}
2 too_large: a line of %d bytes, at most %d
3 c {"id":"2","time":"2018-04-01T00:00:00Z","customer":"c","amount":"1"}
4 too_large: a line of %d bytes, at most %d`, len(long)+1, MaxLine, len(long), MaxLine))
	compare(t, all(t, write(t, "a.jsonl", "{}\n"+long+"\n{}\n"), ""), fmt.Sprintf(`
1  {}
2 too_large: a line of %d bytes, at most %d
3  {}`, len(long)+1, MaxLine))
	// A quote that is never closed must not swallow the records behind it.
	rows := strings.Repeat("2,2018-04-01,c,1\n", 2*MaxLine/17)
	lines := all(t, write(t, "a.csv", head+"1,2018-04-01,\"c,1\n"+rows), "")
	if len(lines) != 1+2*MaxLine/17 || lines[0] != fmt.Sprintf("1 invalid_csv: the quote that begins field 3 is not closed within %d bytes", MaxLine) {
		t.Errorf("%d lines, the first %s", len(lines), lines[0])
	}
}

func TestReader_TheLongestLineIsTakenAndOneByteMoreIsNot(t *testing.T) {
	for _, end := range []string{"", "\n", "\r\n"} {
		line := `{"a":"` + strings.Repeat("x", MaxLine-8) + `"}`
		got := all(t, write(t, "a.jsonl", line+end), "")
		if len(got) != 1 || !strings.Contains(got[0], "bytes as JSON") { // attr. makes it longer than intake takes
			t.Errorf("%d lines, %.80s", len(got), got)
		}
		line = `{"attr.a":"` + strings.Repeat("x", MaxLine-13) + `"}`
		if got := all(t, write(t, "a.jsonl", line+end), ""); len(got) != 1 || !strings.HasPrefix(got[0], `1  {"attr.a"`) {
			t.Errorf("%d lines, %.80s", len(got), got)
		}
		if got := all(t, write(t, "a.jsonl", " "+line+end), ""); len(got) != 1 || !strings.HasPrefix(got[0], "1 too_large: a line of") {
			t.Errorf("%d lines, %.80s", len(got), got)
		}
	}
}

func TestReader_MemoryIsTheCallersAndRawIsTheLine(t *testing.T) {
	r, err := Open(write(t, "a.csv", "id,time,customer,amount\n1,2018-04-01,c1,1\r\n2,\"2018-04\"\"-01\",c2,2\n\"bad\n"), Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var lines []Line
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		lines = append(lines, line)
	}
	if len(lines) != 3 || string(lines[0].Raw) != "1,2018-04-01,c1,1" || string(lines[1].Raw) != `2,"2018-04""-01",c2,2` ||
		string(lines[2].Raw) != `"bad` || !strings.Contains(string(lines[0].Value), `"c1"`) || lines[2].Value != nil {
		t.Errorf("lines %+v", lines)
	}
	if r.Lines() != 3 || r.BytesRead() != r.Size() || r.Size() == 0 {
		t.Errorf("%d lines, %d bytes of %d", r.Lines(), r.BytesRead(), r.Size())
	}
}

func TestOpen_SaysEveryMistakeOfAHeader(t *testing.T) {
	m, err := ParseMapping("customer=acct,amount=cents:1e-2,country=land")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"a.csv", "id,account,cents,id\n", `column "id" stands twice; rename one
the header has no column "acct", which is mapped to customer
the header has no column "land", which is mapped to country
the header has no column time, which is required; map it: time=COLUMN
the header's columns are id, account, cents, id`},
		{"a.csv", "", "is empty, want a header line"},
		{"a.csv", "\n\r\n", "is empty, want a header line"},
		{"a.csv", "a\"b,c\n", "header: a quote inside field 1"},
		{"a.csv", "\"a\n", "header: the quote that begins field 1 is never closed"},
		{"a.csv", "id;time;customer;amount\n", `separate columns by commas, not by ";"`},
		{"a.csv", "PK\x03\x04\x00\xff,\n", "is not UTF-8 text"},
		{"a.csv", "\xff\xfei\x00d\x00", "is UTF-16"},
		{"a.csv", strings.Repeat("x", 2*MaxLine), "the first line is longer than"},
		{"a.csv.gz", "\x1f\x8bxx", "gzip"},
		{"a.txt", "", `extension ".txt" is neither .csv nor .jsonl`},
		{"a.gz", "", `extension "" is neither`},
		{"a.json", "{}", `extension ".json" is neither`},
	} {
		if r, err := Open(write(t, c.name, c.text), m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.20q: got %v %v, want %s", c.name, c.text, r, err, c.want)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.csv"), m); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	folder := filepath.Join(t.TempDir(), "folder.csv")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(folder, m); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
}

func TestReader_ABrokenGzipIsAnErrorWithItsPlace(t *testing.T) {
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "{\"id\":%d}\n", i*i*7919)
	}
	whole := packed(t, text.String())
	r, err := Open(write(t, "a.jsonl.gz", whole[:len(whole)/2]), Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) || r.Lines() == 0 || !strings.Contains(err.Error(), fmt.Sprintf("behind data line %d", r.Lines())) {
		t.Errorf("after %d lines: %v", r.Lines(), err)
	}
}
