package input

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/schemas"
)

// intake judges a line as the topic's intake does.
func intake(t testing.TB, line Line) *operators.Item {
	t.Helper()
	it := &operators.Item{Value: line.Value}
	b := &operators.Batch{Topic: schemas.Transactions, Items: []*operators.Item{it}}
	sources := operators.Sources{{Name: "file", Team: "t", Topic: schemas.Transactions, Format: "flat"}}
	for _, op := range []operators.Operator{operators.Decode{Sources: sources}, operators.Validate{}} {
		if err := op.Process(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if it.Rejected {
			break
		}
	}
	return it
}

func data(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "..", "shared", "data"}, parts...)...)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Skipf("shared/data/%s is not beside the repository", strings.Join(parts, "/"))
	}
	return path
}

// TestReader_HandbookAmountsAndTimesAreExact compares every row of a month with encoding/csv and integers.
func TestReader_HandbookAmountsAndTimesAreExact(t *testing.T) {
	path := data(t, "handbook", "tx-2018-04.csv.gz")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(plain)
	if _, err := rows.Read(); err != nil {
		t.Fatal(err)
	}
	m, err := ParseMapping(handbookMapping)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var cents, micros int64
	for {
		row, wantErr := rows.Read()
		line, err := r.Next()
		if !errors.Is(err, wantErr) {
			t.Fatalf("got %v, want %v", err, wantErr)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		it := intake(t, line)
		e := &it.Event
		amount, _ := strconv.ParseInt(row[4], 10, 64)
		ts, _ := strconv.ParseInt(row[1], 10, 64)
		if it.Rejected || line.Customer != row[2] || e.Customer != row[2] || e.ID != row[0] || e.Time != ts*1000 || e.Amount != amount*10_000 || len(e.Attributes) != 3 {
			t.Fatalf("row %v became %s, an event %+v, %s", row, line.Value, e, it.Detail)
		}
		cents += amount
		micros += e.Amount
	}
	if micros != cents*10_000 || r.Lines() < 280_000 || r.BytesRead() != r.Size() {
		t.Errorf("%d lines, %d cents became %d micros, %d bytes of %d", r.Lines(), cents, micros, r.BytesRead(), r.Size())
	}
	t.Logf("%d lines, %d cents", r.Lines(), cents)
}

func TestReader_OtherPeoplesFilesAreTaken(t *testing.T) {
	for _, c := range []struct {
		file, mapping string
		lines         int
	}{
		{"amlsim-exports/transactions.csv.gz", "id=tran_id,time=tran_timestamp,customer=orig_acct,counterparty=bene_acct,amount=base_amt,type=tx_type", 10_333},
		{"paysim-sample/paysim-steps1-8.csv.gz", "id=nameOrig,time=step:unix,customer=nameOrig,counterparty=nameDest", 19_999},
	} {
		path := data(t, strings.Split(c.file, "/")...)
		m, err := ParseMapping(c.mapping)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(path, m)
		if err != nil {
			t.Fatal(err)
		}
		for line, err := r.Next(); !errors.Is(err, io.EOF); line, err = r.Next() {
			if err != nil || line.Err != nil {
				t.Fatal(err, line.Err)
			}
			if it := intake(t, line); it.Rejected {
				t.Fatalf("%s line %d: %s %s", c.file, line.Number, it.Reason, it.Detail)
			}
		}
		if r.Lines() != c.lines {
			t.Errorf("%s: %d lines, want %d", c.file, r.Lines(), c.lines)
		}
		r.Close()
	}
}

func TestReader_EveryFileOfTheJSONTestSuiteIsALineWithAReason(t *testing.T) {
	f, err := os.Open(data(t, "jsontestsuite", "JSONTestSuite-tests.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for r := tar.NewReader(plain); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name, dir := filepath.Base(head.Name), filepath.Dir(head.Name)
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if head.Typeflag != tar.TypeReg || dir != "test_parsing" || bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
			continue
		}
		files++
		text = bytes.Trim(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), "\r\n")
		if _, bad := checkLines(t, "a.jsonl", string(text), MaxLine); bad == 0 && name[0] == 'n' && !bytes.ContainsRune(text, '\n') && !json.Valid(text) && len(bytes.TrimSpace(text)) > 0 {
			t.Errorf("%s was taken for JSON", name)
		}
	}
	if files < 310 {
		t.Errorf("%d files", files)
	}
}

// checkLines reads a text as a file with a limit on its lines and holds what must hold for any bytes; it returns the number of bad lines.
func checkLines(t testing.TB, name, text string, limit int) (lines, bad int) {
	t.Helper()
	r := &Reader{path: name, outputs: map[string][]output{}}
	r.next = r.nextJSON
	if name == "a.csv" {
		r.next = r.nextCSV
	}
	if err := r.begin(strings.NewReader(text), limit, name == "a.csv"); err != nil {
		return 0, 0
	}
	for n := 1; ; n++ {
		line, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !strings.HasPrefix(text, "\x1f\x8b") {
				t.Errorf("%q: %v", text, err)
			}
			return r.Lines(), bad
		}
		switch {
		case line.Number != n:
			t.Errorf("%q: line %d is called %d", text, n, line.Number)
		case line.Err != nil && (line.Err.Reason == "" || line.Err.Detail == "" || line.Value != nil):
			t.Errorf("%q: line %d is bad without a reason: %v, value %q", text, n, line.Err, line.Value)
		case line.Err == nil && (!json.Valid(line.Value) || line.Value[0] != '{'):
			t.Errorf("%q: line %d became %q, which is no JSON object", text, n, line.Value)
		case len(line.Value) > limit || len(line.Raw) > limit || !strings.Contains(text, string(line.Raw)):
			t.Errorf("%q: line %d has value %q, raw %q", text, n, line.Value, line.Raw)
		}
		if line.Err != nil {
			bad++
		} else if it := intake(t, line); it.Reason == operators.ReasonInvalidJSON {
			t.Errorf("%q: line %d became %q, which intake cannot read: %s", text, n, line.Value, it.Detail)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add("id,time,customer,amount\n1,2018-04-01,c,1\n\"a\nb\",,,\n\"x\n", uint8(40))
	f.Add("1,2018-04-01,c,1\n\n123456789012345678901234567890123456789\n1,\"23456789012345\n1,,,\n1,,,\n", uint8(16))
	f.Add(`{"id":1,"attr.":2,"":3,"\u0000":"\ud83d\ude00"}`+"\n[]\n{\n", uint8(255))
	f.Fuzz(func(t *testing.T, text string, small uint8) {
		limit := max(int(small), len("id,time,customer,amount"))
		checkLines(t, "a.csv", text, limit)
		checkLines(t, "a.csv", "id,time,customer,amount\n"+text, limit)
		lines, _ := checkLines(t, "a.jsonl", text, limit)
		want := 0
		for line := range strings.Lines(strings.TrimPrefix(text, "\xef\xbb\xbf")) {
			if len(line) > limit+len("\r\n") || strings.Trim(line, " \t\r\n") != "" {
				want++
			}
		}
		if magic := text[:min(2, len(text))]; lines != want && magic != "\x1f\x8b" && magic != "\xff\xfe" && magic != "\xfe\xff" {
			t.Errorf("%q: %d lines, want %d", text, lines, want)
		}
	})
}
