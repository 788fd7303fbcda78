package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built is the binary as `make build` makes it, with the flags that share its cache, for the tests that start it as a user does.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// program is a command of the built binary. Its temporary files are in a folder of the test's own, and it finds no ClickHouse engine
// but the one that env names.
func program(t *testing.T, env []string, args ...string) (cmd *exec.Cmd, temp string) {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "demo-test-"); built.err != nil { //nolint:usetesting // all tests of the package share it
			return
		}
		build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(built.dir, "streamgauge"), "../..")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	temp = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, filepath.Join(built.dir, "streamgauge"), args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, "STREAMGAUGE_CLICKHOUSE_SIDECAR=/nowhere/sidecar", "STREAMGAUGE_CHDB_LIB=/nowhere/libchdb.so")
	cmd.Env = append(cmd.Env, env...)
	return cmd, temp
}

const fewLines = "id,time,customer,amount\n1,2018-04-01T00:00:31Z,c,57.16\n2,2018-04-01T00:00:32Z,c,x\n"

func TestBinary_WithoutTheEngineTheArchiveIsOffAndAllElseIsDone(t *testing.T) {
	out := t.TempDir()
	cmd, _ := program(t, nil, "demo", "--input", write(t, "in.csv", fewLines), "--out", out)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, say := range []string{"archive: off", "/nowhere/sidecar", "make engine", "--clickhouse", "--no-archive"} {
		if !bytes.Contains(said, []byte(say)) {
			t.Errorf("it does not say %q:\n%s", say, said)
		}
	}
	r := replayed{dir: out}
	if facts, bad, results := r.facts(t), r.rejected(t), r.results(t); len(facts) != 1 || len(bad) != 1 || len(results) != 1 || bad[0].Line != 2 {
		t.Errorf("facts %+v, rejected %+v, results %+v", facts, bad, results)
	}
}

func TestBinary_MistakesAreSaidAllAtOnceAndNothingRuns(t *testing.T) {
	rules := rulesDir(t, `features:
  - {name: n, expr: "count('1 d')"}
---
{id: ONE, version: 1, name: one, nature: AML, on: [payment], when: feature.m >= 2, level: LOUD, score: 1, reason: x}
`)
	file, good := write(t, "in.csv", fewLines), write(t, "features.yaml", windows)
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"rules", []string{"--input", file, "--rules", rules}, []string{"rules.yaml:2", "1 d", "rules.yaml:4", "LOUD", "feature.m"}},
		{"mapping", []string{"--input", file, "--map", "custmer=acct,amount=cents:2"}, []string{"did you mean customer", "power of ten"}},
		{"header", []string{"--input", file, "--map", "customer=acct"}, []string{`"acct"`, "id, time, customer, amount"}},
		{"not rules", []string{"--input", file, "--rules", filepath.Dir(file)}, []string{"in.csv", ".yaml"}},
		{"no such file", []string{"--input", file + "x"}, []string{"in.csvx"}},
		{"header and rules", []string{"--input", file, "--map", "customer=acct", "--rules", rules}, []string{`"acct"`, "rules.yaml:4"}},
		{"out is a file", []string{"--input", file, "--rules", filepath.Dir(good), "--out", file}, []string{"output folder", "in.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			cmd, temp := program(t, nil, append([]string{"demo", "--no-archive", "--out", out}, c.args...)...)
			said, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() <= 0 {
				t.Errorf("it ended with %v", err)
			}
			for _, say := range c.want {
				if !bytes.Contains(said, []byte(say)) {
					t.Errorf("it does not say %q:\n%s", say, said)
				}
			}
			if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is there: %v", out, err)
			}
			clean(t, temp, said)
		})
	}
}

// TestBinary_InterruptEndsItCleanly presses Ctrl-C in the middle of a replay, with the ClickHouse engine where there is one.
func TestBinary_InterruptEndsItCleanly(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,time,customer,amount\n")
	for i := range 600_000 {
		fmt.Fprintf(&b, "%d,%s,c%d,1\n", i, stamp(1_522_540_800_000+int64(i)*1000), i%500)
	}
	out := t.TempDir()
	cmd, temp := program(t, engine(), "demo", "--input", write(t, "in.csv", b.String()), "--out", out)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	heard := ""
	for lines.Scan() { // until the first sign of progress
		heard += lines.Text() + "\n"
		if strings.Contains(heard, "judged") {
			break
		}
	}
	pressed := time.Now()
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil { // as a terminal does: to the whole group
		t.Fatal(err)
	}
	for lines.Scan() {
		heard += lines.Text() + "\n"
	}
	err = cmd.Wait()
	took := time.Since(pressed)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("it ended with %v:\n%s", err, heard)
	}
	if err := syscall.Kill(-cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a process of its group is left: %v", err)
	}
	clean(t, temp, []byte(heard))
	if took > 20*time.Second { // far above the few seconds that it takes, far below the minute of a stuck rebalance
		t.Errorf("it took %s", took)
	}
	t.Logf("ended %s after Ctrl-C", took.Round(time.Millisecond))
	r := replayed{dir: out}
	n := eachLine(t, r, "facts.jsonl", func(*factLine) {}) // whole lines only
	if n == 600_000 {
		t.Error("it was done before Ctrl-C")
	}
}

// engine is the environment that names the ClickHouse engine of `make engine` and `make build`, empty where it is not there.
func engine() (env []string) {
	for name, path := range map[string]string{"STREAMGAUGE_CLICKHOUSE_SIDECAR": "../../bin/streamgauge-clickhouse", "STREAMGAUGE_CHDB_LIB": "../../.cache/chdb/libchdb.so"} {
		full, err := filepath.Abs(path)
		if _, missing := os.Stat(path); err != nil || missing != nil {
			return nil
		}
		env = append(env, name+"="+full)
	}
	return env
}

// clean holds what must be so after any end: no stack trace was printed, no process and no file is left.
func clean(t *testing.T, temp string, said []byte) {
	t.Helper()
	for _, trace := range []string{"goroutine ", "panic:", "runtime.", ".go:"} {
		if bytes.Contains(said, []byte(trace)) {
			t.Errorf("it said %q:\n%s", trace, said)
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left in its temporary folder: %v, %v", left, err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(processes, func(p string) bool {
		line, err := os.ReadFile(p)
		return err == nil && bytes.Contains(line, []byte(temp))
	}); i >= 0 {
		t.Errorf("a process is left: %s", processes[i])
	}
}
