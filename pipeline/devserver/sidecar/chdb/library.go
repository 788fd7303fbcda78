//go:build linux && amd64

// Package chdb binds libchdb, the ClickHouse engine as a shared library, without cgo.
//
// One process holds one Library, opened on one data directory, and as many Conns as it has statements under way. A Conn is a session of
// its own: current database, settings and temporary tables live and die with it. Statements go in as text and come out as bytes in
// the format the caller names; this package knows no SQL and no format.
//
// The engine wants the process for itself: left alone, it installs its own handlers for eight signals, among them the one by which Go
// turns a nil dereference into a panic. guard.go keeps the process Go's.
package chdb

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// text is a C argument pair (pointer, length); the engine copies what it keeps before the call returns.
type text struct {
	at unsafe.Pointer
	n  uintptr
}

// calls are libchdb's entry points as of 26.7, named as in its chdb.h. Pointers returned belong to the engine; each is destroyed by
// the call that its comment names.
type calls struct {
	connect           func(argc int32, argv unsafe.Pointer) unsafe.Pointer // chdb_connection*; closeConn
	closeConn         func(conn unsafe.Pointer)
	query             func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, n uintptr) unsafe.Pointer // destroyResult
	streamQuery       func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, n uintptr) unsafe.Pointer // destroyResult
	streamFetch       func(conn, stream unsafe.Pointer) unsafe.Pointer                                                                                                                      // destroyResult
	streamCancel      func(conn, stream unsafe.Pointer)
	streamInsert      func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, n uintptr) unsafe.Pointer // destroyInsert
	insertAppend      func(stream, data unsafe.Pointer, n uintptr) int32
	insertDone        func(stream unsafe.Pointer) unsafe.Pointer // destroyResult
	insertError       func(stream unsafe.Pointer) unsafe.Pointer
	insertCancel      func(stream unsafe.Pointer)
	destroyInsert     func(stream unsafe.Pointer)
	resultBuffer      func(result unsafe.Pointer) unsafe.Pointer
	resultLength      func(result unsafe.Pointer) uintptr
	resultError       func(result unsafe.Pointer) unsafe.Pointer
	resultRowsWritten func(result unsafe.Pointer) uint64
	destroyResult     func(result unsafe.Pointer)
	signalHandlers    func(enabled int32)
	version           func() unsafe.Pointer
}

// Library is the engine, open on its data directory. Its methods may be called from any goroutine.
type Library struct {
	calls
	guard guard
	dir   string
	mu    sync.Mutex // one connect at a time, so that its signal guard sees only itself
	first *Conn      // keeps the engine up: it stops with its last connection
}

// Open loads the shared library at path and starts the engine on the data directory dir, which it creates and locks. A process opens one
// Library, once: the engine does not survive a second start. Fails when the file is no libchdb of at least 26.7 or the engine refuses
// the directory, most often because another process has it.
func Open(path, dir string) (*Library, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("library %s: %w", path, err)
	}
	l := &Library{dir: dir}
	if err := l.bind(handle); err != nil {
		return nil, fmt.Errorf("library %s: %w", path, err)
	}
	if l.guard, err = newGuard(); err != nil {
		return nil, fmt.Errorf("library %s: %w", path, err)
	}
	l.guard.run(func() { l.signalHandlers(0) })
	if l.first, err = l.Connect(nil); err != nil {
		return nil, err
	}
	return l, nil
}

// bind resolves every entry point, or names all that are missing.
func (l *Library) bind(handle uintptr) error {
	var missing []string
	for name, fn := range map[string]any{
		"chdb_connect": &l.connect, "chdb_close_conn": &l.closeConn,
		"chdb_query_with_params_n": &l.query, "chdb_stream_query_with_params_n": &l.streamQuery,
		"chdb_stream_fetch_result": &l.streamFetch, "chdb_stream_cancel_query": &l.streamCancel,
		"chdb_stream_insert_with_params_n": &l.streamInsert, "chdb_stream_append": &l.insertAppend,
		"chdb_stream_done": &l.insertDone, "chdb_stream_insert_error": &l.insertError,
		"chdb_stream_cancel_insert": &l.insertCancel, "chdb_destroy_insert_stream": &l.destroyInsert,
		"chdb_result_buffer": &l.resultBuffer, "chdb_result_length": &l.resultLength,
		"chdb_result_error": &l.resultError, "chdb_result_rows_written": &l.resultRowsWritten,
		"chdb_destroy_query_result": &l.destroyResult, "chdb_set_signal_handlers_enabled": &l.signalHandlers,
		"chdb_version": &l.version,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			missing = append(missing, name)
			continue
		}
		purego.RegisterFunc(fn, symbol)
	}
	if len(missing) > 0 {
		sort.Strings(missing)
		return fmt.Errorf("not a libchdb of 26.7 or newer: no %s", strings.Join(missing, ", "))
	}
	return nil
}

// Version is the library's own version, like 26.7.3.
func (l *Library) Version() string { return goString(l.version()) }

// Close stops the engine. Every other Conn must be closed and no statement may run: closing under a running one aborts the process.
func (l *Library) Close() { l.first.Close() }

// goString copies a NUL-terminated C string; nil is "".
func goString(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}
