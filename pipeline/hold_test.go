package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// awayStore is a store that can be away: it answers errors, or nothing at all.
type awayStore struct {
	*store.Memory
	away atomic.Bool
	deaf atomic.Bool
}

func (s *awayStore) gone(ctx context.Context) error {
	if s.deaf.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.away.Load() {
		return errors.New("connection refused")
	}
	return nil
}

func (s *awayStore) Load(ctx context.Context, p int32, keys [][]byte) (store.Marker, [][]byte, error) {
	if err := s.gone(ctx); err != nil {
		return store.Marker{}, nil, err
	}
	return s.Memory.Load(ctx, p, keys)
}

func (s *awayStore) Flush(ctx context.Context, f *store.Flush) (store.Result, error) {
	if err := s.gone(ctx); err != nil {
		return store.Result{}, err
	}
	return s.Memory.Flush(ctx, f)
}

// saidLog keeps what was logged.
type saidLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *saidLog) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(b)
}

func (w *saidLog) count(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.buf.String(), text)
}

// put writes an event of a customer to a partition of its own choice, past intake.
func (p *product) put(partition int32, id, customer string, at time.Time) {
	p.t.Helper()
	e := schemas.Event{Kind: schemas.KindPayment, Team: "t", Customer: customer, ID: id, Time: at.UnixMilli(), Origin: schemas.Origin{Topic: id}}
	value, err := schemas.Events.Codec.Append(nil, &e)
	if err != nil {
		p.t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.env.Config.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		p.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(p.t.Context(), &kgo.Record{Topic: schemas.Events.Name, Partition: partition, Value: value}).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
}

const counting = "features: [{name: n, expr: \"count('2h')\"}]"

// prepared is a product of two partitions in one lane, with one feature, on a store and a log that the test sees into.
func prepared(t *testing.T, s store.Store, change func(*topology.Config)) (*product, *saidLog) {
	t.Helper()
	p := newProduct(t, func(c *topology.Config) {
		c.Monitor.Lanes, c.Monitor.FlushEvery = 1, topology.Duration(10*time.Millisecond)
		if change != nil {
			change(c)
		}
	})
	said := &saidLog{}
	p.env.Store, p.env.Log = s, slog.New(slog.NewTextHandler(said, nil))
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	if _, err := pipeline.Apply(t.Context(), p.env, folder(counting), false); err != nil {
		t.Fatal(err)
	}
	return p, said
}

// With the window store away, customers in memory go on; one that is not stops its partition, in order, and no other; nothing is judged
// on state that is not there. When the store is back, so is the partition, by itself.
func TestLane_AWindowStoreThatIsAwayStopsOnlyThePartitionsThatNeedIt(t *testing.T) {
	for name, gone := range map[string]func(*awayStore, bool){
		"refuses": func(s *awayStore, v bool) { s.away.Store(v) },
		"hangs":   func(s *awayStore, v bool) { s.deaf.Store(v) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &awayStore{Memory: store.NewMemory()}
			p, said := prepared(t, s, nil)
			now := time.Now().Add(-time.Hour)
			count := func(f *schemas.Fact, want string) {
				t.Helper()
				if got := feature(f, "n"); got != want {
					t.Errorf("event %s: count %s, want %s", f.Event.ID, got, want)
				}
			}
			if err := p.run(func(ctx context.Context) {
				p.put(0, "stored", "stranger", now)
				p.facts(ctx, 1)
				p.put(1, "known", "other", now)
				p.facts(ctx, 1)
				await(t, "flushes", func() bool {
					a, _, _ := s.Memory.Load(ctx, 0, nil)
					b, _, _ := s.Memory.Load(ctx, 1, nil)
					return a.Offset >= 3 && b.Offset >= 3
				})
			}); err != nil {
				t.Fatal(err)
			}
			if err := p.run(func(ctx context.Context) { // in whose memory no customer is yet
				p.put(0, "a0", "cached", now)
				p.facts(ctx, 1)
				p.put(1, "a1", "other", now)
				p.facts(ctx, 1)
				gone(s, true)
				p.put(0, "b0", "cached", now)
				if f, _ := p.facts(ctx, 1); f[0].Event.ID != "b0" {
					t.Errorf("fact of %s", f[0].Event.ID)
				} else {
					count(&f[0], "2")
				}
				p.put(0, "c0", "stranger", now)
				p.put(0, "d0", "cached", now)
				await(t, "the wait", func() bool { return said.count("partition waits for the window store") == 1 })
				p.put(1, "b1", "other", now)
				if f, _ := p.facts(ctx, 1); f[0].Event.ID != "b1" {
					t.Errorf("fact of %s while its partition has no state for it", f[0].Event.ID)
				} else {
					count(&f[0], "3")
				}
				gone(s, false)
				f, _ := p.facts(ctx, 2)
				if f[0].Event.ID != "c0" || f[1].Event.ID != "d0" {
					t.Fatalf("facts of %s and %s, want c0 and d0", f[0].Event.ID, f[1].Event.ID)
				}
				count(&f[0], "2")
				count(&f[1], "3")
			}); err != nil {
				t.Fatal(err)
			}
			if said.count("session ends and begins anew") > 0 {
				t.Error("the session was given up: the wait must not cost it")
			}
		})
	}
}

