package demo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/bench/input"
)

// data is the path of other people's data beside the repository; the test is skipped where it is not.
func data(t testing.TB, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "..", "shared", "data"}, parts...)...)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Skipf("shared/data/%s is not beside the repository", strings.Join(parts, "/"))
	}
	return path
}

// factLine is a line of facts.jsonl as a reader of the documentation would declare it.
type factLine struct {
	Line     int               `json:"line"`
	ID       string            `json:"id"`
	Customer string            `json:"customer"`
	Time     string            `json:"time"`
	Kind     string            `json:"kind"`
	Outcome  string            `json:"outcome"`
	Reason   string            `json:"reason"`
	Detail   string            `json:"detail"`
	Late     *bool             `json:"late"`
	Level    string            `json:"level"`
	Rules    map[string]string `json:"rules"`
	Features map[string]string `json:"features"`
	Hits     []struct {
		Rule        string            `json:"rule"`
		Level       string            `json:"level"`
		Shadow      bool              `json:"shadow"`
		AtWatermark bool              `json:"at_watermark"`
		Reason      string            `json:"reason"`
		Values      map[string]string `json:"values"`
	} `json:"hits"`
}

type rejectedLine struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// resultLine is a CloudEvent of results.jsonl in its structured form.
type resultLine struct {
	Type            string            `json:"type"`
	SpecVersion     string            `json:"specversion"`
	Source          string            `json:"source"`
	Subject         string            `json:"subject"`
	ID              string            `json:"id"`
	Time            string            `json:"time"`
	DataContentType string            `json:"datacontenttype"`
	Data            map[string]string `json:"data"`
}

// replayed is what one run over a file left behind.
type replayed struct {
	dir     string
	summary string
}

// replay runs files through the whole product without the archive, as verb demo does.
func replay(t *testing.T, mapping, rules string, files ...string) replayed {
	t.Helper()
	m, err := input.ParseMapping(mapping)
	if err != nil {
		t.Fatal(err)
	}
	out := replayed{dir: t.TempDir()}
	var said bytes.Buffer
	err = RunFile(t.Context(), FileOptions{Input: files, Mapping: m, Rules: rules, Out: out.dir, Archive: archiveChoice{Off: true}, Stdout: &said})
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	out.summary = said.String()
	return out
}

// eachLine decodes every line of one of the run's files, a key that L does not have being an error.
func eachLine[L any](t *testing.T, r replayed, name string, fn func(line *L)) (n int) {
	t.Helper()
	f, err := os.Open(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		n++
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		var line L
		if err := d.Decode(&line); err != nil {
			t.Fatalf("%s line %d: %v: %s", name, n, err, lines.Bytes())
		}
		fn(&line)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

func allLines[L any](t *testing.T, r replayed, name string) (out []L) {
	t.Helper()
	eachLine(t, r, name, func(l *L) { out = append(out, *l) })
	return out
}

func (r replayed) facts(t *testing.T) []factLine { return allLines[factLine](t, r, "facts.jsonl") }

func (r replayed) rejected(t *testing.T) []rejectedLine {
	return allLines[rejectedLine](t, r, "rejected.jsonl")
}

func (r replayed) results(t *testing.T) []resultLine {
	return allLines[resultLine](t, r, "results.jsonl")
}

func (r replayed) text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// write makes a file in a folder of the test's own; .gz packs it.
func write(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	b := []byte(content)
	if strings.HasSuffix(name, ".gz") {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		z.Write(b)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		b = packed.Bytes()
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// rulesDir makes a rules folder of one file.
func rulesDir(t *testing.T, content string) (dir string) {
	t.Helper()
	return filepath.Dir(write(t, "rules.yaml", content))
}

// stamp is RFC 3339 text of ms since 1970.
func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.999Z07:00") }

// windows are the six named features of the handbook's columns.
const windows = `features:
  - {name: c_n1, expr: "count('1d')"}
  - {name: c_sum1, expr: "sum('1d', amount)"}
  - {name: c_n7, expr: "count('7d')"}
  - {name: c_sum7, expr: "sum('7d', amount)"}
  - {name: c_n30, expr: "count('30d')"}
  - {name: c_sum30, expr: "sum('30d', amount)"}
`
