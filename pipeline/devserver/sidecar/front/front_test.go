//go:build linux && amd64

package front

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/compress"

	"github.com/streamgauge/streamgauge/pipeline/devserver/sidecar/chdb"
)

func TestParseStatement_CutsWhereTheEngineWantsIt(t *testing.T) {
	for _, c := range []struct {
		text string
		want statement
	}{
		{"", statement{other, "", "", ""}},
		{"/* open", statement{other, "/* open", "", ""}},
		{"SELECT 1", statement{selects, "SELECT 1", "", ""}},
		{"-- c\n(select 1) FORMAT JSON", statement{selects, "-- c\n(select 1) FORMAT JSON", "JSON", ""}},
		{"WITH 1 AS x SELECT x;", statement{selects, "WITH 1 AS x SELECT x;", "", ""}},
		{"SHOW TABLES", statement{other, "SHOW TABLES", "", ""}},
		{"INSERT INTO t FORMAT Native", statement{insertData, "INSERT INTO t \n", "Native", ""}},
		{"INSERT INTO t(a, `b)`) VALUES (1)", statement{insertData, "INSERT INTO t(a, `b)`) \n", "Values", " (1)"}},
		{"INSERT INTO t FORMAT TSV \r\n\t1\n", statement{insertData, "INSERT INTO t \n", "TSV", "\t1\n"}},
		{"insert t.values values(1)", statement{insertData, "insert t.values \n", "Values", "(1)"}},
		{"INSERT INTO TABLE FUNCTION file('FORMAT') FORMAT CSV 1", statement{insertData, "INSERT INTO TABLE FUNCTION file('FORMAT') \n", "CSV", "1"}},
		{"INSERT INTO format FORMAT CSV 1", statement{insertData, "INSERT INTO format \n", "CSV", "1"}},
		{"INSERT INTO t (SELECT 1)", statement{other, "INSERT INTO t (SELECT 1)", "", ""}},
		{"INSERT INTO t SELECT 1 FORMAT TSV", statement{other, "INSERT INTO t SELECT 1 FORMAT TSV", "", ""}},
		{"INSERT INTO t", statement{other, "INSERT INTO t", "", ""}},
		{"INSERT INTO t -- x\n SETTINGS a = 'FORMAT', b = 1 VALUES", statement{insertData, "INSERT INTO t -- x\n SETTINGS a = 'FORMAT', b = 1 \n", "Values", ""}},
		{"INSERT INTO t VALUES (1); DROP TABLE t", statement{insertData, "INSERT INTO t \n", "Values", " (1); DROP TABLE t"}}, // data, which the engine refuses
	} {
		if got, err := parseStatement(c.text); err != nil || got != c.want {
			t.Errorf("%s:\n%+v (%v), want\n%+v", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{"SELECT 1; SELECT 2", "SELECT 1;;x", "DROP TABLE a; DROP TABLE b", "INSERT INTO t SELECT 1; DROP TABLE t", "INSERT INTO t; SELECT 1", "SELECT ';'; -- c\n /* d */ x"} {
		var ex *chdb.Exception
		if got, err := parseStatement(text); !errors.As(err, &ex) || ex.Code != 62 {
			t.Errorf("%s: %+v (%v), want code 62: two statements", text, got, err)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	for _, s := range []string{"SELECT 1; -- x", "INSERT INTO t (a) FORMAT TSV\n1", "INSERT INTO t VALUES ('a\\'', $x$;$x$)", "WITH /* /* */ */ `a``b` SELECT \"c\"", "$a$", "INSERT INTO FUNCTION f(1) SELECT 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		st, err := parseStatement(text)
		if err != nil {
			return
		}
		switch st.kind {
		case insertData:
			if !strings.HasPrefix(text, strings.TrimSuffix(st.sql, "\n")) || !strings.HasSuffix(text, st.data) || st.format == "" || len(st.sql)+len(st.data) > len(text) {
				t.Errorf("%q is cut into %+v", text, st)
			}
		default:
			if st.sql != text || st.data != "" {
				t.Errorf("%q becomes %+v", text, st)
			}
		}
	})
}

func TestParseRequest_UnknownParametersAreSettings(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/?query=SELECT+1&database=d`b&max_threads=2&a=it's+\\&param_p=v&compress=1&network_compression_method=ZSTD&client_protocol_version=54460&default_format=Native&user=u&password=p&log_comment=x&query_id=q", nil)
	req, err := parseRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := req.session(), []string{"USE `d\\`b`", `SET a = 'it\'s \\', max_threads = '2'`}; !reflect.DeepEqual(got, want) {
		t.Errorf("session %q, want %q", got, want)
	}
	if req.compress != compress.ZSTD || req.revision != 54460 || req.format != "Native" || req.queryID != "q" || !reflect.DeepEqual(req.params, []chdb.Param{{Name: "p", Value: "v"}}) {
		t.Errorf("request %+v", req)
	}
	req, err = parseRequest(httptest.NewRequest(http.MethodGet, "/?query=SELECT+1&readonly=0", nil))
	if got := req.session(); err != nil || !reflect.DeepEqual(got, []string{"SET readonly = '0', readonly = 2"}) {
		t.Errorf("a GET's session is %q (%v), want readonly last", got, err)
	}
}

// blocks returns n compressed blocks and what is in them.
func blocks(t *testing.T, method compress.Method, n int) (packed, plain []byte) {
	w := compress.NewWriter(compress.LevelZero, method)
	for i := range n {
		b := bytes.Repeat([]byte{byte(i), 7, byte(i * 3)}, 100)
		if err := w.Compress(b); err != nil {
			t.Fatal(err)
		}
		packed, plain = append(packed, w.Data...), append(plain, b...)
	}
	return packed, plain
}

func TestBlockReader_EndsOnlyBehindAWholeBlock(t *testing.T) {
	for _, method := range []compress.Method{compress.None, compress.LZ4, compress.ZSTD} {
		packed, plain := blocks(t, method, 3)
		whole := map[int]bool{0: true, len(packed) / 3: true, len(packed) / 3 * 2: true, len(packed): true}
		for cut := range len(packed) + 1 {
			r := newBlockReader(bytes.NewReader(packed[:cut]))
			got, err := io.ReadAll(r)
			if (err == nil) != whole[cut] || !bytes.HasPrefix(plain, got) {
				t.Fatalf("%v: %d of %d bytes: %d bytes come out with %v", method, cut, len(packed), len(got), err)
			}
			if n, again := r.Read(make([]byte, 10)); n != 0 || again == nil {
				t.Fatalf("%v: behind the end come %d more bytes", method, n)
			}
		}
	}
}

func FuzzBlockReader(f *testing.F) {
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	if err := w.Compress([]byte("hello hello hello")); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(w.Data))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		source := bytes.NewReader(b)
		r := newBlockReader(source)
		if _, err := io.Copy(io.Discard, r); err == nil && source.Len() > 0 {
			t.Errorf("%d bytes of %d are left behind a good end", source.Len(), len(b))
		}
		if n, err := r.Read(make([]byte, 10)); n > 0 || err == nil {
			t.Errorf("behind the end come %d more bytes (%v)", n, err)
		}
	})
}

