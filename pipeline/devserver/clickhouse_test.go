package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// testEngine builds the sidecar, points the environment at it and skips where the engine's library is not there.
func testEngine(t *testing.T) {
	t.Helper()
	root := moduleRoot(here().dir)
	lib := os.Getenv(envEngine)
	if lib == "" {
		lib = filepath.Join(root, engineFile)
	}
	if _, err := os.Stat(lib); err != nil {
		t.Skipf("the embedded ClickHouse engine is not here (%v): `make engine` fetches it", err)
	}
	sidecar := filepath.Join(t.TempDir(), sidecarName)
	build := exec.Command("go", "build", "-o", sidecar, "./pipeline/devserver/sidecar")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the sidecar: %v\n%s", err, out)
	}
	t.Setenv(envSidecar, sidecar)
	t.Setenv(envEngine, lib)
}

func start(t *testing.T, dir string) *ClickHouse {
	t.Helper()
	c, err := StartClickHouse(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-c.gone: // the test has ended it
		default:
			if err := c.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

// dial opens the unchanged driver on a sidecar.
func dial(t *testing.T, c *ClickHouse, method clickhouse.CompressionMethod) driver.Conn {
	t.Helper()
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{u.Host}, Protocol: clickhouse.HTTP, Compression: &clickhouse.Compression{Method: method},
		Settings: clickhouse.Settings{"max_execution_time": 60},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func exe(t *testing.T, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// one returns the single value of a query.
func one[T any](t *testing.T, conn driver.Conn, sql string, args ...any) (v T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func TestClickHouse_MissingPartsAreAllNamedWithTheWayOut(t *testing.T) {
	root := t.TempDir()
	put := func(file string) {
		t.Helper()
		path := filepath.Join(root, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	put("go.mod")
	put("sub/x")
	env := map[string]string{}
	p := places{getenv: func(k string) string { return env[k] }, executable: filepath.Join(root, "out/streamgauge"), dir: filepath.Join(root, "sub"), os: "linux", arch: "amd64"}
	refused := func(words ...string) {
		t.Helper()
		_, _, err := p.engine()
		if !errors.Is(err, ErrNoEngine) {
			t.Fatalf("%v, want ErrNoEngine", err)
		}
		for _, w := range append(words, "make engine", "--clickhouse", "--no-archive") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
	}
	found := func(sidecar, engine string) {
		t.Helper()
		s, e, err := p.engine()
		if err != nil || s != filepath.Join(root, sidecar) || e != filepath.Join(root, engine) {
			t.Errorf("found %s, %s (%v), want %s, %s", s, e, err, sidecar, engine)
		}
	}
	refused("streamgauge-clickhouse not found", filepath.Join(root, "out", sidecarName), filepath.Join(root, sidecarFile), "libchdb.so not found", filepath.Join(root, engineFile))
	put(sidecarFile)
	refused("libchdb.so not found")
	put(engineFile)
	found(sidecarFile, engineFile)
	put("out/" + sidecarName)
	found("out/"+sidecarName, engineFile)
	env[envEngine] = filepath.Join(root, "elsewhere.so")
	refused(envEngine, "elsewhere.so")
	put("elsewhere.so")
	found("out/"+sidecarName, "elsewhere.so")
	p.os, p.arch = "darwin", "arm64"
	refused("darwin/arm64")
}

func TestClickHouse_AcknowledgedRowsOutliveKill(t *testing.T) {
	testEngine(t)
	dir := t.TempDir()
	var acknowledged uint64
	for life := range 3 {
		c := start(t, dir)
		conn := dial(t, c, clickhouse.CompressionNone)
		exe(t, conn, "CREATE TABLE IF NOT EXISTS kept (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 1000")
		if got := one[uint64](t, conn, "SELECT count() FROM kept"); got < acknowledged || got%100 != 0 {
			t.Fatalf("life %d: %d rows, want whole batches of 100 and at least the %d acknowledged", life, got, acknowledged)
		} else {
			acknowledged = got // one batch may have been in flight
		}
		killed, batches := make(chan struct{}), 0
		for ; ; batches++ {
			if batches == 20 { // the kill meets inserts under way
				go func() { c.Kill(); close(killed) }()
			}
			b, err := conn.PrepareBatch(t.Context(), "INSERT INTO kept")
			for i := 0; err == nil && i < 100; i++ {
				err = b.Append(uint64((life*1000+batches)*100 + i)) // no block twice, or it would be dropped as a repetition
			}
			if err == nil {
				err = b.Send()
			}
			if err != nil {
				break
			}
			acknowledged += 100
		}
		<-killed
		if batches < 20 {
			t.Fatalf("life %d: an insert failed before the kill", life)
		}
	}
	conn := dial(t, start(t, dir), clickhouse.CompressionNone)
	if got := one[uint64](t, conn, "SELECT count() FROM kept"); got < acknowledged || got > acknowledged+100 {
		t.Errorf("%d rows at the end, want the %d acknowledged and at most one batch more", got, acknowledged)
	}
}

func TestClickHouse_EndsWithItsParentAndOnClose(t *testing.T) {
	testEngine(t)
	dir := t.TempDir()
	c := start(t, dir)
	conn := dial(t, c, clickhouse.CompressionNone)
	slow := make(chan error, 1)
	go func() {
		slow <- conn.Exec(context.Background(), "SELECT sum(sipHash64(number)) FROM numbers(1000000000000) FORMAT Null")
	}()
	for one[uint64](t, conn, "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'") == 0 {
	}
	c.leash.Close() // as the parent's death does
	select {
	case <-c.gone:
	case <-time.After(engineStopsWithin):
		t.Fatal("the sidecar outlived its parent")
	}
	if c.exit != nil || <-slow == nil {
		t.Errorf("exit %v with %q, want a clean one that stopped the statement", c.exit, c.stderr)
	}
	again := start(t, dir)
	if err := again.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Error("second close:", err)
	}
}

func TestClickHouse_SecondEngineOnADirectoryIsRefusedWithTheReason(t *testing.T) {
	testEngine(t)
	dir := t.TempDir()
	start(t, dir)
	_, err := StartClickHouse(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "already running") {
		t.Errorf("%v, want an error that names the directory and its user", err)
	}
}

func TestClickHouse_AnotherProgramAsSidecarIsAnError(t *testing.T) {
	testEngine(t)
	fake := filepath.Join(t.TempDir(), "fake")
	write := func(script string) {
		t.Helper()
		if err := os.WriteFile(fake, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("echo out of order >&2\nexit 3\n")
	t.Setenv(envSidecar, fake)
	if _, err := StartClickHouse(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("%v, want the exit status and what it said", err)
	}
	write("echo hello\nexec cat\n")
	if _, err := StartClickHouse(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), `"hello"`) {
		t.Errorf("%v, want what it said in place of ready", err)
	}
	write("exec cat\n")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := StartClickHouse(ctx, t.TempDir()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the deadline's error", err)
	}
}

func TestTail_KeepsTheLastBytes(t *testing.T) {
	var w tail
	var all strings.Builder
	for i := range 3000 {
		fmt.Fprintf(io.MultiWriter(&w, &all), "line %d\n", i)
	}
	want := strings.TrimSpace(all.String()[all.Len()-keptStderr:])
	if got := w.String(); got != want {
		t.Errorf("kept %d bytes ending %q, want %d", len(got), got[len(got)-20:], len(want))
	}
}

func TestClickHouse_StartTimeAndMemory(t *testing.T) {
	testEngine(t)
	begin := time.Now()
	c := start(t, t.TempDir())
	took := time.Since(begin)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "Threads:") {
			t.Log(line)
		}
	}
	t.Log("start took", took)
	if r, err := http.Get(c.URL + "/ping"); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("ping: %v %v", r, err)
	}
}
