//go:build linux && amd64

package chdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// A process opens the engine once, and a broken guard hangs or kills it: what touches the engine runs in a child of the test.
const envChild = "STREAMGAUGE_TEST_CHDB_CHILD"

// inChild runs f in a child process on an engine of its own, and fails when that dies or takes a minute.
func inChild(t *testing.T, f func(t *testing.T, l *Library)) {
	t.Helper()
	path := os.Getenv("STREAMGAUGE_CHDB_LIB")
	if path == "" {
		path = filepath.Join("..", "..", "..", "..", ".cache", "chdb", "libchdb.so")
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the embedded ClickHouse engine is not here (%v): `make engine` fetches it", err)
	}
	if os.Getenv(envChild) == t.Name() {
		l, err := Open(path, os.Getenv(envChild+"_DIR"))
		if err != nil {
			t.Fatal(err)
		}
		f(t, l)
		l.Close()
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), envChild+"="+t.Name(), envChild+"_DIR="+t.TempDir())
	out, err := child.CombinedOutput()
	if err != nil || ctx.Err() != nil {
		t.Errorf("child: %v %v\n%s", err, ctx.Err(), out[max(0, len(out)-4000):])
	}
}

// dereference is a nil dereference, recovered.
func dereference() (err error) {
	defer func() { err, _ = recover().(error) }()
	nowhere[0].x[3]++
	return nil
}

// nowhere is a nil that no linter follows.
var nowhere [1]*struct{ x [4]int }

func TestGuard_NilDereferenceStaysAPanicBesideTheEngine(t *testing.T) {
	inChild(t, func(t *testing.T, l *Library) {
		before := l.guard.snapshot()
		var wg sync.WaitGroup
		over := make(chan struct{})
		for range 3 { // statements and new sessions beside
			wg.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
					}
					c, err := l.Connect(nil)
					if err != nil {
						t.Error(err)
						return
					}
					if err := c.Query("SELECT sum(sipHash64(number)) FROM numbers(100000)", "TSV", nil, func([]byte) error { return nil }); err != nil {
						t.Error(err)
						return
					}
					c.Close()
				}
			})
		}
		for i := range 20_000 {
			if err := dereference(); err == nil {
				t.Fatalf("dereference %d did not panic", i)
			}
		}
		close(over)
		wg.Wait()
		for i, now := range l.guard.snapshot() {
			if !now.same(&before[i]) {
				t.Errorf("%v has another handler now", guarded[i])
			}
		}
	})
}

func TestGuard_PutsBackWhatACallChanged(t *testing.T) {
	g, err := newGuard()
	if err != nil {
		t.Fatal(err)
	}
	for i, sig := range guarded {
		before := g.snapshot()
		g.run(func() {
			ignore := before[i]
			copy(ignore[:8], []byte{1, 0, 0, 0, 0, 0, 0, 0}) // SIG_IGN
			g.sigaction(int32(sig), unsafe.Pointer(&ignore), nil)
			if now := g.snapshot(); now[i].same(&before[i]) {
				t.Fatalf("%v: a changed handler is not seen", sig)
			}
		})
		if now := g.snapshot(); !now[i].same(&before[i]) {
			t.Errorf("%v: the handler was not put back", sig)
		}
	}
}

func TestConn_SelectInsertAndTheirErrors(t *testing.T) {
	inChild(t, func(t *testing.T, l *Library) {
		c, err := l.Connect([]Setting{{"max_block_size", "1000"}, {"async_insert", "0"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var out bytes.Buffer
		add := func(b []byte) error { out.Write(b); return nil }
		query := func(sql string, params ...Param) string {
			t.Helper()
			out.Reset()
			if err := c.Query(sql, "TSV", params, add); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
			return out.String()
		}
		query("CREATE TABLE t (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
		if got := query("SELECT {a:String}, {b:UInt8}, {c:String}", Param{"a", `it's`}, Param{"b", "7"}, Param{"c", ""}); got != "it\\'s\t7\t\n" {
			t.Errorf("parameters come back as %q", got)
		}
		var text strings.Builder
		for i := range 300_000 {
			fmt.Fprintf(&text, "%d\tvalue %d\n", i, i)
		}
		if rows, err := c.Insert("INSERT INTO {table:Identifier}", "TSV", []Param{{"table", "t"}}, strings.NewReader(text.String())); err != nil || rows != 300_000 {
			t.Fatalf("%d rows (%v), want 300000", rows, err)
		}
		out.Reset()
		chunks := 0
		err = c.Select("SELECT * FROM t WHERE n < {n:UInt32} ORDER BY n", "TSV", []Param{{"n", "200000"}}, func(b []byte) error { chunks++; return add(b) })
		if lines := text.String()[:out.Len()]; err != nil || chunks < 2 || out.String() != lines || strings.Count(lines, "\n") != 200_000 {
			t.Errorf("%d bytes in %d chunks (%v), want the first 200000 rows in several", out.Len(), chunks, err)
		}
		stop := errors.New("enough")
		if err := c.Select("SELECT * FROM t", "TSV", nil, func([]byte) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%v, want the callback's own error", err)
		}
		broken := io.MultiReader(strings.NewReader("1\ta\n"), failing{io.ErrUnexpectedEOF})
		if _, err := c.Insert("INSERT INTO t", "TSV", nil, broken); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v, want the reader's own error", err)
		}
		if got := query("SELECT count() FROM t"); got != "300000\n" {
			t.Errorf("%s rows, want 300000: nothing of a broken insert", got)
		}
		var ex *Exception
		for code, run := range map[int32]func() error{
			60: func() error { return c.Query("SELECT * FROM nope", "TSV", nil, add) },
			62: func() error { return c.Select("SELECT FROM FROM", "TSV", nil, add) },
			395: func() error {
				return c.Select("SELECT throwIf(number = 5000) FROM numbers(10000)", "TSV", nil, add)
			},
			27: func() error { _, err := c.Insert("INSERT INTO t", "TSV", nil, strings.NewReader("x")); return err },
			73: func() error { _, err := c.Insert("INSERT INTO t", "Nope", nil, strings.NewReader("x")); return err },
		} {
			if err := run(); !errors.As(err, &ex) || ex.Code != code {
				t.Errorf("%v, want code %d", err, code)
			}
		}
		if got := query("SELECT 1"); got != "1\n" {
			t.Errorf("after all that the session answers %q", got)
		}
	})
}

// failing is a reader that only fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
