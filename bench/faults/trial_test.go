//go:build synctests

package faults

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/topology"
)

// trial is one run of the product under one kind of fault.
type trial struct {
	t       *testing.T
	rnd     *rand.Rand
	network *kfake.VirtualNetwork
	broker  *kfake.Cluster
	windows *store.Memory
	topo    *topology.Topology
	config  topology.Config

	mu      sync.Mutex
	conns   map[*conn]bool
	pace    atomic.Int64                 // ns between two pieces of the feed; a test with restarts needs seconds, for a process takes some to join
	deaf    atomic.Bool                  // EndTxn requests arrive, their answers do not
	lies    atomic.Int32                 // so many next EndTxn are applied and answered UNKNOWN_SERVER_ERROR
	lied    atomic.Int32                 // so many were
	aborts  atomic.Int32                 // so many next transactions cannot commit their offsets
	poisons atomic.Int32                 // sessions that ended because an outcome was unknown
	amnesia atomic.Pointer[store.Memory] // what the window store falls back to just before it answers its next load of customers
	product *process
}

// run runs the product on n generated records, in pieces, and calls break between them; at the end every record must have its one
// fact and its one result, as the oracle says.
func run(t *testing.T, seed uint64, n int64, disturb func(tr *trial, ctx context.Context)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))) // virtual time begins in 2000, where a spektr stamp is implausible
		tr := newTrial(t, seed)
		defer tr.broker.Close()
		gen, err := generator.New(tr.traffic(seed, n))
		if err != nil {
			t.Fatal(err)
		}
		tr.product = tr.start()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if disturb != nil {
			disturbing, still := context.WithCancel(ctx)
			var done sync.WaitGroup
			done.Go(func() { disturb(tr, disturbing) })
			tr.feed(ctx, gen)
			still()
			done.Wait()
		} else {
			tr.feed(ctx, gen)
		}
		tr.deaf.Store(false)
		drain(ctx, t, tr.topo, tr.reach()...)
		if err := tr.product.stop(); err != nil {
			t.Errorf("the product ended with: %v", err)
		}
		report := compare(ctx, t, tr.reach()...)
		t.Logf("%s", report.String())
	})
}

func newTrial(t *testing.T, seed uint64) *trial {
	tr := &trial{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), network: new(kfake.VirtualNetwork), windows: store.NewMemory(), conns: map[*conn]bool{}}
	tr.pace.Store(int64(5 * time.Millisecond))
	broker, err := kfake.NewCluster(kfake.Ports(9092), kfake.NumBrokers(1), kfake.ListenFn(tr.network.Listen))
	if err != nil {
		t.Fatal(err)
	}
	tr.broker = broker
	broker.ControlKey(int16(kmsg.TxnOffsetCommit), tr.offsetCommit)
	c := topology.DefaultConfig()
	c.Kafka.Brokers, c.Kafka.Partitions = broker.ListenAddrs(), 4
	c.Monitor.Lanes, c.Monitor.MaxPoll, c.Monitor.FlushEvery, c.Monitor.FlushAt = 2, 60, topology.Duration(20*time.Millisecond), 50
	c.Intake.Workers = 1
	tr.config, tr.topo = c, topology.Monitoring(&c)
	if err := pipeline.Prepare(t.Context(), tr.topo, tr.env(tr.dial)); err != nil {
		t.Fatal(err)
	}
	return tr
}

// traffic is the engine's fault workload: late, equal, duplicate, conflicting, future and broken records.
func (tr *trial) traffic(seed uint64, n int64) generator.Config {
	c := generator.Default(time.Now().Add(-30 * 24 * time.Hour).UnixMilli())
	c.Seed, c.Events, c.Customers, c.Period, c.Disorder, c.Hot = seed, n, 200, 30*24*time.Hour, generator.Faults(), 20
	return c
}

func (tr *trial) env(dial pipeline.Dialer) *pipeline.Env {
	return &pipeline.Env{Config: tr.config, Log: slog.New(watcher{tr}), Dial: dial, Store: tr.windows}
}

// process is one run of the product that can end in order or be killed.
type process struct {
	tr     *trial
	dead   atomic.Bool
	cancel context.CancelFunc
	ended  chan error

	mu    sync.Mutex
	conns map[*conn]bool
}

func (tr *trial) start() *process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{tr: tr, cancel: cancel, ended: make(chan error, 1), conns: map[*conn]bool{}}
	env := tr.env(p.dial)
	env.Store = &mortalStore{Store: tr.windows, tr: tr, dead: &p.dead}
	go func() { p.ended <- pipeline.Run(ctx, tr.topo, env) }()
	return p
}

func (p *process) dial(ctx context.Context, n, a string) (net.Conn, error) {
	if p.dead.Load() {
		return nil, errors.New("this process is dead")
	}
	c, err := p.tr.dial(ctx, n, a)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.conns[c.(*conn)] = true
	p.mu.Unlock()
	return c, nil
}

