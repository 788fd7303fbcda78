package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline/devserver"
	"github.com/streamgauge/streamgauge/schemas"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestMain lets this program be what the binary is to a bench: its own child processes.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "bench" && os.Args[2] == "--as" {
		if err := (Command{As: os.Args[3]}).Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // under -race each of the many children would sleep a second before it ends
	os.Exit(m.Run())
}

// tiny is a bench of which no figure means anything.
func tiny() Command {
	return Command{Events: 3000, Common: Common{Rounds: 1, Lanes: 2, Partitions: 4}}
}

// holdCounts holds every round against what its input says must have come out.
func holdCounts(t *testing.T, c Command, r *Report) {
	t.Helper()
	if len(r.Rounds) != 2*c.Rounds {
		t.Fatalf("%d rounds, want %d of each peer", len(r.Rounds), c.Rounds)
	}
	m := &r.Rounds[0]
	for i := range r.Rounds {
		x := &r.Rounds[i]
		if want := []string{"monitor", "passthrough"}[i%2]; x.Peer != want {
			t.Errorf("round %d is of the %s, want the %s", i, x.Peer, want)
		}
		if x.Events != c.Events || x.Facts != c.Events+2*int64(c.Partitions) || x.Results != c.Events || x.Rejected != 0 {
			t.Errorf("%s: consumed %d of %d events, wrote %d facts, %d results, %d rejections", x.Peer, x.Events, c.Events, x.Facts, x.Results, x.Rejected)
		}
		if x.EventBytes != m.EventBytes {
			t.Errorf("%s: read %d bytes of events, the monitor %d", x.Peer, x.EventBytes, m.EventBytes)
		}
		// A mean rounded to bytes is off by half a byte a record at the most.
		if d := x.FactBytes - m.FactBytes; 2*max(d, -d) > m.Facts {
			t.Errorf("%s: wrote %d bytes of facts, the monitor %d", x.Peer, x.FactBytes, m.FactBytes)
		}
		if d := x.ResultBytes - m.ResultBytes; 2*max(d, -d) > m.Results {
			t.Errorf("%s: wrote %d bytes of results, the monitor %d", x.Peer, x.ResultBytes, m.ResultBytes)
		}
		if x.CPUSeconds <= 0 || x.Seconds <= 0 || x.Commits == 0 {
			t.Errorf("%s: nothing was measured: %+v", x.Peer, x)
		}
	}
}

func TestBench_MonitorAndPassthroughConsumeAndProduceTheSame(t *testing.T) {
	c := tiny()
	c.Rounds, c.Cpuprofile = 2, filepath.Join(t.TempDir(), "cpu.prof")
	r, err := c.Measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	holdCounts(t, c, r)
	if r.Rules != 5 || r.Features != 20 || len(r.Windows) != 20 {
		t.Errorf("in force: %d rules, %d features, windows %q", r.Rules, r.Features, r.Windows)
	}
	if profile, err := os.Stat(c.Cpuprofile); err != nil || profile.Size() == 0 {
		t.Errorf("no CPU profile: %v", err)
	}
}

// Topics of fixed names are made and deleted: a second bench begins as the first did, and nothing of either stays.
func TestBench_GivenServersAreLeftAsTheyWere(t *testing.T) {
	servers, err := devserver.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	c := tiny()
	c.Kafka, c.Redis = servers.Brokers(), servers.RedisAddress()
	for range 2 {
		r, err := c.Measure(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		holdCounts(t, c, r)
		if left := leftovers(t, c); left != "" {
			t.Errorf("left behind: %s", left)
		}
	}
}

// leftovers names every topic, group and key that the servers hold.
func leftovers(t *testing.T, c Command) string {
	t.Helper()
	admin, err := connect(c.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	topics, err := admin.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	groups, err := admin.ListGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: c.Redis})
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(append(topics.Names(), groups.Groups()...), keys...), " ")
}

