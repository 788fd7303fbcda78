package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline/devserver"
	"github.com/streamgauge/streamgauge/schemas"
)

// shared is the engine that the tests have in common; each has its own database. Tests that kill an engine start their own.
var shared struct {
	once   sync.Once
	dir    string
	server *devserver.ClickHouse
	err    error
}

func TestMain(m *testing.M) {
	if os.Getenv(childBrokers) != "" {
		childMain()
		return
	}
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.Close(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// engineURL is the shared engine's URL. It skips the test where there is no engine.
func engineURL(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "archive-test-"); shared.err == nil { //nolint:usetesting // it outlives the test that comes first
			shared.server, shared.err = devserver.StartClickHouse(context.Background(), shared.dir)
		}
	})
	if errors.Is(shared.err, devserver.ErrNoEngine) {
		t.Skip(shared.err)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server.URL
}

// ownEngine starts an engine that the test may kill, on dir.
func ownEngine(t *testing.T, dir string) *devserver.ClickHouse {
	t.Helper()
	server, err := devserver.StartClickHouse(t.Context(), dir)
	if errors.Is(err, devserver.ErrNoEngine) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	return server
}

var databases atomic.Int64

// bed is one test's brokers, database and connection.
type bed struct {
	t       testing.TB
	kafka   *kfake.Cluster
	client  *kgo.Client // producer and admin
	url     string
	conn    driver.Conn
	cfg     Config
	sent    map[place]*schemas.Fact // every fact that was produced
	ends    map[int32]int64         // offset behind the last record, by partition
	nextPos map[int32]int64         // next offset in topic events, by partition
	bad     []*kgo.Record           // records that are no facts
	mu      sync.Mutex
}

func newBed(t testing.TB, partitions int32, clickhouseURL string) *bed {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, schemas.Facts.Name), kfake.SeedTopics(1, schemas.RejectedRecords.Name),
		kfake.BrokerConfigs(map[string]string{
			"group.initial.rebalance.delay.ms":         "0",
			"group.consumer.heartbeat.interval.ms":     "100",
			"group.consumer.min.heartbeat.interval.ms": "50",
			"group.consumer.session.timeout.ms":        "1500",
			"group.consumer.min.session.timeout.ms":    "500",
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	b := &bed{t: t, kafka: kafka, url: clickhouseURL, sent: map[place]*schemas.Fact{}, ends: map[int32]int64{}, nextPos: map[int32]int64{}}
	seeds := kgo.SeedBrokers(kafka.ListenAddrs()...)
	if b.client, err = kgo.NewClient(seeds, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	if b.conn, err = Open(clickhouseURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.conn.Close() })
	b.cfg = Config{Kafka: []kgo.Opt{seeds}, ClickHouse: clickhouseURL, FlushInterval: 50 * time.Millisecond,
		Options: Options{Database: fmt.Sprintf("t%d", databases.Add(1))}, Counters: new(Counters), Logger: slog.New(slog.NewTextHandler(logTo{t}, nil))}
	return b
}

// migrated makes the tables, for tests that look before an archive runs.
func (b *bed) migrated() *bed {
	b.t.Helper()
	if _, err := Migrate(b.t.Context(), b.conn, b.cfg.Options); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// logTo shows the archive's log with the test.
type logTo struct{ t testing.TB }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// produce writes facts of one partition to its log, as monitor would.
func (b *bed) produce(partition int32, facts ...*schemas.Fact) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var records []*kgo.Record
	for _, f := range facts {
		value, err := schemas.Facts.Codec.Append(nil, f)
		if err != nil {
			b.t.Fatal(err)
		}
		records = append(records, &kgo.Record{Topic: schemas.Facts.Name, Partition: partition, Value: value,
			Key: schemas.CustomerKey(nil, f.Event.Team, f.Event.Customer)})
		r := row{Fact: *f}
		b.sent[r.place()] = f
	}
	b.append(records)
}

// append writes records as they are.
func (b *bed) append(records []*kgo.Record) {
	b.t.Helper()
	for _, r := range b.client.ProduceSync(b.t.Context(), records...) {
		if r.Err != nil {
			b.t.Fatal(r.Err)
		}
		b.ends[r.Record.Partition] = r.Record.Offset + 1
	}
}

// generate makes n facts of a partition, following those that were made before.
func (b *bed) generate(partition int32, n int) (facts []*schemas.Fact) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		facts = append(facts, fakeFact(partition, b.nextPos[partition]))
		b.nextPos[partition]++
	}
	return facts
}

