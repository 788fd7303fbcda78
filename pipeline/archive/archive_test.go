package archive

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/schemas"
)

func TestRun_MigratesAndStoresAndEndsInPeace(t *testing.T) {
	b := newBed(t, 3, engineURL(t))
	for p := range int32(3) {
		b.produce(p, b.generate(p, 700)...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, b.cfg) }()
	b.tableIsThere()
	b.exact()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := b.cfg.Counters.Rows.Load(); n != 2100 {
		t.Errorf("%d rows counted, want 2100", n)
	}
}

func (b *bed) tableIsThere() {
	b.t.Helper()
	eventually(b.t, "the table", func() bool {
		var n uint64
		b.row("SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'facts'", &n)
		return n == 1
	})
}

func TestRun_WaitsForAClickHouseThatIsNotThereYet(t *testing.T) {
	p := newProxy(t)
	b := newBed(t, 1, p.url())
	var log syncBuffer
	b.cfg.Logger = newLogger(&log)
	b.produce(0, b.generate(0, 10)...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, b.cfg) }()
	eventually(t, "a warning", func() bool { return strings.Contains(log.String(), "clickhouse does not take facts") })
	p.to(engineURL(t))
	b.tableIsThere()
	b.exact()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	text := log.String()
	if strings.Count(text, "does not take facts") != 1 || strings.Count(text, "takes facts again") != 1 || !strings.Contains(text, p.listener.Addr().String()) {
		t.Errorf("want one warning and one all-clear with the address, got\n%s", text)
	}
}

func TestRun_SaysEveryMistakeAtOnce(t *testing.T) {
	err := Run(t.Context(), Config{FlushInterval: time.Millisecond, MaxRows: -1, MaxBytes: -2, Writers: -3, Options: Options{Database: "a-b", RetentionDays: -4}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`clickhouse url ""`, "interval 1ms", "max rows -1", "max bytes -2", "writers -3", `database "a-b"`, "retention of -4 days"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

func TestArchive_ProgressReachesTheEndWhenNothingMoreComes(t *testing.T) {
	b := newBed(t, 2, engineURL(t))
	a := b.start(nil)
	b.produce(1, b.generate(1, 42)...)
	b.exact()
	at, metadata := b.committed(1)
	if at != 42 || metadata != "" {
		t.Errorf("committed %d %q, want 42 without an intent", at, metadata)
	}
	a.stop()
	if progress, err := Progress(t.Context(), b.client, schemas.Facts.Name, "nobody"); err != nil || len(progress) != 2 || progress[0] != 0 || progress[1] != 0 {
		t.Errorf("progress of a group that never was: %v, %v; want 0 for both partitions", progress, err)
	}
}

func TestArchive_StoppingInPeaceLeavesNoIntent(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.cfg.FlushInterval = time.Hour // nothing settles by itself
	b.cfg.MaxRows = 100
	b.produce(0, b.generate(0, 250)...)
	a := b.start(nil)
	eventually(t, "two blocks", func() bool { return b.cfg.Counters.Blocks.Load() == 2 })
	a.stop()
	if at, metadata := b.committed(0); at != 200 || metadata != "" {
		t.Errorf("committed %d %q, want 200 without an intent", at, metadata)
	}
}

func TestArchive_AFactThatCannotBeReadIsRejectedAndThePartitionMovesOn(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	bad := [][]byte{nil, {0}, []byte("{}"), bytes.Repeat([]byte{0xc3}, 900_000)}
	var records []*kgo.Record
	for _, value := range bad {
		records = append(records, &kgo.Record{Topic: schemas.Facts.Name, Key: []byte("k"), Value: value})
	}
	unfit, err := schemas.Facts.Codec.Append(nil, &schemas.Fact{Generation: -1, Outcome: schemas.Applied, Event: schemas.Event{Kind: schemas.KindPayment}})
	if err != nil {
		t.Fatal(err)
	}
	records = append(records, &kgo.Record{Topic: schemas.Facts.Name, Value: unfit})
	b.produce(0, b.generate(0, 10)...)
	b.append(records)
	b.bad = records
	b.produce(0, b.generate(0, 10)...)
	a := b.start(nil)
	b.exact()
	a.stop()
	for i, r := range fetchRange(t, b.kafka.ListenAddrs(), schemas.RejectedRecords.Name, 0, 0, int64(len(records))) {
		var got schemas.Rejection
		if err := schemas.RejectedRecords.Codec.Decode(r.Value, &got); err != nil {
			t.Fatal(err)
		}
		want := schemas.Origin{Topic: schemas.Facts.Name, Offset: 10 + int64(i)}
		if got.Origin != want || got.Stage != "archive" || got.Reason != "invalid_fact" || got.Detail == "" {
			t.Errorf("rejection %+v, want origin %+v", got, want)
		}
		if i < 3 && !bytes.Equal(got.Value, bad[i]) {
			t.Errorf("rejected bytes %x, want %x", got.Value, bad[i])
		}
		if i == 3 && (len(got.Value) != maxRejectedBytes/2 || !strings.Contains(got.Detail, "900001 bytes")) {
			t.Errorf("%d bytes kept of the large one, detail %q", len(got.Value), got.Detail)
		}
	}
}

func TestArchive_ABlockOfNothingButUnreadableFactsMovesOn(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.append([]*kgo.Record{{Topic: schemas.Facts.Name, Value: []byte("x")}})
	a := b.start(nil)
	eventually(t, "the offset behind it", func() bool { at, metadata := b.committed(0); return at == 1 && metadata == "" })
	a.stop()
}

func TestArchive_FactsThatAreGoneFromTheLogStopIt(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.produce(0, b.generate(0, 100)...)
	b.commits(0, 10, "")
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: schemas.Facts.Name, Partition: 0, At: 50, LeaderEpoch: -1})
	if _, err := kadm.NewClient(b.client).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	err := b.start(nil).fails()
	if err == nil || !strings.Contains(err.Error(), "facts partition 0: facts that are not in the table yet are gone") {
		t.Errorf("got %v", err)
	}
}

func TestArchive_StartsWhereTheLogBegins(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.produce(0, b.generate(0, 100)...)
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: schemas.Facts.Name, Partition: 0, At: 50, LeaderEpoch: -1})
	if _, err := kadm.NewClient(b.client).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	a := b.start(nil)
	eventually(t, "the end", func() bool { at, _ := b.committed(0); return at == 100 })
	a.stop()
	var n uint64
	if b.row("SELECT count() FROM {db}.facts", &n); n != 50 {
		t.Errorf("%d facts, want 50", n)
	}
}

