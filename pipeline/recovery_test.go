package pipeline_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// await polls until ok, for what no reader can see come.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come within 20 s", what)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// A partition without traffic since apply ends with a transaction's marker; retention may delete up to the end of the log.
func TestRun_AQuietPartitionOutlivesItsRetention(t *testing.T) {
	p := newProduct(t, nil)
	now := time.Now().Add(-time.Hour)
	admin := p.admin()
	if err := p.run(func(ctx context.Context) {
		p.pay(ctx, "a", "c", now, "1")
		p.facts(ctx, 1)
		await(t, "the commit behind the markers", func() bool {
			ends, err := admin.ListEndOffsets(ctx, schemas.Events.Name)
			got, err2 := admin.FetchOffsets(ctx, p.topo.Stage(topology.StageMonitor).Group)
			level := err == nil && err2 == nil
			ends.Each(func(end kadm.ListedOffset) {
				at, ok := got.Lookup(end.Topic, end.Partition)
				level = level && ok && at.At == end.Offset
			})
			return level
		})
	}); err != nil {
		t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(t.Context(), schemas.Events.Name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	if err := p.run(func(ctx context.Context) {
		p.pay(ctx, "b", "c", now.Add(time.Second), "1")
		if f, _ := p.facts(ctx, 1); f[0].Outcome != schemas.Assessed {
			t.Errorf("outcome %s", f[0].Outcome)
		}
	}); err != nil {
		t.Errorf("the product does not start again: %v", err)
	}
}

// lateStore delivers a held-back flush when the next owner has read the marker, as a network may.
type lateStore struct {
	*store.Memory
	mu     sync.Mutex
	hold   bool
	held   []func()
	loaded bool
}

func (s *lateStore) Flush(ctx context.Context, f *store.Flush) (store.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hold {
		return s.Memory.Flush(ctx, f)
	}
	s.held = append(s.held, func() { _, _ = s.Memory.Flush(context.Background(), f) })
	return store.Result{}, context.DeadlineExceeded
}

func (s *lateStore) Load(ctx context.Context, p int32, keys [][]byte) (store.Marker, [][]byte, error) {
	m, values, err := s.Memory.Load(ctx, p, keys)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hold && len(keys) == 0 {
		for _, deliver := range s.held {
			deliver()
		}
		s.loaded, s.held = s.loaded || len(s.held) > 0, nil
	}
	return m, values, err
}

func (s *lateStore) holds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held)
}

func (s *lateStore) setHold(v bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = v
}

// The replaying owner believes in the first configuration; the store it loads from has moved on to the second.
func TestRecover_FlushThatArrivesLateOverAConfigurationSwitchIsNoHalt(t *testing.T) {
	late := &lateStore{Memory: store.NewMemory()}
	p := newProduct(t, func(c *topology.Config) {
		c.Kafka.Partitions, c.Monitor.Lanes, c.Monitor.FlushEvery = 1, 1, topology.Duration(10*time.Millisecond)
	})
	p.env.Store = late
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	apply := func(text string) {
		if _, err := pipeline.Apply(t.Context(), p.env, folder(text), false); err != nil {
			t.Fatal(err)
		}
	}
	apply("features: [{name: n, expr: \"count('2h')\"}]")
	now := time.Now().Add(-time.Hour)
	if err := p.run(func(ctx context.Context) {
		p.pay(ctx, "a", "c", now, "1")
		p.facts(ctx, 1)
		await(t, "the first flush", func() bool {
			m, _, _ := late.Memory.Load(ctx, 0, nil)
			return m.Offset >= 3 // control record, its marker, event
		})
		late.setHold(true)
		apply("features: [{name: m, expr: \"count('3h')\"}]")
		p.pay(ctx, "b", "c", now, "1")
		p.facts(ctx, 1)
		await(t, "a flush to hold back", func() bool { return late.holds() > 0 })
	}); err != nil {
		t.Fatal(err)
	}
	late.setHold(false)
	if err := p.run(func(ctx context.Context) {
		p.pay(ctx, "d", "c", now.Add(time.Second), "1")
		f, _ := p.facts(ctx, 1)
		if got := feature(&f[0], "m"); got != "3" {
			t.Errorf("three events within the hour, counted %s", got)
		}
	}); err != nil {
		t.Errorf("the next owner: %v", err)
	}
	if !late.loaded {
		t.Error("no flush arrived late: the fault did not happen")
	}
}

// Retained amounts in the old base currency are no data in the new one.
func TestApply_AnotherBaseCurrencyAddsNoTwoCurrencies(t *testing.T) {
	p := newProduct(t, nil)
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	apply := func(currency string) {
		if _, err := pipeline.Apply(t.Context(), p.env, folder("policy: {base_currency: "+currency+"}\nfeatures: [{name: s, expr: \"sum('2h', amount)\"}, {name: n, expr: \"count('2h')\"}]"), false); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().Add(-4 * time.Hour)
	apply("EUR")
	if err := p.run(func(ctx context.Context) {
		p.pay(ctx, "a", "c", now, "1000")
		p.facts(ctx, 1)
		apply("JPY")
		p.pay(ctx, "b", "c", now.Add(time.Minute), "5")
		f, _ := p.facts(ctx, 1)
		// What earlier events would be in the new currency is not retained: sums are not determinable until the window holds none.
		if feature(&f[0], "s") != "ND" || feature(&f[0], "n") != "2" {
			t.Errorf("sum %s and count %s after 1000 EUR and 5 JPY, want ND and 2", feature(&f[0], "s"), feature(&f[0], "n"))
		}
		p.pay(ctx, "c", "c", now.Add(2*time.Hour+time.Minute), "7")
		if f, _ = p.facts(ctx, 1); feature(&f[0], "s") != "7" {
			t.Errorf("sum %s two hours later, want 7: the window reaches back to the first yen at the earliest", feature(&f[0], "s"))
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestRun_ReplicasThatStartAtOnceOnAnEmptyClusterAllRun(t *testing.T) {
	p := newProduct(t, nil)
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	const replicas = 3
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, replicas)
	for i := range replicas {
		env := *p.env
		env.Ordinal = i
		go func() { ended <- pipeline.Run(ctx, p.topo, &env) }()
	}
	p.pay(ctx, "a", "c", time.Now().Add(-time.Hour), "1")
	bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, controls := p.facts(bounded, 1)
	for i := range controls {
		if controls[i].Config != 1 {
			t.Errorf("a second configuration was published: %+v", controls[i].Event.Control)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("a replica ended: %v", err)
	default:
	}
	stop()
	for range replicas {
		<-ended
	}
}

// A topic made anew under its old name, with other rules under the old version number.
func TestRun_AConfigurationOfAnotherTextThanTheLogNamesHalts(t *testing.T) {
	p := newProduct(t, func(c *topology.Config) { c.Kafka.Partitions, c.Monitor.Lanes = 1, 1 })
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	if _, err := pipeline.Apply(t.Context(), p.env, folder("features: [{name: n, expr: \"count('2h')\"}]"), false); err != nil {
		t.Fatal(err)
	}
	other := schemas.Snapshot{Version: 1, Files: folder("features: [{name: n, expr: \"count('3h')\"}]")}
	value, err := schemas.Configurations.Codec.Append(nil, &other)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cl.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.Configurations.Name, Key: []byte("1"), Value: value}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := p.run(nil); err == nil {
		t.Error("ran on")
	} else if got := err.Error(); !strings.Contains(got, "another text") {
		t.Errorf("ended with %v", err)
	}
}
