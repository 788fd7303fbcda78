package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// library stands for the 566 MB of the real one.
var library = bytes.Repeat([]byte("engine "), 1000)

// checkout is a repository's root with fetch.sh in it, made to expect our library, and a PATH of little more than a fake npm.
type checkout struct {
	t    *testing.T
	root string
	bin  string // first in PATH; npm may be put there
	env  []string
}

func newCheckout(t *testing.T) *checkout {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("fetch.sh goes on only on linux/amd64")
	}
	if out, err := exec.Command("getconf", "GNU_LIBC_VERSION").Output(); err != nil || len(out) == 0 {
		t.Skip("fetch.sh goes on only with glibc")
	}
	text, err := os.ReadFile("fetch.sh")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(library)
	pinned := regexp.MustCompile(`(?m)^sum=[0-9a-f]{64}$`)
	if !pinned.Match(text) {
		t.Fatal("fetch.sh pins no sha256")
	}
	c := &checkout{t: t, root: t.TempDir(), bin: t.TempDir()}
	c.put("deploy/engine/fetch.sh", string(pinned.ReplaceAll(text, []byte("sum="+hex.EncodeToString(sum[:])))))
	for _, tool := range []string{"bash", "dirname", "uname", "getconf", "cat", "sha256sum", "cut", "stat", "mkdir", "find", "df", "awk", "mktemp", "rm", "sleep", "du", "sed", "grep", "head", "tail", "tar", "gzip", "mv", "cp", "kill"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Skipf("%s is not here", tool)
		}
		if err := os.Symlink(path, filepath.Join(c.bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *checkout) put(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// npm puts a fake npm in place, which runs the given lines with $dest as the folder to pack into.
func (c *checkout) npm(lines string) {
	c.t.Helper()
	script := "#!/usr/bin/env bash\nwhile [ $# -gt 0 ]; do [ \"$1\" != --pack-destination ] || dest=$2; shift; done\n" + lines + "\n"
	if err := os.WriteFile(filepath.Join(c.bin, "npm"), []byte(script), 0o700); err != nil {
		c.t.Fatal(err)
	}
}

// pack makes the tarball that npm would, holding content as the library.
func (c *checkout) pack(content []byte) string {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "lib.tgz")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	head := w.WriteHeader(&tar.Header{Name: "package/libchdb.so", Mode: 0o755, Size: int64(len(content))})
	_, body := w.Write(content)
	if err := errors.Join(head, body, w.Close(), z.Close()); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// run runs fetch.sh and returns what it says and whether it is content.
func (c *checkout) run() (said string, ok bool) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), "bash", filepath.Join(c.root, "deploy/engine/fetch.sh"))
	cmd.Env = append([]string{"PATH=" + c.bin, "HOME=" + c.t.TempDir()}, c.env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return string(out), err == nil
}

// left lists the files below .cache/chdb.
func (c *checkout) left() string {
	entries, _ := os.ReadDir(filepath.Join(c.root, ".cache/chdb")) // none: nothing is left
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

const whole = "libchdb.so libchdb.so.checked"

func TestFetch_SecondRunFindsTheEngineAndABrokenOneIsFetchedAgain(t *testing.T) {
	c := newCheckout(t)
	c.npm("cp " + c.pack(library) + " $dest/lib.tgz")
	if said, ok := c.run(); !ok || c.left() != whole || !strings.Contains(said, "178 MB") {
		t.Fatalf("%s\nleft %q", said, c.left())
	}
	c.npm("echo npm was called; exit 1")
	if said, ok := c.run(); !ok || said != "" {
		t.Errorf("the second run says %q", said)
	}
	c.put(".cache/chdb/libchdb.so", string(library[:100]))
	if said, ok := c.run(); ok || !strings.Contains(said, "fetching it again") {
		t.Errorf("a cut library is taken: %s", said)
	}
	c.npm("cp " + c.pack(library) + " $dest/lib.tgz")
	if said, ok := c.run(); !ok {
		t.Error(said)
	}
	if got, err := os.ReadFile(filepath.Join(c.root, ".cache/chdb/libchdb.so")); err != nil || !bytes.Equal(got, library) {
		t.Errorf("%d bytes of library (%v), want %d", len(got), err, len(library))
	}
}

func TestFetch_FailureSaysWhatIsMissingAndTheWaysOut(t *testing.T) {
	for name, c := range map[string]struct {
		npm, says string
		set       func(*checkout)
	}{
		"no npm":           {"", "npm is missing", nil},
		"no network":       {"echo 'npm error code ENOTFOUND' >&2; echo 'npm error     at some.js' >&2; exit 7", "ENOTFOUND", nil},
		"packed nothing":   {"true", "npm packed no file", nil},
		"no tarball":       {"echo junk >$dest/lib.tgz", "the package has no libchdb.so", nil},
		"another library":  {"cp %other% $dest/lib.tgz", "is not the one known", nil},
		"wrong STREAM_LIB": {"true", "STREAMGAUGE_CHDB_LIB=/nowhere is not a file", func(c *checkout) { c.env = []string{"STREAMGAUGE_CHDB_LIB=/nowhere"} }},
		"another machine":  {"true", "this machine is Plan9 on Plan9", func(c *checkout) { c.replace("uname", "echo Plan9") }},
		"musl":             {"true", "it needs glibc", func(c *checkout) { c.replace("getconf", "exit 1") }},
		"full disk":        {"true", "has 12 MB free", func(c *checkout) { c.replace("df", "echo head; echo /dev/x 100 88 12 88% /") }},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCheckout(t)
			if c.npm != "" {
				k.npm(strings.ReplaceAll(c.npm, "%other%", k.pack([]byte("another"))))
			}
			if c.set != nil {
				c.set(k)
			}
			said, ok := k.run()
			for _, want := range []string{c.says, "--clickhouse http://host:8123", "--no-archive"} {
				if ok || !strings.Contains(said, want) {
					t.Errorf("content %v and says\n%s\nwant %q", ok, said, want)
				}
			}
			if k.left() != "" || strings.Contains(said, "some.js") {
				t.Errorf("left %q, says %s", k.left(), said)
			}
		})
	}
}

// replace puts a program of one line in a tool's place.
func (c *checkout) replace(tool, line string) {
	c.t.Helper()
	path := filepath.Join(c.bin, tool)
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("#!/usr/bin/env bash\n"+line+"\n"), 0o700)); err != nil {
		c.t.Fatal(err)
	}
}

func TestFetch_ConcurrentAndInterruptedRunsLeaveNoHalfFile(t *testing.T) {
	c := newCheckout(t)
	started := filepath.Join(t.TempDir(), "started")
	c.npm("cp " + c.pack(library) + " $dest/half.part; echo $$ >" + started + "; exec sleep 600")
	cmd := exec.CommandContext(t.Context(), "bash", filepath.Join(c.root, "deploy/engine/fetch.sh"))
	cmd.Env = []string{"PATH=" + c.bin}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		if b, _ := os.ReadFile(started); len(b) > 0 {
			break
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 || c.left() != "" {
		t.Errorf("interrupted: %v, left %q", err, c.left())
	}
	c.npm("cp " + c.pack(library) + " $dest/lib.tgz")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if said, ok := c.run(); !ok {
				t.Error(said)
			}
		})
	}
	wg.Wait()
	if got, err := os.ReadFile(filepath.Join(c.root, ".cache/chdb/libchdb.so")); err != nil || !bytes.Equal(got, library) || c.left() != whole {
		t.Errorf("%d bytes of library (%v), left %q", len(got), err, c.left())
	}
}
