//go:build linux && amd64

// Command streamgauge-clickhouse is the embedded warehouse: the real ClickHouse engine (libchdb) on a data directory, behind ClickHouse's
// HTTP interface on loopback. It is a command of its own because a program that loads the library becomes dynamically linked to glibc,
// which the main one shall not be, and because an engine that dies must not take the verdicts with it.
//
//	streamgauge-clickhouse -lib .cache/chdb/libchdb.so -path DIR [-addr 127.0.0.1:0]
//
// It prints one line, "ready http://127.0.0.1:PORT", when it listens, and stops cleanly on SIGTERM or SIGINT. If its standard input is a
// pipe, it also stops when the pipe ends, so that it never outlives the program that started it; with </dev/null it stays.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/streamgauge/streamgauge/pipeline/devserver/sidecar/chdb"
	"github.com/streamgauge/streamgauge/pipeline/devserver/sidecar/front"
)

const (
	// finishWithin is how long running statements may take to finish once the sidecar is told to stop, and then how long to be killed.
	// Twice this is below what devserver waits before it kills the process.
	finishWithin = 3 * time.Second
	// headerWithin bounds a request's head: a connection that says nothing is closed.
	headerWithin = 10 * time.Second
)

func main() {
	lib := flag.String("lib", "", "the engine, libchdb.so (`make engine` fetches it)")
	path := flag.String("path", "", "data directory; made if it does not exist; one process at a time")
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on; only 127.0.0.1, port 0 takes a free one")
	flag.Parse()
	if err := check(*lib, *path, *addr, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	ctx = whileParentLives(ctx)
	if err := serve(ctx, *lib, *path, *addr); err != nil {
		slog.Error("stopped", "err", err)
		os.Exit(1)
	}
}

// check names every mistake in the flags at once.
func check(lib, path, addr string, rest []string) error {
	var errs []error
	if lib == "" {
		errs = append(errs, errors.New("-lib is missing: the path of libchdb.so"))
	}
	if path == "" {
		errs = append(errs, errors.New("-path is missing: the data directory"))
	}
	if a, err := netip.ParseAddrPort(addr); err != nil {
		errs = append(errs, fmt.Errorf("-addr %s: not an address and port: %w", addr, err))
	} else if a.Addr() != netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
		errs = append(errs, fmt.Errorf("-addr %s: only 127.0.0.1 is served, since whoever reaches the port may do everything; for a warehouse on a network run a ClickHouse server", addr))
	}
	if len(rest) > 0 {
		errs = append(errs, fmt.Errorf("%q: no arguments are taken behind the flags", rest))
	}
	return errors.Join(errs...)
}

// whileParentLives ends the context when standard input does, if that is a pipe: its other end is held by the parent, whose death, of
// whatever kind, closes it. The goroutine ends with the process, as nothing can interrupt its read.
func whileParentLives(ctx context.Context) context.Context {
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin) // to its end, or until it breaks: either way nobody holds it
	}()
	return ctx
}

// serve runs the engine and its front until ctx ends, then lets statements finish, kills what is left and closes the engine.
func serve(ctx context.Context, libPath, dir, addr string) error {
	dir, err := filepath.Abs(dir) // the engine keeps it in its own links
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	listener, err := net.Listen("tcp4", addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	defer listener.Close()
	lib, err := chdb.Open(libPath, dir)
	if err != nil {
		return err
	}
	engine, err := front.New(lib)
	if err != nil {
		return fmt.Errorf("engine %s: %w", lib.Version(), err)
	}
	statements, kill := context.WithCancel(context.Background())
	defer kill()
	srv := &http.Server{
		Handler: engine, ReadHeaderTimeout: headerWithin, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return statements },
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	slog.Info("engine started", "version", engine.Version(), "dir", dir, "addr", listener.Addr().String())
	fmt.Printf("ready http://%s\n", listener.Addr())
	select {
	case <-ctx.Done():
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	}
	return shut(srv, engine, lib, kill)
}

// shut stops taking requests and ends the engine. Where a statement does not end even when killed, the engine is left open: to close it
// under a running statement aborts the process, and its files are good as they are, as after a kill.
func shut(srv *http.Server, engine *front.Server, lib *chdb.Library, kill func()) error {
	soft, cancel := context.WithTimeout(context.Background(), finishWithin)
	defer cancel()
	if srv.Shutdown(soft) != nil {
		kill()
		srv.Close()
	}
	hard, cancel := context.WithTimeout(context.Background(), finishWithin)
	defer cancel()
	if err := engine.Drain(hard); err != nil {
		return err
	}
	lib.Close()
	slog.Info("engine closed")
	return nil
}
