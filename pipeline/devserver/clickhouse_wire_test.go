package devserver

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/compress"
)

// wire sends one request to a sidecar as curl would and returns status and body. query "" leaves it to the body.
func wire(t *testing.T, c *ClickHouse, method, query string, body []byte, params ...string) (*http.Response, string) {
	t.Helper()
	v := url.Values{}
	if query != "" {
		v.Set("query", query)
	}
	header := http.Header{}
	for i := 0; i+1 < len(params); i += 2 {
		if name, ok := strings.CutPrefix(params[i], "header:"); ok {
			header.Set(name, params[i+1])
		} else {
			v.Set(params[i], params[i+1])
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, c.URL+"/?"+v.Encode(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	if host := header.Get("Host"); host != "" {
		r.Host = host
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, query, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, query, err)
	}
	return res, string(text)
}

// ok sends a statement by POST and wants status 200.
func ok(t *testing.T, c *ClickHouse, query, body string, params ...string) string {
	t.Helper()
	res, text := wire(t, c, http.MethodPost, query, []byte(body), params...)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%.100s %.100s: %s %s", query, body, res.Status, text)
	}
	return text
}

func TestClickHouse_StatementsComeInEveryShape(t *testing.T) {
	testEngine(t)
	c := start(t, t.TempDir())
	ok(t, c, "", "CREATE TABLE t (n UInt32, s String) ENGINE = MergeTree ORDER BY n; -- one statement")
	count := uint64(0)
	for _, shape := range []struct {
		query, body string
		rows        int
	}{
		{"", "INSERT INTO t VALUES (1, 'a;b'), (2, 'FORMAT')", 2},
		{"", "INSERT INTO t VALUES (1, 'x');", 1},
		{"INSERT INTO t (n) VALUES", "(1), (2)", 2},
		{"INSERT INTO t (n) VALUES (1),", "(2)", 2},
		{"insert into t format TSV", "1\ta\n2\tb\n3\tc\n", 3},
		{"", "INSERT INTO t FORMAT TSV\n1\ta\n2\tb\n", 2},
		{"", "INSERT INTO t FORMAT JSONEachRow {\"n\": 1, \"s\": \"VALUES\"}", 1},
		{"INSERT INTO t (s, n) SETTINGS max_threads = 1 FORMAT CSV", "\"a\nb\",1", 1},
		{"INSERT INTO default.t /* FORMAT */ (n) -- VALUES\n FORMAT TSV", "1\n", 1},
		{"INSERT INTO TABLE FUNCTION null('n Int8') VALUES", "(1)", 0},
		{"INSERT INTO t SELECT number, 'FORMAT' FROM numbers(5)", "", 5},
		{"INSERT INTO t", "SELECT number, '' FROM numbers(4);", 4},
		{"WITH 3 AS k INSERT INTO t SELECT number, '' FROM numbers(k)", "", 3},
		{"", "INSERT INTO t WITH 3 AS k SELECT number, '' FROM numbers(k)", 3},
		{"", "INSERT INTO t VALUES " + strings.Repeat("(7, 'long'),", 300_000) + "(8, 'end')", 300_001},
		{"", "INSERT INTO t FORMAT TSV\n" + strings.Repeat("7\tlong\n", 300_000), 300_000},
	} {
		ok(t, c, shape.query, shape.body)
		count += uint64(shape.rows)
		if got := ok(t, c, "SELECT count() FROM t", ""); got != fmt.Sprintln(count) {
			t.Fatalf("%s %.60s: %s rows, want %d", shape.query, shape.body, got, count)
		}
	}
	for _, q := range []struct{ query, body, want string }{
		{"SELECT 1", "", "1\n"}, {"", "SELECT 1;", "1\n"}, {"", "SELECT 1\n;\n-- end", "1\n"}, {"SELECT", "2", "2\n"}, {"", "(SELECT 1) UNION ALL (SELECT 1)", "1\n1\n"},
		{"SELECT 'a;b', ';'", "", "a;b\t;\n"}, {"SELECT $h$;'$h$", "", ";\\'\n"}, {"", "/* a /* ; */ ; */ SELECT 1 # b ;", "1\n"}, {"SELECT 1 FORMAT CSV", "", "1\n"},
		{"SELECT 1 AS format FORMAT JSONEachRow", "", "{\"format\":1}\n"}, {"EXISTS t", "", "1\n"}, {"SELECT {p:Array(String)}", "", "['x','y']\n"}, {"SELECT 1 WHERE 0", "", ""},
	} {
		if got := ok(t, c, q.query, q.body, "param_p", "['x','y']"); got != q.want {
			t.Errorf("%s %s: %q, want %q", q.query, q.body, got, q.want)
		}
	}
}

func TestClickHouse_LongResultIsOneOutput(t *testing.T) {
	testEngine(t)
	c := start(t, t.TempDir())
	const sql = "SELECT number AS n FROM numbers(500000)"
	if got := ok(t, c, sql+" FORMAT CSVWithNames", ""); strings.Count(got, "n") != 1 || strings.Count(got, "\n") != 500_001 {
		t.Errorf("%d heads in %d lines, want 1 in 500001", strings.Count(got, "n"), strings.Count(got, "\n"))
	}
	var whole struct{ Data []struct{ N string } }
	if err := json.Unmarshal([]byte(ok(t, c, sql, "", "default_format", "JSON", "output_format_json_quote_64bit_integers", "1")), &whole); err != nil || len(whole.Data) != 500_000 || whole.Data[499_999].N != "499999" {
		t.Errorf("JSON of %d rows: %v", len(whole.Data), err)
	}
	if got := ok(t, c, sql, "", "wait_end_of_query", "1"); strings.Count(got, "\n") != 500_000 {
		t.Errorf("%d lines, want 500000", strings.Count(got, "\n"))
	}
	const late = "SELECT throwIf(number = 4000000) FROM numbers(5000000) SETTINGS max_threads = 1"
	if res, text := wire(t, c, http.MethodPost, late, nil, "wait_end_of_query", "1"); res.StatusCode != http.StatusInternalServerError || res.Header.Get("X-ClickHouse-Exception-Code") != "395" {
		t.Errorf("%s %.80s, want status 500 and code 395, since nothing was sent yet", res.Status, text)
	}
}

func TestClickHouse_WhatItCannotServeItRefusesByName(t *testing.T) {
	testEngine(t)
	c := start(t, t.TempDir())
	ok(t, c, "CREATE TABLE t (n Int8) ENGINE = Memory", "")
	for _, q := range []struct {
		method, query, body string
		params              []string
		status              int
		says                string
	}{
		{"GET", "INSERT INTO t VALUES (1)", "", nil, 403, "readonly"},
		{"GET", "DROP TABLE t", "", nil, 403, "readonly"},
		{"GET", "SET readonly = 0", "", nil, 403, "readonly"},
		{"GET", "SELECT 1 SETTINGS readonly = 0", "", nil, 403, "readonly"},
		{"GET", "DROP TABLE t", "", []string{"readonly", "0"}, 403, "readonly"},
		{"PUT", "SELECT 1", "", nil, 501, "PUT"},
		{"POST", "SELECT 1", "", []string{"session_id", "s"}, 501, "session_id=s"},
		{"POST", "SELECT 1", "--x--\r\n", []string{"header:Content-Type", "multipart/form-data; boundary=x"}, 501, "external tables"},
		{"POST", "SELECT 1", "", []string{"header:Content-Encoding", "br"}, 501, "br"},
		{"POST", "SELECT 1", "no gzip", []string{"header:Content-Encoding", "gzip"}, 400, "gzip body"},
		{"POST", "SELECT 1", "", []string{"a = 1, b", "1"}, 404, "unknown setting"},
		{"POST", "SELECT 1", "", []string{"database", "no`pe"}, 404, "UNKNOWN_DATABASE"},
		{"POST", "SELECT 1", "", []string{"header:Origin", "http://example.com"}, 403, "browser"},
		{"POST", "SELECT 1", "", []string{"header:Host", "example.com:80"}, 403, "browser"},
		{"POST", "", "SELECT 1 -- " + strings.Repeat("x", 2<<20), nil, 413, "QUERY_IS_TOO_LARGE"},
	} {
		res, text := wire(t, c, q.method, q.query, []byte(q.body), q.params...)
		if res.StatusCode != q.status || !strings.Contains(text, q.says) {
			t.Errorf("%s %s %q: %s %.200s, want %d with %q", q.method, q.query, q.params, res.Status, text, q.status, q.says)
		}
	}
	if res, err := http.Get(c.URL + "/play"); err != nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("%v %v, want 404 for an unknown path", res, err)
	}
	if got := ok(t, c, "SELECT count() FROM t", ""); got != "0\n" {
		t.Errorf("%s rows came in by what was refused", got)
	}
}

