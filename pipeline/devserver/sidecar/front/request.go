//go:build linux && amd64

package front

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"

	"github.com/streamgauge/streamgauge/pipeline/devserver/sidecar/chdb"
)

// maxStatement bounds a statement's text in bytes. The engine parses at most max_query_size (256 KiB by default) of it; what is longer
// is an INSERT's data, which is streamed.
const maxStatement = 1 << 20

// request is what one HTTP request asks for.
type request struct {
	statement statement
	body      io.Reader // what is left of the body: data of an INSERT, behind statement.data
	database  string
	settings  []chdb.Setting // sorted by name
	params    []chdb.Param   // sorted by name
	format    string         // of the answer, where the statement names none
	queryID   string         // echoed; the engine gives statements ids of its own
	revision  uint64         // the client's protocol revision; 0 for none
	compress  compress.Method
	whole     bool // answer only when all of it is known to be right
	readOnly  bool
}

// notSettings are URL parameters with a meaning of their own; all others are settings. Users, passwords, roles and quotas are taken and
// ignored: the engine has one user, and whoever runs programs on this machine is it.
var notSettings = map[string]bool{
	"query": true, "database": true, "query_id": true, "default_format": true, "client_protocol_version": true, "compress": true,
	"decompress": true, "wait_end_of_query": true, "buffer_size": true, "user": true, "password": true, "role": true, "quota_key": true,
	"stacktrace": true, "network_compression_method": true, "network_zstd_compression_level": true,
	"log_comment": true, // carries our own tag
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// parseRequest reads everything but an INSERT's data. The body stays open until the request is answered.
func parseRequest(r *http.Request) (*request, error) {
	q := r.URL.Query()
	req := &request{
		database: orElse(q.Get("database"), r.Header.Get("X-ClickHouse-Database")),
		format:   orElse(q.Get("default_format"), orElse(r.Header.Get("X-ClickHouse-Format"), "TabSeparated")),
		queryID:  q.Get("query_id"), whole: truthy(q.Get("wait_end_of_query")), readOnly: r.Method == http.MethodGet,
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return nil, refuse(501, "NOT_IMPLEMENTED", "method %s: a statement comes by POST, a query also by GET", r.Method)
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "multipart/form-data" {
		return nil, refuse(48, "NOT_IMPLEMENTED", "external tables (multipart/form-data) are not taken by the embedded engine; use a temporary table's rows in the statement")
	}
	if q.Has("session_id") {
		return nil, refuse(48, "NOT_IMPLEMENTED", "session_id=%s: the embedded engine keeps no session across requests", q.Get("session_id"))
	}
	req.revision, _ = strconv.ParseUint(q.Get("client_protocol_version"), 10, 32)
	if truthy(q.Get("compress")) {
		req.compress = compress.LZ4
		if strings.EqualFold(q.Get("network_compression_method"), "zstd") {
			req.compress = compress.ZSTD
		}
	}
	for name := range q {
		if param, ok := strings.CutPrefix(name, "param_"); ok {
			req.params = append(req.params, chdb.Param{Name: param, Value: q.Get(name)})
		} else if !notSettings[name] {
			if !settingName.MatchString(name) {
				return nil, refuse(115, "UNKNOWN_SETTING", "unknown setting %q", name)
			}
			req.settings = append(req.settings, chdb.Setting{Name: name, Value: q.Get(name)})
		}
	}
	sort.Slice(req.settings, func(i, j int) bool { return req.settings[i].Name < req.settings[j].Name })
	sort.Slice(req.params, func(i, j int) bool { return req.params[i].Name < req.params[j].Name })
	return req, req.open(r, q.Get("query"), truthy(q.Get("decompress")))
}

// open undoes the body's compression and reads the statement: the URL's part, then a line break, then the body.
func (req *request) open(r *http.Request, query string, blocks bool) error {
	req.body = r.Body
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return refuse(33, "CANNOT_READ_ALL_DATA", "gzip body: %v", err)
		}
		req.body = z
	default:
		return refuse(48, "NOT_IMPLEMENTED", "Content-Encoding %s: the embedded engine takes gzip, or ClickHouse's own blocks (decompress=1)", encoding)
	}
	if blocks {
		req.body = newBlockReader(req.body)
	}
	if len(query) > maxStatement {
		return refuse(307, "QUERY_IS_TOO_LARGE", "a statement of %d bytes in the URL: at most %d", len(query), maxStatement)
	}
	var err error
	if query != "" {
		if req.statement, err = parseStatement(query); err == nil && req.statement.kind == insertData {
			return nil // the body is data
		}
		query += "\n"
	}
	head, err := io.ReadAll(io.LimitReader(req.body, maxStatement)) // a body cut off in transit is an error here, never a shorter statement
	if err != nil {
		return refuse(33, "CANNOT_READ_ALL_DATA", "the request's body broke off after %d bytes, nothing was run: %v", len(head), err)
	}
	req.statement, err = parseStatement(query + string(head))
	if err == nil && len(head) == maxStatement && req.statement.kind != insertData {
		err = refuse(307, "QUERY_IS_TOO_LARGE", "a statement of %d bytes or more; put an INSERT's statement in the URL and its data in the body", maxStatement)
	}
	return err
}

// session lists the statements that make a new session the request's.
func (req *request) session() []string {
	var list []string
	if req.database != "" && req.database != "default" {
		list = append(list, "USE `"+strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(req.database)+"`")
	}
	var set []string
	for _, s := range req.settings {
		set = append(set, s.Name+" = "+quote(s.Value))
	}
	if req.readOnly {
		set = append(set, "readonly = 2") // last: nothing can be set behind it
	}
	if len(set) > 0 {
		list = append(list, "SET "+strings.Join(set, ", "))
	}
	return list
}

// quote makes an SQL string literal.
func quote(s string) string {
	return "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'").Replace(s) + "'"
}

func truthy(s string) bool { return s == "1" || s == "true" }

// refuse is an exception of ours, worded as the engine words its own so that drivers type it.
func refuse(code int32, name, format string, args ...any) *chdb.Exception {
	return &chdb.Exception{Code: code, Text: fmt.Sprintf("Code: %d. DB::Exception: %s. (%s)", code, fmt.Sprintf(format, args...), name)}
}

// blockReader reads ClickHouse's compressed blocks and stops for good at the first error. Without it ch-go's reader serves its last block
// again to whoever reads behind the end, and takes a body that ends behind a block's header for a whole one.
type blockReader struct {
	source counter
	blocks *compress.Reader
	err    error
}

func newBlockReader(r io.Reader) *blockReader {
	b := &blockReader{source: counter{r: r}}
	b.blocks = compress.NewReader(&b.source)
	return b
}

func (b *blockReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	before := b.source.n
	n, err := b.blocks.Read(p)
	if errors.Is(err, io.EOF) {
		if err = io.EOF; b.source.n > before {
			err = fmt.Errorf("compressed block of %d bytes broke off: %w", b.source.n-before, io.ErrUnexpectedEOF)
		}
	}
	b.err = err
	return n, err
}

// counter counts the bytes read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