// stop ends the product in order.
func (p *process) stop() error {
	p.cancel()
	if err := <-p.ended; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// kill is kill -9 as far as one process can do it to itself: the connections are cut in the middle of whatever they carry, nothing is
// reached or written any more, and what memory holds is gone.
func (p *process) kill() {
	p.dead.Store(true)
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.cancel()
	<-p.ended
}

// restart kills the product and starts it again.
func (tr *trial) restart() {
	tr.product.kill()
	tr.product = tr.start()
}

// mortalStore keeps a dead process from writing, and forgets on demand.
type mortalStore struct {
	store.Store
	tr   *trial
	dead *atomic.Bool
}

func (s *mortalStore) Load(ctx context.Context, p int32, keys [][]byte) (store.Marker, [][]byte, error) {
	if s.dead.Load() {
		return store.Marker{}, nil, errors.New("this process is dead")
	}
	if len(keys) > 0 {
		if old := s.tr.amnesia.Swap(nil); old != nil {
			s.tr.windows.Restore(old)
		}
	}
	return s.Store.Load(ctx, p, keys)
}

func (s *mortalStore) Flush(ctx context.Context, f *store.Flush) (store.Result, error) {
	if s.dead.Load() {
		return store.Result{}, errors.New("this process is dead")
	}
	return s.Store.Flush(ctx, f)
}

// reach says how to reach the broker past all faults.
func (tr *trial) reach() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(tr.config.Kafka.Brokers...), kgo.Dialer(tr.network.DialContext)}
}

// feed sends the generator's records in pieces with pauses, so that faults fall between and into transactions.
func (tr *trial) feed(ctx context.Context, gen *generator.Generator) {
	cl := connect(tr.t, tr.reach()...)
	defer cl.Close()
	for more := true; more && ctx.Err() == nil; {
		var records []*kgo.Record
		for range 25 {
			e, ok := gen.Next()
			if more = ok; !ok {
				break
			}
			records = append(records, &kgo.Record{Topic: e.Topic, Key: []byte(e.Key), Value: e.Value})
		}
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			tr.t.Fatalf("feed: %v", err)
		}
		time.Sleep(time.Duration(tr.pace.Load()))
	}
}

// offsetCommit lets a transaction's offsets fail with an error that aborts it.
func (tr *trial) offsetCommit(req kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // kfake wants it in this order
	tr.broker.KeepControl()
	if tr.aborts.Load() <= 0 {
		return nil, nil, false
	}
	tr.aborts.Add(-1)
	r := req.(*kmsg.TxnOffsetCommitRequest)
	resp := r.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.IllegalGeneration.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil, true
}

// conn is a connection that can lose answers.
type conn struct {
	net.Conn
	tr   *trial
	lose atomic.Bool
	lie  atomic.Int64 // correlation id + 1 of the EndTxn whose answer is changed
}

func (tr *trial) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := tr.network.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := &conn{Conn: c, tr: tr}
	tr.mu.Lock()
	tr.conns[w] = true
	tr.mu.Unlock()
	return w, nil
}

func (c *conn) Write(b []byte) (int, error) {
	if c.tr.deaf.Load() && len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == uint16(kmsg.EndTxn) {
		c.lose.Store(true)
	}
	if len(b) > 12 && binary.BigEndian.Uint16(b[4:]) == uint16(kmsg.EndTxn) && c.tr.lies.Load() > 0 {
		c.tr.lies.Add(-1)
		c.lie.Store(int64(binary.BigEndian.Uint32(b[8:])) + 1)
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.lose.Load() {
		c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	if x := c.lie.Load(); x > 0 && n >= 15 && int64(binary.BigEndian.Uint32(b[4:])) == x-1 {
		c.lie.Store(0)
		c.tr.lied.Add(1)
		binary.BigEndian.PutUint16(b[13:], 0xffff) // UNKNOWN_SERVER_ERROR (−1) for what was applied
	}
	return n, err
}

func (c *conn) Close() error {
	c.tr.mu.Lock()
	delete(c.tr.conns, c)
	c.tr.mu.Unlock()
	return c.Conn.Close()
}

// cut closes a share of the product's connections.
func (tr *trial) cut(share float64) {
	tr.mu.Lock()
	var hit []*conn
	for c := range tr.conns {
		if tr.rnd.Float64() < share {
			hit = append(hit, c)
		}
	}
	tr.mu.Unlock()
	for _, c := range hit {
		c.Close()
	}
}

// pause sleeps up to d; false when ctx ended.
func (tr *trial) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(time.Duration(tr.rnd.Int64N(int64(d)))):
		return true
	case <-ctx.Done():
		return false
	}
}

// watcher is a log that counts what tests must have provoked.
type watcher struct{ tr *trial }

func (w watcher) Enabled(context.Context, slog.Level) bool { return true }
func (w watcher) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "session ends and begins anew, its state is read back" {
		w.tr.poisons.Add(1)
	}
	if testing.Verbose() && r.Level >= slog.LevelWarn {
		line := r.Message
		r.Attrs(func(a slog.Attr) bool { line += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
		fmt.Println("   ", line)
	}
	return nil
}
func (w watcher) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w watcher) WithGroup(string) slog.Handler      { return w }
