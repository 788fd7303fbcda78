package faults

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	stopsWithin     = 15 * time.Second // an orderly end: the last transaction, the last flush and the archive's grace of 2 s
	stoppedBySignal = 130              // main's exit code for an orderly end that a signal asked for
)

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// built is the command under test, made once for all tests of the package.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// build makes the command as `make build` does and returns its path.
func build(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "streamgauge-faults-"); built.err != nil { //nolint:usetesting // it outlives the first test
			return
		}
		cmd := exec.Command("go", "build", "-trimpath", "-o", built.dir, "github.com/streamgauge/streamgauge")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "streamgauge")
}

// instance is one `streamgauge run`.
type instance struct {
	in    *installation
	cmd   *exec.Cmd
	said  string // file of what it says
	from  int64  // where in it
	began time.Time
	meant atomic.Bool   // its end is ours
	gone  chan struct{} // closed when it has ended
}

// start starts a process. One that ends by itself ends the test.
func (in *installation) start() *instance {
	in.t.Helper()
	in.running = in.startAs(0)
	return in.running
}

// logOf is the file of what a replica says.
func (in *installation) logOf(ordinal int) string {
	if ordinal == 0 {
		return in.log
	}
	return in.log + "." + strconv.Itoa(ordinal)
}

// startAs starts the replica with an ordinal.
func (in *installation) startAs(ordinal int) *instance {
	in.t.Helper()
	file := in.logOf(ordinal)
	log, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		in.t.Fatal(err)
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		in.t.Fatal(err)
	}
	p := &instance{in: in, said: file, from: from, cmd: exec.Command(in.binary, "run", "--config", in.file), began: time.Now(), gone: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(os.Environ(), "STREAMGAUGE_ORDINAL="+strconv.Itoa(ordinal), "STREAMGAUGE_CONFIG=")
	if err := p.cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	go func() {
		defer close(p.gone)
		_ = p.cmd.Wait() // the state says it
		if !p.meant.Load() && (in.excused == nil || !in.excused(ordinal, p)) {
			in.broken(fmt.Errorf("streamgauge, ordinal %d, ended by itself after %s: %s", ordinal, time.Since(p.began).Round(time.Millisecond), p.cmd.ProcessState))
		}
	}()
	return p
}

// words are what this process, and its twin if it has one, have said so far.
func (p *instance) words() string {
	text, err := os.ReadFile(p.said)
	if err != nil || int64(len(text)) < p.from {
		return fmt.Sprint(err)
	}
	return string(text[p.from:])
}

// kill is kill -9.
func (p *instance) kill() {
	p.meant.Store(true)
	p.cmd.Process.Kill()
	<-p.gone
}

// stop asks the process to end as a service manager does. It must do so cleanly and in time.
func (p *instance) stop() {
	t := p.in.t
	t.Helper()
	p.meant.Store(true)
	asked := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.gone:
	case <-time.After(stopsWithin):
		p.kill()
		t.Fatalf("SIGTERM did not end streamgauge within %s", stopsWithin)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != stoppedBySignal {
		t.Errorf("SIGTERM ended streamgauge with code %d, want %d", code, stoppedBySignal)
	}
	t.Logf("SIGTERM ended streamgauge in %s", time.Since(asked).Round(time.Millisecond))
}

// peakMemory is the most memory that the process has had in RAM so far, in bytes; 0 where the system does not say.
func (p *instance) peakMemory() (bytes int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	if _, err := fmt.Sscanf(rest, "%d kB", &bytes); err != nil {
		return 0
	}
	return bytes << 10
}
