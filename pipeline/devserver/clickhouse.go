package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The environment names the engine's two parts where they are not in their usual places.
const (
	envSidecar = "STREAMGAUGE_CLICKHOUSE_SIDECAR" // path of the command streamgauge-clickhouse
	envEngine  = "STREAMGAUGE_CHDB_LIB"           // path of libchdb.so
)

// Where the parts usually are, below the repository's root.
const (
	sidecarName = "streamgauge-clickhouse"
	sidecarFile = "bin/" + sidecarName
	engineFile  = ".cache/chdb/libchdb.so"
)

const (
	// engineStartsWithin bounds the start: 0.1-0.3 s measured with the library in the page cache, several seconds for its 566 MB from a slow disk.
	engineStartsWithin = 30 * time.Second
	// engineStopsWithin bounds the stop: twice 3 s for statements under way, then the engine's own end.
	engineStopsWithin = 15 * time.Second
	// keptStderr is how many of the sidecar's last bytes on standard error an error can show: some forty lines.
	keptStderr = 8 << 10
)

// ErrNoEngine says that this machine has no embedded ClickHouse; what wraps it says what is missing and what to do. The rest of the
// product works without.
var ErrNoEngine = errors.New("no embedded ClickHouse engine")

// waysOut are what one can do without the engine.
const waysOut = "`make engine` fetches it and `make build` builds its command; --clickhouse http://host:8123 uses a ClickHouse of your own; --no-archive does without"

// ClickHouse is the embedded warehouse: the real engine in a process of its own, on a directory that one process has at a time.
type ClickHouse struct {
	URL string // http://127.0.0.1:PORT, for clickhouse-go over HTTP and for curl

	cmd    *exec.Cmd
	leash  io.Closer     // the sidecar's standard input; it stops when we, or our process, let go
	stderr *tail         // its last words
	gone   chan struct{} // closed when the process has ended
	exit   error         // why, once gone is closed
}

// StartClickHouse starts the engine on the data directory dir, which it creates, and returns when it answers, within 30 s. ctx bounds the
// start only. The caller ends it with Close; when the caller's process dies, it ends by itself. Fails with ErrNoEngine when a part is
// missing, else with what the sidecar said on standard error.
func StartClickHouse(ctx context.Context, dir string) (*ClickHouse, error) {
	sidecar, engine, err := here().engine()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("clickhouse data directory: %w", err)
	}
	c := &ClickHouse{stderr: &tail{}, gone: make(chan struct{})}
	c.cmd = exec.Command(sidecar, "-lib", engine, "-path", dir)
	c.cmd.Env = append(os.Environ(), "TZ=UTC")              // dates and times in queries mean the same on every machine
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us; the engine goes last
	ready := make(chan string, 1)
	c.cmd.Stdout, c.cmd.Stderr = &lineWriter{first: ready}, c.stderr
	if c.leash, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("clickhouse sidecar: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		if errors.Is(err, fs.ErrNotExist) { // the file is there, so it is its loader that is not
			err = fmt.Errorf("%w: %s does not start on this machine, it needs glibc: %w; %s", ErrNoEngine, sidecar, err, waysOut)
		}
		return nil, err
	}
	go func() {
		c.exit = c.cmd.Wait()
		close(c.gone)
	}()
	ctx, cancel := context.WithTimeout(ctx, engineStartsWithin)
	defer cancel()
	select {
	case line := <-ready:
		url, ok := strings.CutPrefix(line, "ready ")
		if !ok {
			c.Kill()
			return nil, fmt.Errorf("clickhouse sidecar %s says %q, want ready URL: another program?", sidecar, line)
		}
		c.URL = url
		return c, nil
	case <-c.gone:
		return nil, c.because("clickhouse sidecar did not start: %v", c.exit)
	case <-ctx.Done():
		c.Kill()
		return nil, c.because("clickhouse sidecar did not start within %v: %w", engineStartsWithin, ctx.Err())
	}
}

// Close lets statements under way finish for a few seconds, stops the engine and waits for its process. Fails when that does not end by
// ctx or within 15 s, and is then killed, or ended badly. Closing twice is harmless.
func (c *ClickHouse) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, engineStopsWithin)
	defer cancel()
	c.leash.Close()
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.gone:
	case <-ctx.Done():
		c.Kill()
		return c.because("clickhouse sidecar did not stop and was killed: %w", ctx.Err())
	}
	if c.exit != nil {
		return c.because("clickhouse sidecar: %w", c.exit)
	}
	return nil
}

// Kill ends the process at once, as a crash would, and waits for it. What it had acknowledged is in dir, where another can be started.
func (c *ClickHouse) Kill() {
	c.cmd.Process.Kill()
	<-c.gone
}

// because adds the sidecar's last words to an error.
func (c *ClickHouse) because(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if said := c.stderr.String(); said != "" {
		return fmt.Errorf("%w; it said: %s", err, said)
	}
	return err
}

// places are where the engine's parts are looked for.
type places struct {
	getenv     func(string) string
	executable string // of this process; "" if unknown
	dir        string // working directory
	os, arch   string
}

func here() places {
	p := places{getenv: os.Getenv, os: runtime.GOOS, arch: runtime.GOARCH}
	p.executable, _ = os.Executable()
	p.dir, _ = os.Getwd()
	return p
}

// engine finds the sidecar and the library, or says at once everything that is missing, and where it was looked for.
func (p places) engine() (sidecar, engine string, err error) {
	if p.os != "linux" || p.arch != "amd64" {
		return "", "", fmt.Errorf("%w: it exists for linux/amd64 with glibc, this is %s/%s; %s", ErrNoEngine, p.os, p.arch, waysOut)
	}
	var beside, above string
	if p.executable != "" {
		beside = filepath.Join(filepath.Dir(p.executable), sidecarName)
		above = filepath.Join(filepath.Dir(filepath.Dir(p.executable)), engineFile)
	}
	var fromRoot, cached string
	if root := moduleRoot(p.dir); root != "" {
		fromRoot, cached = filepath.Join(root, sidecarFile), filepath.Join(root, engineFile)
	}
	var missing []string
	look := func(what, env string, usual ...string) string {
		if named := p.getenv(env); named != "" {
			usual = []string{named}
			what += " of " + env
		}
		var tried []string
		for _, path := range usual {
			if path == "" {
				continue
			}
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				return path
			}
			tried = append(tried, path)
		}
		missing = append(missing, fmt.Sprintf("%s not found (looked at %s)", what, strings.Join(tried, ", ")))
		return ""
	}
	sidecar = look("command "+sidecarName, envSidecar, beside, fromRoot)
	engine = look("library libchdb.so", envEngine, above, cached)
	if missing != nil {
		return "", "", fmt.Errorf("%w: %s; %s", ErrNoEngine, strings.Join(missing, "; "), waysOut)
	}
	return sidecar, engine, nil
}

// moduleRoot returns the nearest folder at or above dir that has a go.mod, or "".
func moduleRoot(dir string) string {
	for dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
	return ""
}

// lineWriter sends the first line written to it and drops the rest.
type lineWriter struct {
	first chan<- string
	line  []byte
	sent  bool
}

func (w *lineWriter) Write(p []byte) (int, error) {
	if !w.sent {
		w.line = append(w.line, p...)
		if line, _, ok := strings.Cut(string(w.line), "\n"); ok || len(w.line) > keptStderr {
			w.first <- line
			w.line, w.sent = nil, true
		}
	}
	return len(p), nil
}

// tail keeps the last keptStderr bytes written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - keptStderr; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.kept))
}
