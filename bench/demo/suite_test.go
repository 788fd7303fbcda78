package demo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/bench/input"
)

// suite reads the parsing tests of JSONTestSuite by name.
func suite(t *testing.T) map[string][]byte {
	t.Helper()
	f, err := os.Open(data(t, "jsontestsuite", "JSONTestSuite-tests.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(plain); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		if head.Typeflag != tar.TypeReg || filepath.Dir(head.Name) != "test_parsing" {
			continue
		}
		if files[filepath.Base(head.Name)], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// badLines are bytes that become no event, with a good line behind each piece.
type badLines struct {
	text bytes.Buffer
	good int
	want map[int]bool // the numbers of the bad lines
	line int
}

// add appends a piece, which may hold several lines or none, and a good line.
func (b *badLines) add(piece []byte) {
	b.text.Write(piece)
	b.text.WriteByte('\n')
	for l := range bytes.Lines(piece) {
		if len(bytes.Trim(l, " \t\r\n")) > 0 {
			b.line++
			b.want[b.line] = true
		}
	}
	b.line++
	b.good++
	fmt.Fprintf(&b.text, `{"id":"%d","time":"2018-04-01T00:00:00Z","customer":"good","amount":1}`+"\n", b.good)
}

// check holds that every bad line is rejected with a reason, and that the good ones between were counted one by one.
func (b *badLines) check(t *testing.T) {
	t.Helper()
	r := replay(t, "", rulesDir(t, windows), write(t, "in.jsonl", b.text.String()))
	got := map[int]bool{}
	for _, l := range r.rejected(t) {
		got[l.Line] = true
		if l.Reason == "" || l.Detail == "" {
			t.Errorf("line %d is rejected without a reason: %+v", l.Line, l)
		}
	}
	if !maps.Equal(got, b.want) {
		t.Errorf("%d lines are rejected, want %d", len(got), len(b.want))
	}
	facts := r.facts(t)
	for i, f := range facts {
		if n := strconv.Itoa(i + 1); f.ID != n || f.Outcome != "assessed" || f.Features["c_n1"] != n || f.Features["c_sum30"] != n {
			t.Fatalf("good line %s is %+v", n, f)
		}
	}
	if len(facts) != b.good {
		t.Errorf("%d good lines have facts, want %d", len(facts), b.good)
	}
}

// TestData_EveryFileOfTheJSONTestSuiteIsRejectedLineByLine puts the files one after the other into one file of JSON lines.
func TestData_EveryFileOfTheJSONTestSuiteIsRejectedLineByLine(t *testing.T) {
	files := suite(t)
	if len(files) < 300 {
		t.Fatalf("%d files", len(files))
	}
	b := badLines{want: map[int]bool{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b.add(files[name])
	}
	b.check(t)
}

// TestData_EveryFileOfTheJSONTestSuiteIsAFileOfItsOwn gives them all as --input files of one run. UTF-16 is refused with the way out.
func TestData_EveryFileOfTheJSONTestSuiteIsAFileOfItsOwn(t *testing.T) {
	files, dir := suite(t), t.TempDir()
	var paths, utf16 []string
	want := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content, path := files[name], filepath.Join(dir, name+"l")
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
			utf16 = append(utf16, path)
			continue
		}
		paths = append(paths, path)
		for l := range bytes.Lines(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))) {
			if len(bytes.Trim(l, " \t\r\n")) > 0 {
				want++
			}
		}
	}
	r := replay(t, "", "", paths...)
	rejected := r.rejected(t)
	if len(rejected) != want || rejected[len(rejected)-1].Line != want || r.text(t, "facts.jsonl") != "" {
		t.Errorf("%d lines are rejected, want %d; facts %.200s", len(rejected), want, r.text(t, "facts.jsonl"))
	}
	err := RunFile(t.Context(), FileOptions{Input: utf16, Out: t.TempDir(), Stdout: io.Discard})
	if err == nil || strings.Count(err.Error(), "save it as UTF-8") != len(utf16) || len(utf16) == 0 {
		t.Errorf("%d files in UTF-16: %v", len(utf16), err)
	}
}

// TestFile_RandomBytesAreRejectedAndTheNextLineIsGood feeds noise of all bytes and noise of JSON's own characters.
func TestFile_RandomBytesAreRejectedAndTheNextLineIsGood(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	b := badLines{want: map[int]bool{}}
	for range 500 {
		piece := make([]byte, 1+rnd.IntN(200))
		alphabet := `{}[]",:0123456789eE+-. \truefalsn` + "\n"
		for i := range piece {
			if piece[i] = byte(rnd.IntN(256)); b.good%2 == 0 {
				piece[i] = alphabet[rnd.IntN(len(alphabet))]
			}
		}
		b.add(piece)
	}
	b.check(t)
}

// TestFile_HeaderAndMappingMistakesComeAllAtOnce reads files that cannot be meant so: nothing is started for them.
func TestFile_HeaderAndMappingMistakesComeAllAtOnce(t *testing.T) {
	m, err := input.ParseMapping("customer=acct,time=ts:unix")
	if err != nil {
		t.Fatal(err)
	}
	a, b := write(t, "a.csv", "id,ts,id\n1,2,3\n"), write(t, "b.txt", "x")
	err = RunFile(t.Context(), FileOptions{Input: []string{a, b, "absent.csv"}, Mapping: m, Out: t.TempDir(), Stdout: io.Discard})
	if err == nil {
		t.Fatal("it ran")
	}
	for _, say := range []string{`"acct"`, `"id" stands twice`, "amount, which is required", `".txt"`, "absent.csv"} {
		if !strings.Contains(err.Error(), say) {
			t.Errorf("the error does not say %s:\n%v", say, err)
		}
	}
}