// running is an archive under test.
type running struct {
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// start runs an archive as Run does, on what tamper makes of its warehouse.
func (b *bed) start(tamper func(warehouse) warehouse) *running {
	b.t.Helper()
	b.migrated()
	cfg, err := b.cfg.withDefaults()
	if err != nil {
		b.t.Fatal(err)
	}
	var w warehouse = b.table()
	if tamper != nil {
		w = tamper(w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: b.t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = run(ctx, cfg, w, &health{log: cfg.Logger, address: "test"})
	}()
	b.t.Cleanup(func() { cancel(); <-r.done })
	return r
}

func (b *bed) table() *table {
	return &table{conn: b.conn, database: b.cfg.Database, retention: DefaultRetentionDays * 24 * time.Hour}
}

// stop ends the archive in peace.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	<-r.done
	if r.err != nil {
		r.t.Fatalf("archive: %v", r.err)
	}
}

// fails waits for the archive's end and returns its error.
func (r *running) fails() error {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(30 * time.Second):
		r.t.Fatal("the archive runs on")
	}
	return r.err
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, met func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.After(2 * time.Minute) // for machines with other work; a second or two as a rule
	for !met() {
		select {
		case <-end:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// exact waits until everything sent is in the table by progress, holding the invariant at every look, and then compares the whole.
func (b *bed) exact() {
	b.t.Helper()
	var progress map[int32]int64
	defer func() {
		if b.t.Failed() {
			b.t.Logf("progress %v of %v", progress, b.ends)
		}
	}()
	eventually(b.t, "progress to the end", func() bool {
		progress = b.invariant()
		for partition, end := range b.ends {
			if progress[partition] < end {
				return false
			}
		}
		return true
	})
	var count, unique uint64
	b.row("SELECT count(), uniqExact(generation, partition, offset, seq) FROM {db}.facts", &count, &unique)
	if count != uint64(len(b.sent)) || unique != count {
		b.t.Fatalf("table has %d facts, %d unique; %d were sent", count, unique, len(b.sent))
	}
}

// invariant asserts contract 9 as of now: below progress the table holds every record of the log once.
func (b *bed) invariant() map[int32]int64 {
	b.t.Helper()
	progress, err := Progress(b.t.Context(), b.client, schemas.Facts.Name, Group)
	if err != nil {
		b.t.Fatal(err)
	}
	var total int64
	conditions := []string{"0"}
	for partition, offset := range progress {
		total += offset
		conditions = append(conditions, fmt.Sprintf("(partition = %d AND fact_offset < %d)", partition, offset))
	}
	var count, unique uint64
	b.row("SELECT count(), uniqExact(generation, partition, offset, seq) FROM {db}.facts WHERE "+strings.Join(conditions, " OR "), &count, &unique)
	if count != unique {
		b.t.Fatalf("below progress %v: %d facts, %d unique", progress, count, unique)
	}
	for _, r := range b.bad {
		if r.Offset < progress[r.Partition] {
			total--
		}
	}
	if int64(count) != total {
		b.t.Fatalf("below progress %v: %d facts in the table, %d in the log", progress, count, total)
	}
	return progress
}

// row scans the one row of a query.
func (b *bed) row(sql string, into ...any) {
	b.t.Helper()
	if err := b.conn.QueryRow(b.t.Context(), strings.ReplaceAll(sql, "{db}", b.cfg.Database)).Scan(into...); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// exec runs a statement.
func (b *bed) exec(sql string) {
	b.t.Helper()
	if err := b.conn.Exec(b.t.Context(), strings.ReplaceAll(sql, "{db}", b.cfg.Database)); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// committed is the group's offset and metadata of a partition.
func (b *bed) committed(partition int32) (int64, string) {
	b.t.Helper()
	offsets, err := kadm.NewClient(b.client).FetchOffsetsForTopics(b.t.Context(), Group, schemas.Facts.Name)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return -1, ""
	}
	if err != nil {
		b.t.Fatal(err)
	}
	o, _ := offsets.Lookup(schemas.Facts.Name, partition)
	return o.At, o.Metadata
}

// commits sets the group's offset as an archive would have left it.
func (b *bed) commits(partition int32, offset int64, metadata string) {
	b.t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: schemas.Facts.Name, Partition: partition, At: offset, LeaderEpoch: -1, Metadata: metadata})
	if err := kadm.NewClient(b.client).CommitAllOffsets(b.t.Context(), Group, offsets); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) topicID() string {
	b.t.Helper()
	id, err := topicID(b.t.Context(), Config{Kafka: b.cfg.Kafka, Topic: schemas.Facts.Name, Logger: b.cfg.Logger})
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// fetchRange reads the records [from, end) of a partition.
func fetchRange(t testing.TB, brokers []string, topic string, partition int32, from, end int64) (rs []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for len(rs) == 0 || rs[len(rs)-1].Offset < end-1 {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < end {
				rs = append(rs, r)
			}
		})
	}
	return rs
}
