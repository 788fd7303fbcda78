package archive

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The environment of a child process: this test binary, run again as an archive that can be killed for real.
const (
	childBrokers  = "STREAMGAUGE_TEST_ARCHIVE_BROKERS"
	childURL      = "STREAMGAUGE_TEST_ARCHIVE_URL"
	childDatabase = "STREAMGAUGE_TEST_ARCHIVE_DATABASE"
	childMaxRows  = "STREAMGAUGE_TEST_ARCHIVE_MAX_ROWS"
	childDies     = "STREAMGAUGE_TEST_ARCHIVE_DIES" // point:n, the n-th passing of a point kills the process
)

// Points at which a child can die.
const (
	afterIntent = "after-intent" // the intent is committed, the INSERT is not sent
	afterInsert = "after-insert" // the INSERT is answered, the next commit is not sent
)

// childMain is the child's main: an archive until it is killed or told to stop.
func childMain() {
	die := func(point string) func(int, string, []row) error {
		return func(n int, _ string, _ []row) error {
			if os.Getenv(childDies) == fmt.Sprintf("%s:%d", point, n) {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return nil
		}
	}
	maxRows, _ := strconv.Atoi(os.Getenv(childMaxRows))
	url := os.Getenv(childURL)
	cfg, err := Config{Kafka: []kgo.Opt{kgo.SeedBrokers(strings.Split(os.Getenv(childBrokers), ",")...)}, ClickHouse: url, MaxRows: maxRows,
		FlushInterval: 20 * time.Millisecond, Options: Options{Database: os.Getenv(childDatabase)}}.withDefaults()
	if err != nil {
		panic(err)
	}
	conn, err := Open(url)
	if err != nil {
		panic(err)
	}
	w := &tampered{warehouse: &table{conn: conn, database: cfg.Database, retention: DefaultRetentionDays * 24 * time.Hour}, before: die(afterIntent), after: die(afterInsert)}
	if err := run(context.Background(), cfg, w, &health{log: slog.Default(), address: url}); err != nil {
		panic(err)
	}
}

// child is an archive in a process of its own.
type child struct {
	cmd  *exec.Cmd
	gone chan struct{}
}

func (b *bed) child(t *testing.T, maxRows int, dies string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), gone: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childBrokers+"="+strings.Join(b.kafka.ListenAddrs(), ","), childURL+"="+b.url, childDatabase+"="+b.cfg.Database,
		childMaxRows+"="+strconv.Itoa(maxRows), childDies+"="+dies)
	c.cmd.Stderr = logTo{t}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.gone)
		c.cmd.Wait()
	}()
	t.Cleanup(c.kill)
	return c
}

func (c *child) kill() {
	c.cmd.Process.Kill()
	<-c.gone
}

func (c *child) dies(t *testing.T) {
	t.Helper()
	select {
	case <-c.gone:
	case <-time.After(30 * time.Second):
		t.Fatal("the child did not come to the point where it dies")
	}
}
