package faults

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/schemas"
)

// givesUpWithin bounds a start that cannot succeed: startup_wait of 1 s in these tests, and the last try.
const givesUpWithin = 30 * time.Second

// refusing returns a loopback address on which nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// failedStart runs `streamgauge run` on a configuration with which it must not start, and returns what it said.
func failedStart(t *testing.T, config string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "streamgauge.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), givesUpWithin)
	defer cancel()
	out, err := exec.CommandContext(ctx, build(t), "run", "--config", file).CombinedOutput()
	said := string(out)
	var exit *exec.ExitError
	if ctx.Err() != nil || !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want code 1 within %s: %s", err, givesUpWithin, said)
	}
	for _, trace := range []string{"goroutine ", "panic:", ".go:"} {
		if strings.Contains(said, trace) {
			t.Errorf("a stack trace is nothing for an operator: %s", said)
		}
	}
	return said
}

func TestRun_KafkaThatIsNotThereIsAnErrorWithItsAddressAndTheTries(t *testing.T) {
	address := refusing(t)
	said := failedStart(t, "kafka: {brokers: ["+address+"], startup_wait: 1s}\n")
	want := `streamgauge: kafka at \[?` + regexp.QuoteMeta(address) + `\]?: not reached in 1s, tried [1-9][0-9]* times: .*refused`
	if !regexp.MustCompile(want).MatchString(said) {
		t.Errorf("said %q, want %s", said, want)
	}
}

func TestServers_RedisThatIsNotThereIsAnErrorWithItsAddressAndTheTries(t *testing.T) {
	in := install(t, time.Minute, nil)
	address := refusing(t)
	said := failedStart(t, "kafka: {brokers: ["+strings.Join(in.config.Kafka.Brokers, ",")+"], startup_wait: 1s}\nredis: {address: "+address+"}\n")
	want := `streamgauge: redis at ` + regexp.QuoteMeta(address) + `: not reached in 1s, tried [1-9][0-9]* times: .*refused`
	if !regexp.MustCompile(want).MatchString(said) {
		t.Errorf("said %q, want %s", said, want)
	}
	if there := in.topics(); len(there) > 0 {
		t.Errorf("a start without the window store created topics %v", there)
	}
}

func TestRun_EveryMistakeOfTheConfigurationAtOnce(t *testing.T) {
	said := failedStart(t, `
organisation: ""
generation: 0
kafak: {brokers: [a]}
sources:
  - {name: a, team: "", topic: t, format: xml}
  - {name: a, team: b, topic: t, format: flat}
kafka: {brokers: ["nowhere"], partitions: -3, replication: 99, events_kept: 5s, startup_wait: soon}
redis: {address: "redis", database: -1}
clickhouse: {url: "ftp://x", database: "a b"}
intake: {workers: 0}
monitor: {lanes: 1000, max_poll: 0, flush_every: 2h, flush_at: 0}
`)
	for _, mistake := range []string{
		"kafak", "organisation", "generation: 0", `source "a"`, "team is empty", `"xml"`, `"nowhere"`, "kafka.partitions: -3", "kafka.replication: 99",
		"kafka.events_kept: 5s", `"soon"`, `redis.address: "redis"`, "redis.database: -1", `"ftp://x"`, `"a b"`, "intake.workers: 0",
		"monitor.lanes: 1000", "monitor.max_poll: 0", "monitor.flush_every: 2h0m0s", "monitor.flush_at: 0",
	} {
		if !strings.Contains(said, mistake) {
			t.Errorf("does not say %s:\n%s", mistake, said)
		}
	}
}

func TestServers_WindowsThatNothingCanRebuildHaltTheStart(t *testing.T) {
	in := install(t, 2*time.Minute, nil)
	in.start()
	in.good(0)
	drain(in.ctx, t, in.topo, in.reach()...)
	in.running.stop()
	if err := in.redis.FlushDB(in.ctx).Err(); err != nil {
		t.Fatal(err)
	}
	ends, err := in.admin.ListEndOffsets(in.ctx, schemas.Events.Name, schemas.Facts.Name)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := in.admin.DeleteRecords(in.ctx, ends.Offsets()) // as retention does, once the records are old enough
	if err == nil {
		err = gone.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(in.file)
	if err != nil {
		t.Fatal(err)
	}
	said := failedStart(t, string(config))
	if want := "the windows cannot be rebuilt from here"; !strings.Contains(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}