func TestAnswer_FailureHasAStatusUntilAMegabyteIsOut(t *testing.T) {
	ex := &chdb.Exception{Code: 60, Text: "Code: 60. DB::Exception: no table. (UNKNOWN_TABLE)"}
	early := httptest.NewRecorder()
	a := newAnswer(early)
	if err := a.write(make([]byte, answerBuffer)); err != nil {
		t.Fatal(err)
	}
	a.fail(ex)
	if body := early.Body.String(); early.Code != http.StatusNotFound || body != ex.Text+"\n" || early.Header().Get("X-ClickHouse-Exception-Code") != "60" {
		t.Errorf("%d %q", early.Code, body)
	}
	late := httptest.NewRecorder()
	a = newAnswer(late)
	if err := a.write(make([]byte, answerBuffer+1)); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
				t.Error("the connection of a half answer is not aborted")
			}
		}()
		a.fail(ex)
	}()
	tag := late.Header().Get("X-ClickHouse-Exception-Tag")
	if want := "\r\n__exception__\r\n" + tag + "\r\n" + ex.Text + "\n"; late.Code != http.StatusOK || len(tag) != tagLength || !strings.Contains(late.Body.String(), want) {
		t.Errorf("%d …%q, want %q", late.Code, late.Body.Bytes()[answerBuffer-1:], want)
	}
}