// What is there already is somebody's: bench must not judge it, count it or delete it.
func TestBench_ServersThatHoldSomethingAreRefusedAndLeftAlone(t *testing.T) {
	servers, err := devserver.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	c := tiny()
	c.Kafka, c.Redis = servers.Brokers(), servers.RedisAddress()

	servers.Redis.Set("somebody's", "key")
	if _, err := c.Measure(t.Context()); err == nil || !strings.Contains(err.Error(), "1 keys in database 0") {
		t.Errorf("Redis with a key: %v", err)
	}
	servers.Redis.Del("somebody's")

	admin, err := connect(c.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, schemas.Facts.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Measure(t.Context()); err == nil || !strings.Contains(err.Error(), "topics facts") || !strings.Contains(err.Error(), c.Kafka[0]) {
		t.Errorf("Kafka with topic facts: %v", err)
	}
	if left := leftovers(t, c); left != schemas.Facts.Name {
		t.Errorf("the servers hold %q now", left)
	}
}

func TestBench_ServersThatAreNotThereAreNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	servers, err := devserver.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	c := tiny()
	c.Kafka, c.Redis = servers.Brokers(), nobody
	if _, err := c.Measure(t.Context()); err == nil || !strings.Contains(err.Error(), "redis at "+nobody) {
		t.Errorf("no Redis: %v", err)
	}
}

// A peer that skips records would be the fastest.
func TestOutcome_EveryMissingOrSurplusRecordIsAnError(t *testing.T) {
	good := Outcome{Facts: 104, Results: 100}
	if err := good.check(100, 4); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		o    Outcome
		says string
	}{
		{Outcome{Facts: 103, Results: 100}, "103 facts, want 104"},
		{Outcome{Facts: 105, Results: 100}, "105 facts, want 104"},
		{Outcome{Facts: 104, Results: 99}, "99 results, want 100"},
		{Outcome{Facts: 104, Results: 100, Rejected: 1}, "1 rejections, want 0"},
	} {
		if err := c.o.check(100, 4); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.says)
		}
	}
}