func TestArchive_MetadataThatNoArchiveWroteStopsIt(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.produce(0, b.generate(0, 10)...)
	b.commits(0, 3, "member-1")
	err := b.start(nil).fails()
	if err == nil || !strings.Contains(err.Error(), `partition 0 offset 3: commit metadata "member-1" is not an archive's`) {
		t.Errorf("got %v", err)
	}
}

func TestArchive_ATopicMadeAnewStopsIt(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.produce(0, b.generate(0, 10)...)
	b.commits(0, 3, intent{End: 5, Topic: "00000000000000000000000000000000"}.String())
	err := b.start(nil).fails()
	if err == nil || !strings.Contains(err.Error(), "the topic was made anew") {
		t.Errorf("got %v", err)
	}
}

func TestArchive_LostOffsetsOrAForeignLogDoNotDoubleFacts(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.produce(0, b.generate(0, 100)...)
	a := b.start(nil)
	b.exact()
	a.stop()
	if _, err := kadm.NewClient(b.client).DeleteGroup(t.Context(), Group); err != nil {
		t.Fatal(err)
	}
	err := b.start(nil).fails()
	if err == nil || !strings.Contains(err.Error(), "partition 0 offsets 0-100: the group has no offset, but the table holds 100 of these 100 facts") {
		t.Errorf("got %v", err)
	}
	var n uint64
	if b.row("SELECT count() FROM {db}.facts", &n); n != 100 {
		t.Errorf("%d facts, want 100", n)
	}
}

func TestArchive_StoresOnlyWhatWasCommitted(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	a := b.start(nil)
	producer, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.ListenAddrs()...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for j := range int64(20) {
			f := plainFact(0, 100*int64(i)+j)
			value, err := schemas.Facts.Codec.Append(nil, f)
			if err != nil {
				t.Fatal(err)
			}
			if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.Facts.Name, Value: value}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := producer.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both committed transactions", func() bool { return b.cfg.Counters.Rows.Load() >= 40 })
	a.stop()
	var n, unique, aborted uint64
	b.row("SELECT count(), uniqExact(offset), countIf(offset BETWEEN 100 AND 119) FROM {db}.facts", &n, &unique, &aborted)
	if n != 40 || unique != 40 || aborted != 0 {
		t.Errorf("%d facts, %d unique, %d of the aborted transaction; want 40, 40, 0", n, unique, aborted)
	}
}

func TestQueue_PausesAboveItsLimitAndResumesBelowHalf(t *testing.T) {
	var events []string
	q := &queue{limit: 100, filled: make(chan struct{}, 1), pause: func() { events = append(events, "pause") }, resume: func() { events = append(events, "resume") }}
	record := func(n int64) *kgo.Record { return &kgo.Record{Offset: n, Value: make([]byte, 30)} }
	q.push([]*kgo.Record{record(0), record(1), record(2)})
	q.push([]*kgo.Record{record(3), record(4)})
	var got []*kgo.Record
	for i := range int64(5) {
		got = q.pop(got, func(r *kgo.Record) bool { return r.Offset <= i })
		events = append(events, string(rune('0'+len(got))))
	}
	if text := strings.Join(events, " "); text != "pause 1 2 3 resume 4 5" && text != "pause 1 2 3 4 resume 5" {
		t.Errorf("events %q", text)
	}
	for i, r := range got {
		if r.Offset != int64(i) {
			t.Errorf("record %d has offset %d", i, r.Offset)
		}
	}
}

func TestArchive_ALogLargerThanItsQueuesIsStoredWhole(t *testing.T) {
	b := newBed(t, 2, engineURL(t))
	b.cfg.MaxBytes = 64 << 10 // queues pause all the time
	for p := range int32(2) {
		b.produce(p, b.generate(p, 4000)...)
	}
	a := b.start(nil)
	b.exact()
	a.stop()
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
