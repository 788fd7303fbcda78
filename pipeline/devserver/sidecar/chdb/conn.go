//go:build linux && amd64

package chdb

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strconv"
	"unsafe"
)

// Conn is one session with the engine. It runs one statement at a time; the caller must not overlap calls.
type Conn struct {
	lib    *Library
	owned  unsafe.Pointer // chdb_connection*, what closeConn takes
	handle unsafe.Pointer // chdb_connection, what everything else takes
}

// Setting is one setting that a new session starts with.
type Setting struct{ Name, Value string }

// Param is one {name:Type} parameter; the engine reads the value in its escaped text form, as over HTTP.
type Param struct{ Name, Value string }

// Exception is what the engine answers to a statement that it refuses or gives up.
type Exception struct {
	Code int32  // the engine's error code; 1002 (UNKNOWN_EXCEPTION) where the text names none
	Text string // "Code: 60. DB::Exception: …", as the engine words it
}

func (e *Exception) Error() string { return e.Text }

const unknownException = 1002 // UNKNOWN_EXCEPTION in the engine's list

var exceptionCode = regexp.MustCompile(`^Code: (\d+)\.`)

func newException(text string) *Exception {
	if text == "" {
		text = "the engine gave no reason"
	}
	e := &Exception{Code: unknownException, Text: text}
	if m := exceptionCode.FindStringSubmatch(text); m != nil {
		if n, err := strconv.ParseInt(m[1], 10, 32); err == nil && n > 0 {
			e.Code = int32(n)
		}
	}
	return e
}

// Connect opens a session that starts with the given settings; 0.2 ms. The caller closes it. Fails when the engine refuses the
// directory or a value, for a reason that it writes to standard error only; an unknown name it ignores.
func (l *Library) Connect(settings []Setting) (*Conn, error) {
	args := []string{"clickhouse", "--path=" + l.dir}
	for _, s := range settings {
		args = append(args, "--"+s.Name+"="+s.Value)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]unsafe.Pointer, len(args)+1) // ends with NULL
	for i, a := range args {
		b := append([]byte(a), 0)
		pin.Pin(&b[0])
		argv[i] = unsafe.Pointer(&b[0])
	}
	pin.Pin(&argv[0])
	l.mu.Lock()
	defer l.mu.Unlock()
	var owned unsafe.Pointer
	l.guard.run(func() { owned = l.connect(int32(len(args)), unsafe.Pointer(&argv[0])) })
	if owned == nil {
		return nil, fmt.Errorf("data directory %s: the engine refused it; its reason, if it gave one, is on standard error (often: another process has the directory)", l.dir)
	}
	return &Conn{lib: l, owned: owned, handle: *(*unsafe.Pointer)(owned)}, nil
}

// Close ends the session. No statement of it may be running.
func (c *Conn) Close() { c.lib.closeConn(c.owned) }

// Query runs one statement and hands its whole result to each, once, if it is not empty; the bytes are valid during the call.
// Fails with an *Exception or with each's error.
func (c *Conn) Query(sql, format string, params []Param, each func([]byte) error) error {
	a := newArgs(sql, format, params)
	defer a.release()
	r := c.lib.query(c.handle, a.sql.at, a.sql.n, a.format.at, a.format.n, a.names, a.nameLens, a.values, a.valueLens, a.n)
	return c.take(r, each)
}

// Select runs one SELECT and hands its result to each in chunks as they come, every chunk a whole output of its own in the format:
// a format with a head or a foot repeats them. The bytes are valid during the call. Fails with an *Exception, also in mid-stream, or
// with each's error, which ends the statement.
func (c *Conn) Select(sql, format string, params []Param, each func([]byte) error) error {
	a := newArgs(sql, format, params)
	defer a.release()
	s := c.lib.streamQuery(c.handle, a.sql.at, a.sql.n, a.format.at, a.format.n, a.names, a.nameLens, a.values, a.valueLens, a.n)
	if s == nil {
		return newException("")
	}
	defer c.lib.destroyResult(s)
	if e := c.lib.resultError(s); e != nil {
		return newException(goString(e))
	}
	for {
		more := false
		err := c.take(c.lib.streamFetch(c.handle, s), func(b []byte) error { more = true; return each(b) })
		if err != nil {
			c.lib.streamCancel(c.handle, s)
			return err
		}
		if !more {
			return nil
		}
	}
}

// insertChunk is how many bytes go to the engine at once: it parses beside us, so a chunk bounds what both hold.
const insertChunk = 1 << 20

// errEngineStopped says that the engine takes no more of an insert's data and has its reason in the stream.
var errEngineStopped = errors.New("insert stopped by the engine")

// Insert runs one INSERT, without FORMAT or VALUES, on the data that body holds in the format, and returns the rows written, those
// in materialized views included. A read error ends it before the rest is committed. Fails with an *Exception or the read error.
func (c *Conn) Insert(sql, format string, params []Param, body io.Reader) (rows uint64, err error) {
	a := newArgs(sql, format, params)
	s := c.lib.streamInsert(c.handle, a.sql.at, a.sql.n, a.format.at, a.format.n, a.names, a.nameLens, a.values, a.valueLens, a.n)
	a.release()
	if s == nil {
		return 0, newException("")
	}
	defer c.lib.destroyInsert(s)
	if e := c.lib.insertError(s); e != nil {
		return 0, newException(goString(e))
	}
	err = c.feed(s, body)
	if errors.Is(err, errEngineStopped) {
		return 0, newException(goString(c.lib.insertError(s)))
	}
	if err != nil {
		c.lib.insertCancel(s)
		return 0, err
	}
	r := c.lib.insertDone(s)
	if r != nil {
		rows = c.lib.resultRowsWritten(r)
	}
	return rows, c.take(r, func([]byte) error { return nil })
}

// feed copies body into the insert stream until its end or the first error; it never reads again behind one.
func (c *Conn) feed(stream unsafe.Pointer, body io.Reader) error {
	buf := make([]byte, insertChunk)
	for end := false; !end; {
		n := 0
		for n < len(buf) && !end { // not io.ReadFull: its ErrUnexpectedEOF is also what a body cut off in transit says
			m, err := body.Read(buf[n:])
			if err != nil && err != io.EOF {
				return err
			}
			n, end = n+m, err != nil
		}
		if n > 0 && c.lib.insertAppend(stream, unsafe.Pointer(&buf[0]), uintptr(n)) != 0 {
			return errEngineStopped
		}
	}
	return nil
}

// take hands a result's bytes to each, if there are any, and destroys it.
func (c *Conn) take(r unsafe.Pointer, each func([]byte) error) error {
	if r == nil {
		return newException("")
	}
	defer c.lib.destroyResult(r)
	if e := c.lib.resultError(r); e != nil {
		return newException(goString(e))
	}
	n := c.lib.resultLength(r)
	if n == 0 {
		return nil
	}
	return each(unsafe.Slice((*byte)(c.lib.resultBuffer(r)), n))
}