// A process that starts while the window store is away waits for it, and then begins.
func TestLane_StartedWithoutItsWindowStoreWaitsForIt(t *testing.T) {
	s := &awayStore{Memory: store.NewMemory()}
	p, said := prepared(t, s, nil)
	now := time.Now().Add(-time.Hour)
	pay := func(ctx context.Context, id, want string) {
		p.put(0, id, "c", now)
		if f, _ := p.facts(ctx, 1); feature(&f[0], "n") != want {
			t.Errorf("event %s: count %s, want %s", id, feature(&f[0], "n"), want)
		}
	}
	if err := p.run(func(ctx context.Context) { pay(ctx, "a", "1") }); err != nil {
		t.Fatal(err)
	}
	s.away.Store(true)
	if err := p.run(func(ctx context.Context) {
		await(t, "the wait", func() bool { return said.count("partition waits for the window store") == 2 })
		s.away.Store(false)
		pay(ctx, "b", "2")
	}); err != nil {
		t.Fatal(err)
	}
}

// What waits for a store that is away is bounded.
func TestLane_ChangesThatTheStoreDoesNotTakeStopThePartitionAtABound(t *testing.T) {
	s := &awayStore{Memory: store.NewMemory()}
	p, said := prepared(t, s, func(c *topology.Config) { c.Monitor.FlushAt, c.Kafka.Partitions = 1, 1 })
	now := time.Now().Add(-time.Hour)
	const customers = 60 // 50 flushes of one customer may wait
	name := func(i int) string { return "c" + string(rune('A'+i)) }
	if err := p.run(func(ctx context.Context) {
		for i := range customers { // all in memory before the store goes
			p.put(0, "first"+name(i), name(i), now)
		}
		p.facts(ctx, customers)
		s.away.Store(true)
		for i := range customers {
			p.put(0, "second"+name(i), name(i), now)
			if said.count("are not in the window store yet") == 0 && i < 45 {
				p.facts(ctx, 1)
			}
		}
		await(t, "the bound", func() bool { return said.count("are not in the window store yet") == 1 })
		s.away.Store(false)
		f, _ := p.facts(ctx, customers-45)
		for i := range f {
			if got := feature(&f[i], "n"); got != "2" {
				t.Errorf("event %s: count %s, want 2", f[i].Event.ID, got)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// forge changes what the group's commit of partition 0 says of itself.
func (p *product) forge(change func(fields []string)) {
	p.t.Helper()
	group, admin := p.topo.Stage(topology.StageMonitor).Group, p.admin()
	await(p.t, "the group to be empty", func() bool { // static members leave none
		d, err := admin.DescribeGroups(p.t.Context(), group)
		if err != nil {
			return false
		}
		var ids []string
		for _, m := range d[group].Members {
			ids = append(ids, *m.InstanceID)
		}
		if len(ids) > 0 {
			_, _ = admin.LeaveGroup(p.t.Context(), kadm.LeaveGroup(group).InstanceIDs(ids...))
		}
		return d[group].State == "Empty"
	})
	got, err := admin.FetchOffsets(p.t.Context(), group)
	if err != nil {
		p.t.Fatal(err)
	}
	at, ok := got.Lookup(schemas.Events.Name, 0)
	fields := strings.Split(at.Metadata, " ")
	if !ok || len(fields) != 7 {
		p.t.Fatalf("commit metadata %q", at.Metadata)
	}
	change(fields)
	var to kadm.Offsets
	to.Add(kadm.Offset{Topic: schemas.Events.Name, Partition: 0, At: at.At, LeaderEpoch: -1, Metadata: strings.Join(fields, " ")})
	if err := admin.CommitAllOffsets(p.t.Context(), group, to); err != nil {
		p.t.Fatal(err)
	}
}

func TestRun_ACommitThatDoesNotFitThisProcessHaltsAndSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		field int
		value string
		wipe  bool // the window store is empty, so that all of the log is read again
		want  string
	}{
		"another input than was judged": {field: 5, value: strings.Repeat("5a", 16), wipe: true, want: "NONDETERMINISM"},
		"another generation":            {field: 1, value: "9", want: "generation 9"},
		"another partition count":       {field: 2, value: "64", want: "64 partitions"},
		"another topic of that name":    {field: 3, value: "AAAAAAAAAAAAAAAAAAAAAA", want: "recreated"},
		"a later version's format":      {field: 0, value: "streamgauge.7", want: "run the version that wrote it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := store.NewMemory()
			p, said := prepared(t, s, nil)
			now := time.Now().Add(-time.Hour)
			if err := p.run(func(ctx context.Context) {
				for i := range 5 {
					p.put(0, string(rune('a'+i)), "c", now)
					p.put(1, string(rune('a'+i)), "d", now)
				}
				p.facts(ctx, 10)
			}); err != nil {
				t.Fatal(err)
			}
			if c.wipe { // without another chain, all of it replays and nothing halts
				s.Restore(store.NewMemory())
				if err := p.run(func(ctx context.Context) {
					p.put(0, "after", "c", now)
					if f, _ := p.facts(ctx, 1); feature(&f[0], "n") != "6" {
						t.Errorf("after the replay: count %s, want 6", feature(&f[0], "n"))
					}
				}); err != nil {
					t.Fatal(err)
				}
				s.Restore(store.NewMemory())
			}
			p.forge(func(fields []string) { fields[c.field] = c.value })
			// The other partition goes on, and the halt is reported.
			if err := p.run(func(ctx context.Context) {
				p.put(0, "halted", "c", now)
				p.put(1, "goes on", "d", now)
				if f, _ := p.facts(ctx, 1); f[0].Event.ID != "goes on" {
					t.Errorf("fact of event %q", f[0].Event.ID)
				}
			}); err != nil {
				t.Fatal(err)
			}
			if said.count("partition is halted") != 1 || said.count(c.want) == 0 {
				t.Errorf("the log does not say %q once", c.want)
			}
			// Asked to, the process ends with the first halt.
			p.env.Config.Monitor.EndOnHalt = true
			err := p.run(nil)
			var halt *pipeline.HaltError
			if !errors.As(err, &halt) || halt.Partition != 0 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ended with %v, want a halt of partition 0 that says %q", err, c.want)
			}
		})
	}
}