func TestReadOutcome_CountsWhatIsCommittedAndNothingElse(t *testing.T) {
	servers, err := devserver.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(servers.Brokers()...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopics(t.Context(), 2, 1, nil, schemas.Facts.Name, schemas.OperationRealtime, schemas.RejectedRecords.Name); err != nil {
		t.Fatal(err)
	}
	for i, commit := range []bool{true, false, true} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		p := int32(i % 2)
		err := cl.ProduceSync(t.Context(),
			&kgo.Record{Topic: schemas.Facts.Name, Partition: p, Key: []byte("key"), Value: make([]byte, 10)},
			&kgo.Record{Topic: schemas.Facts.Name, Partition: p, Value: make([]byte, 5)},
			&kgo.Record{Topic: schemas.OperationRealtime, Partition: p, Value: make([]byte, 7), Headers: []kgo.RecordHeader{{Key: "abc", Value: []byte("d")}}},
		).FirstErr()
		if err := errors.Join(err, cl.EndTransaction(t.Context(), kgo.TransactionEndTry(commit))); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readOutcome(t.Context(), servers.Brokers())
	if err != nil {
		t.Fatal(err)
	}
	// The aborted transaction's end is an end, its records are none.
	if want := (Outcome{Facts: 4, FactBytes: 30, Results: 2, ResultBytes: 22, Commits: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCommand_EveryMistakeIsNamedAtOnce(t *testing.T) {
	c := Command{Events: 0, Common: Common{Rounds: -1, Lanes: 9, Partitions: 8, Kafka: []string{"host"}}}
	_, err := c.Measure(t.Context())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"--events 0", "--rounds -1", "--lanes 9: 8 partitions", "--redis", `"host" is not host:port`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	for want, err := range map[string]error{
		"--rate 0: give 1": second(Latency{}.measure(t.Context())), "--half -1": second(Latency{Half: -1}.measure(t.Context())), "--measure 0": second(Latency{}.measure(t.Context())),
		"--rate -3": second(Recovery{Rate: -3}.measure(t.Context())), "--events 0: give 1": second(Window{}.measure(t.Context())),
		"--events 3: give 4": second(Memory{Events: 3}.measure(t.Context())), "--events 9: give 10": second(Scale{Events: 9}.measure(t.Context())),
	} {
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--rounds 0") {
			t.Errorf("%v: want %q and the rounds in it", err, want)
		}
	}
	c = tiny()
	c.Rules = t.TempDir()
	if _, err := c.Measure(t.Context()); err == nil || !strings.Contains(err.Error(), c.Rules) {
		t.Errorf("an empty rules folder: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A child that dies must end the bench with its name, not hang it.
func TestProcess_ThatEndsOnItsOwnIsAnError(t *testing.T) {
	p, err := start("nobody", &task{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.answer(t.Context()); err == nil || !strings.Contains(err.Error(), "nobody process ended too early") {
		t.Errorf("got %v", err)
	}
	if p.stop() == nil {
		t.Error("stopped as if all were well")
	}
}

func TestSpread_IsTheMedianAndTheRange(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{9, 1}, Spread{5, 1, 9}},
		{[]float64{9, 1, 2}, Spread{2, 1, 9}},
		{[]float64{4, 3, 2, 1}, Spread{2.5, 1, 4}},
	} {
		if got := spread(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

// aReport has figures that can be worked out by head.
func aReport() *Report {
	r := &Report{
		Commit: "0123456789ab", Servers: "embedded", Events: 1000, Customers: 200, Partitions: 8, Lanes: 4, MaxPoll: 4000,
		Machine: Machine{CPU: "a CPU", Cores: 2, System: "linux/amd64", Go: "go1.26", Load: "0.00 0.01 0.02"},
		Rules:   5, Features: 12, Aggregates: 17, Windows: []string{"1h", "30d"},
	}
	for _, seconds := range []float64{0.02, 0.01, 0.04} {
		out := Outcome{Facts: 1008, FactBytes: 504_000, Results: 1000, ResultBytes: 450_000, Commits: 16}
		r.Rounds = append(r.Rounds,
			Round{Peer: "monitor", Events: 1000, Seconds: seconds, CPUSeconds: seconds, PeakKiB: 200 << 10, EventBytes: 120_000, Outcome: out},
			Round{Peer: "passthrough", Events: 1000, Seconds: seconds / 4, CPUSeconds: seconds / 5, PeakKiB: 100 << 10, EventBytes: 120_000, Outcome: out})
	}
	return r
}

func TestReport_SaysWhatAPersonNeeds(t *testing.T) {
	var text bytes.Buffer
	if err := aReport().WriteText(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.golden", text.Bytes())
}

// golden holds a report against the file of that name.
func golden(t *testing.T, name string, text []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("the report is\n%s\nwant, -update writes it anew,\n%s", text, want)
	}
}

// TestReport_CPUIsComparedWithinEachPair: the machine's load changes from pair to pair, and both of a pair have it.
func TestReport_CPUIsComparedWithinEachPair(t *testing.T) {
	r := aReport()
	r.Rounds[2].CPUSeconds *= 2 // the monitor of the second pair
	r.Rounds[5].CPUSeconds *= 4 // the passthrough of the third
	f := r.CPU()
	if s := f.Spread(); len(f.Values) != 3 || s != (Spread{5, 1.25, 10}) || f.verdict() != "not met" {
		t.Errorf("%+v: %v, %s", f, s, f.verdict())
	}
}

func TestReport_RatiosAreOfTheMediansAndStandInTheJSON(t *testing.T) {
	var text bytes.Buffer
	if err := aReport().WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Commit      string
		Rounds      []Round
		Monitor     struct{ Events_per_second Spread }
		Passthrough struct{ Cpu_micros_per_event Spread }
		Ratios      Ratios
	}
	if err := json.Unmarshal(text.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if want := (Ratios{Throughput: 0.25, PerCore: 0.2, CPU: 5}); got.Ratios != want {
		t.Errorf("ratios %+v, want %+v", got.Ratios, want)
	}
	if got.Monitor.Events_per_second != (Spread{50_000, 25_000, 100_000}) || got.Passthrough.Cpu_micros_per_event != (Spread{4, 2, 8}) {
		t.Errorf("monitor %v, passthrough %v", got.Monitor, got.Passthrough)
	}
	if got.Commit != "0123456789ab" || len(got.Rounds) != 6 || got.Rounds[1].Facts != 1008 {
		t.Errorf("read back: %+v", got)
	}
}