// native is one column block, revision 0, as the driver sends it.
func native(rows uint64, values int) []byte {
	b := []byte{1}
	b = binary.AppendUvarint(b, rows)
	b = append(b, "\x01n\x06UInt32"...)
	for i := range values {
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
	}
	return b
}

func squeezed(t *testing.T, blocks ...[]byte) []byte {
	var b []byte
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	for _, block := range blocks {
		if err := w.Compress(block); err != nil {
			t.Fatal(err)
		}
		b = append(b, w.Data...)
	}
	return b
}

func TestClickHouse_BodyCutShortInsertsNothing(t *testing.T) {
	testEngine(t)
	c := start(t, t.TempDir())
	ok(t, c, "CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n", "")
	u, _ := url.Parse(c.URL)
	const into = "INSERT INTO t FORMAT Native"
	two := squeezed(t, native(1000, 1000), native(1000, 1000))
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(native(1000, 1000)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	for _, cut := range []struct {
		body   []byte
		params string
	}{
		{native(1000, 999), ""}, {native(1000, 1000)[:5], ""},
		{two[:len(two)/2+25], "&decompress=1"}, {two[:len(two)/2+7], "&decompress=1"}, {two[:len(two)-1], "&decompress=1"}, {zipped.Bytes()[:zipped.Len()-4], "gzip"},
	} { // the request is whole, what is in it is not
		p, header := cut.params, []string{}
		if p == "gzip" {
			p, header = "", []string{"header:Content-Encoding", "gzip"}
		}
		if p != "" {
			header = append(header, "decompress", "1")
		}
		if res, text := wire(t, c, http.MethodPost, into, cut.body, header...); res.StatusCode == http.StatusOK {
			t.Errorf("%d bytes of a cut body with %q are taken: %s", len(cut.body), cut.params, text)
		}
	}
	for _, head := range []string{"Content-Length: 100000\r\n", "Transfer-Encoding: chunked\r\n"} { // the client dies behind whole blocks
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /?query=%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", url.QueryEscape(into), head)
		if block := native(1000, 1000); strings.HasPrefix(head, "T") {
			fmt.Fprintf(conn, "%x\r\n%s\r\n", len(block), block)
		} else {
			fmt.Fprintf(conn, "%s", block)
		}
		conn.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(conn) // until the sidecar is done with it
		conn.Close()
		if !bytes.Contains(answer, []byte("broke off")) {
			t.Errorf("%s: answer %q, want that the body broke off", head, answer)
		}
	}
	if got := ok(t, c, "SELECT count() FROM t", ""); got != "0\n" {
		t.Errorf("%s rows of cut bodies are in the table", got)
	}
	ok(t, c, into, string(two), "decompress", "1")
	if got := ok(t, c, "SELECT count() FROM t", ""); got != "2000\n" {
		t.Errorf("%s rows of a whole body, want 2000", got)
	}
}

func TestClickHouse_GarbageDoesNotKillIt(t *testing.T) {
	testEngine(t)
	c := start(t, t.TempDir())
	ok(t, c, "CREATE TABLE t (n UInt32, s LowCardinality(String), m Map(String, Array(Nullable(String)))) ENGINE = MergeTree ORDER BY n", "")
	ok(t, c, "INSERT INTO t VALUES", "(1, 'a', {'k': ['v', NULL]})")
	_, good := wire(t, c, http.MethodPost, "SELECT * FROM t FORMAT Native", nil)
	bodies := [][]byte{nil, {0}, []byte("garbage garbage"), bytes.Repeat([]byte{0xff}, 4096), native(1<<40, 3), native(1<<63, 3), native(1<<32, 0)}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 { // a good block with some bytes changed, which gets further
		b := []byte(good)
		for range 1 + rnd.IntN(4) {
			b[rnd.IntN(len(b))] = byte(rnd.Uint32())
		}
		bodies = append(bodies, b[:len(b)-rnd.IntN(3)])
	}
	for _, body := range bodies {
		wire(t, c, http.MethodPost, "INSERT INTO t FORMAT Native", body)
		if rnd.IntN(10) == 0 {
			wire(t, c, http.MethodPost, "INSERT INTO t FORMAT Native", body, "decompress", "1")
			wire(t, c, http.MethodPost, "INSERT INTO t FORMAT Native", squeezed(t, body), "decompress", "1")
			wire(t, c, http.MethodPost, "", body)
			wire(t, c, http.MethodPost, string(body), nil)
		}
	}
	u, _ := url.Parse(c.URL)
	for _, raw := range []string{"garbage\r\n\r\n", "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n", "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "\x16\x03\x01"} {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, raw)
		conn.(*net.TCPConn).CloseWrite()
		_, _ = io.ReadAll(conn) // its answer, if any, or that it hung up
		conn.Close()
	}
	if got := ok(t, c, "SELECT count() > 0 FROM t", ""); got != "1\n" {
		t.Errorf("after all that it answers %q", got)
	}
	select {
	case <-c.gone:
		t.Errorf("the sidecar died: %v %s", c.exit, c.stderr)
	default:
	}
}
