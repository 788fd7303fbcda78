//go:build linux && amd64

// Package front is ClickHouse's HTTP interface before the embedded engine: what clickhouse-go/v2 and curl use of it, so that a client
// cannot tell the sidecar from a server. A request is one statement:
//
//	request.go    URL and headers → database, settings, parameters, formats, body
//	statement.go  text → a SELECT that can be streamed, an INSERT with data, or anything else
//	front.go      a session for the statement, run, and cancelled when the client goes away
//	answer.go     result bytes or an exception → response
//	hello.go      the one query that the driver decodes by another revision than all others
//
// It refuses, by name, what the engine has no counterpart for: sessions across requests, external tables, users. As on a server, several
// statements in one request are refused, async_insert is off and a GET reads only.
package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/streamgauge/streamgauge/pipeline/devserver/sidecar/chdb"
)

// maxRunning is how many statements run at once; more wait. clickhouse-go opens 10 connections by default and the archive, the demo's
// report and a person at curl come at the same time; each running statement holds an OS thread or more.
const maxRunning = 16

// killAgainAfter is the pause between two attempts to stop a statement whose client has gone: one that has not yet begun is not found.
const killAgainAfter = 20 * time.Millisecond

// baseSettings make a session behave as a server's does, where the engine's own defaults are those of a command-line tool.
var baseSettings = []chdb.Setting{
	{Name: "async_insert", Value: "0"},                  // the engine's default 1 would acknowledge before the rows are a part
	{Name: "implicit_select", Value: "0"},               // "SELEC 1" is a syntax error
	{Name: "allow_introspection_functions", Value: "0"}, //
}

// Server answers HTTP on one engine. It is an http.Handler.
type Server struct {
	lib     *chdb.Library
	slots   chan struct{}
	tags    atomic.Uint64 // every statement has its own tag, by which KILL QUERY finds it
	version string        // of the engine, as SELECT version() says
	zone    string        // as SELECT timezone() says
}

// New asks the engine who it is.
func New(lib *chdb.Library) (*Server, error) {
	s := &Server{lib: lib, slots: make(chan struct{}, maxRunning)}
	conn, err := lib.Connect(baseSettings)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	err = conn.Query("SELECT version(), timezone()", "TSVRaw", nil, func(b []byte) error {
		s.version, s.zone, _ = strings.Cut(strings.TrimSpace(string(b)), "\t")
		return nil
	})
	return s, err
}

// Drain waits until no statement runs and lets none begin; the engine may then be closed. Fails with ctx's error.
func (s *Server) Drain(ctx context.Context) error {
	for n := range maxRunning {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("%d statements still run: %w", maxRunning-n, ctx.Err())
		}
	}
	return nil
}

// Version is the engine's version, like 26.7.2.1.
func (s *Server) Version() string { return s.version }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !fromHere(r) {
		http.Error(w, "only programs on this machine are served, no pages of a browser", http.StatusForbidden)
		return
	}
	switch r.URL.Path {
	case "/":
		s.serveStatement(w, r)
	case "/ping":
		fmt.Fprintln(w, "Ok.")
	default:
		http.Error(w, "there is no handle "+strconv.Quote(r.URL.Path)+": statements go to /, /ping answers Ok", http.StatusNotFound)
	}
}

// fromHere reports whether the request is addressed to this machine by its own name and not sent by a web page: the port is open to
// every program here, but a page in a browser, which could reach it too, names its origin or has been given another name for us.
func fromHere(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return r.Header.Get("Origin") == "" && (host == "127.0.0.1" || host == "localhost" || host == "")
}

func (s *Server) serveStatement(w http.ResponseWriter, r *http.Request) {
	a := newAnswer(w)
	req, err := parseRequest(r)
	if err != nil {
		a.fail(err)
		return
	}
	a.compress(req.compress)
	if req.revision > 0 && req.statement.sql == helloSQL {
		a.finish(s.hello(a, req.revision))
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-r.Context().Done():
		return
	}
	if err := s.run(r.Context(), req, a); err != nil {
		a.fail(err)
		return
	}
	a.finish(nil)
}

// run gives the statement a session of its own, as HTTP has none across requests, and runs it there. A connection costs 0.2 ms, about
// as much as putting a used one back to its defaults, and nothing of a request can be left behind on it.
func (s *Server) run(ctx context.Context, req *request, a *answer) error {
	st := req.statement
	tag := "statement-" + strconv.FormatUint(s.tags.Add(1), 10)
	conn, err := s.lib.Connect(append(baseSettings[:len(baseSettings):len(baseSettings)], chdb.Setting{Name: "log_comment", Value: tag}))
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, sql := range req.session() {
		if err := conn.Query(sql, "Null", nil, discard); err != nil {
			return err
		}
	}
	a.header("X-ClickHouse-Query-Id", req.queryID)
	a.header("X-ClickHouse-Timezone", s.zone)
	if st.kind == insertData {
		return s.insert(conn, req, a)
	}
	defer s.killWhenGone(ctx, tag)()
	format := req.format
	if st.kind == selects && !req.whole && streamable(orElse(st.format, format)) {
		err = conn.Select(st.sql, format, req.params, a.write)
		if !notStreamable(err) {
			return err
		}
	}
	return conn.Query(st.sql, format, req.params, a.write)
}

// insert feeds the statement's own data and then the body to the engine. It is not killed when the client goes away: a body that breaks
// off ends it before anything is committed, and behind a whole body the commit is short.
func (s *Server) insert(conn *chdb.Conn, req *request, a *answer) error {
	st := req.statement
	rows, err := conn.Insert(st.sql, st.format, req.params, io.MultiReader(strings.NewReader(st.data), req.body))
	if err != nil {
		var ex *chdb.Exception
		if !errors.As(err, &ex) {
			err = refuse(33, "CANNOT_READ_ALL_DATA", "the request's body broke off, nothing more is inserted: %v", err)
		}
		return err
	}
	a.header("X-ClickHouse-Summary", `{"written_rows":"`+strconv.FormatUint(rows, 10)+`"}`)
	return nil
}

// notStreamable reports that the engine refused to stream a statement, which it does before it runs anything of it (WITH … INSERT).
func notStreamable(err error) bool {
	var ex *chdb.Exception
	return errors.As(err, &ex) && ex.Code == 36 && strings.Contains(ex.Text, "Streaming query is not supported")
}

// killWhenGone stops the statement with this tag when ctx ends. The function returned ends the watch and waits for it.
func (s *Server) killWhenGone(ctx context.Context, tag string) (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-over:
			return
		}
		for {
			if err := s.kill(tag); err != nil {
				slog.Warn("statement of a client that went away could not be stopped, trying again", "err", err)
			}
			select {
			case <-over:
				return
			case <-time.After(killAgainAfter):
			}
		}
	}()
	return func() { close(over); <-done }
}

// kill asks the engine to stop a statement and does not wait for it: KILL … SYNC waits for itself here and hangs.
func (s *Server) kill(tag string) error {
	conn, err := s.lib.Connect(baseSettings)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Query("KILL QUERY WHERE Settings['log_comment'] = "+quote(tag)+" ASYNC", "Null", nil, discard)
}

func discard([]byte) error { return nil }

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
