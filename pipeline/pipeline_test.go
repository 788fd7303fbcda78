package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/pipeline/devserver"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// product is the whole of it on embedded servers.
type product struct {
	t    *testing.T
	env  *pipeline.Env
	topo *topology.Topology
	cl   *kgo.Client // writes inputs, reads facts
}

func newProduct(t *testing.T, change func(*topology.Config)) *product {
	t.Helper()
	servers, err := devserver.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	c := topology.DefaultConfig()
	c.Kafka.Brokers, c.Redis.Address, c.Kafka.Partitions, c.Monitor.Lanes = servers.Brokers(), servers.RedisAddress(), 2, 2
	c.Kafka.StartupWait = topology.Duration(5 * time.Second)
	if change != nil {
		change(&c)
	}
	p := &product{t: t, env: &pipeline.Env{Config: c, Log: slog.New(slog.DiscardHandler)}, topo: topology.Monitoring(&c)}
	p.cl, err = kgo.NewClient(kgo.SeedBrokers(c.Kafka.Brokers...), kgo.ConsumeTopics(schemas.Facts.Name), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(20*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.cl.Close)
	return p
}

// run runs the product while work works.
func (p *product) run(work func(ctx context.Context)) error {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() { ended <- pipeline.Run(running, p.topo, p.env) }()
	if work != nil {
		work(ctx)
		stop()
	}
	err := <-ended
	stop()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// pay sends one flat payment.
func (p *product) pay(ctx context.Context, id, customer string, at time.Time, amount string) {
	p.t.Helper()
	value := `{"id":"` + id + `","customer":"` + customer + `","time":"` + at.UTC().Format(time.RFC3339) + `","amount":"` + amount + `","direction":"OUT"}`
	if err := p.cl.ProduceSync(ctx, &kgo.Record{Topic: schemas.Transactions, Key: []byte(customer), Value: []byte(value)}).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *product) admin() *kadm.Client { return kadm.NewClient(p.cl) }

// facts reads the next n facts that are neither control records nor redeliveries, which a stop of intake may cause, and all control
// records before them.
func (p *product) facts(ctx context.Context, n int) (events, controls []schemas.Fact) {
	p.t.Helper()
	for len(events) < n {
		fetches := p.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			p.t.Fatalf("%d of %d facts came", len(events), n)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var f schemas.Fact
			if err := schemas.Facts.Codec.Decode(r.Value, &f); err != nil {
				p.t.Fatal(err)
			}
			switch {
			case f.Event.Kind == schemas.KindControl:
				controls = append(controls, f)
			case f.Reason != operators.ReasonRedelivery:
				events = append(events, f)
			}
		})
	}
	return events, controls
}

func folder(files ...string) []schemas.SnapshotFile {
	var out []schemas.SnapshotFile
	for i, text := range files {
		out = append(out, schemas.SnapshotFile{Name: "f" + strconv.Itoa(i) + ".yaml", Content: text})
	}
	return out
}

func feature(f *schemas.Fact, name string) string {
	for _, x := range f.Features {
		if x.Name == name {
			return schemas.Int128FromBytes(x.Value).Decimal()
		}
	}
	return "ND"
}

func TestApply_ANewConfigurationBeginsAtAPlaceOfTheLog(t *testing.T) {
	p := newProduct(t, nil)
	now := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	apply := func(text string) pipeline.Applied {
		a, err := pipeline.Apply(t.Context(), p.env, folder(text), false)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := apply("features: [{name: n, expr: \"count('2h')\"}]"); !a.Changed || a.Version != 1 {
		t.Fatalf("first apply: %+v", a)
	}
	err := p.run(func(ctx context.Context) {
		p.pay(ctx, "a", "c", now, "1")
		p.pay(ctx, "b", "c", now.Add(time.Hour), "2")
		before, _ := p.facts(ctx, 2)
		if got := feature(&before[1], "n"); got != "2" || before[1].Config != 1 {
			t.Errorf("under the first configuration: n %s, config %d", got, before[1].Config)
		}
		// A window within what was retained is exact over the full history at once; a longer one is not known to be complete.
		if a := apply("features: [{name: sum, expr: \"sum('3h', amount)\"}, {name: long, expr: \"count('30d')\"}]"); a.Version != 2 {
			t.Fatalf("second apply: %+v", a)
		}
		p.pay(ctx, "c", "c", now.Add(90*time.Minute), "4")
		p.pay(ctx, "d", "fresh", now, "8")
		after, controls := p.facts(ctx, 2)
		switches := 0
		for i := range controls {
			if controls[i].Config == 2 {
				switches++
			}
		}
		if switches != 2 {
			t.Errorf("%d control records of the switch, want one per partition", switches)
		}
		for i := range after {
			f := &after[i]
			switch f.Event.ID {
			case "c":
				if f.Config != 2 || feature(f, "sum") != "7" || feature(f, "long") != "ND" {
					t.Errorf("known customer under the second configuration: config %d, sum %s, long %s", f.Config, feature(f, "sum"), feature(f, "long"))
				}
			case "d":
				if feature(f, "sum") != "8" || feature(f, "long") != "1" {
					t.Errorf("customer of the second configuration alone: sum %s, long %s", feature(f, "sum"), feature(f, "long"))
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	// A restarted process goes on under the second configuration, from the store.
	err = p.run(func(ctx context.Context) {
		p.pay(ctx, "e", "c", now.Add(100*time.Minute), "16")
		f, _ := p.facts(ctx, 1)
		if f[0].Config != 2 || feature(&f[0], "sum") != "23" || feature(&f[0], "long") != "ND" {
			t.Errorf("after a restart: config %d, sum %s, long %s", f[0].Config, feature(&f[0], "sum"), feature(&f[0], "long"))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestApply_ABrokenFolderIsRefusedWithEveryMistakeAndChangesNothing(t *testing.T) {
	p := newProduct(t, nil)
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	good := folder("features: [{name: n, expr: \"count('1h')\"}]")
	if _, err := pipeline.Apply(t.Context(), p.env, good, false); err != nil {
		t.Fatal(err)
	}
	_, err := pipeline.Apply(t.Context(), p.env, folder("features: [{name: n, expr: \"cuont('1h')\"}]", "id: R\nwhen: amout > 1\nlevel: HUGE"), false)
	if err == nil {
		t.Fatal("a broken folder was published")
	}
	for _, part := range []string{"cuont", "amout", "HUGE"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the refusal does not speak of %q:\n%v", part, err)
		}
	}
	if a, err := pipeline.Apply(t.Context(), p.env, good, false); err != nil || a.Changed || a.Version != 1 {
		t.Errorf("the same folder again: %+v, %v", a, err)
	}
}

func TestRun_AFolderThatDiffersIsLeftAlone(t *testing.T) {
	p := newProduct(t, nil)
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	if _, err := pipeline.Apply(t.Context(), p.env, folder("features: [{name: mine, expr: \"count('1h')\"}]"), false); err != nil {
		t.Fatal(err)
	}
	err := p.run(func(ctx context.Context) { // the environment's folder is the library
		p.pay(ctx, "a", "c", time.Now().Add(-time.Hour), "1")
		f, _ := p.facts(ctx, 1)
		if f[0].Config != 1 || feature(&f[0], "mine") != "1" {
			t.Errorf("config %d, mine %s", f[0].Config, feature(&f[0], "mine"))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRun_DataBeforeTheFirstControlRecordHaltsWithThatMessage(t *testing.T) {
	p := newProduct(t, func(c *topology.Config) { c.Kafka.Partitions, c.Monitor.Lanes = 1, 1 })
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	e := schemas.Event{Kind: schemas.KindPayment, Team: "t", Customer: "c", ID: "1", Time: time.Now().UnixMilli()}
	value, err := schemas.Events.Codec.Append(nil, &e)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cl.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.Events.Name, Value: value}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	err = p.run(nil)
	var halt *pipeline.HaltError
	if !errors.As(err, &halt) || !strings.Contains(err.Error(), "control record") || !strings.Contains(err.Error(), "offset 0") {
		t.Errorf("run ended with %v", err)
	}
}

func TestRun_EveryTopicThatDoesNotFitIsNamedAtOnce(t *testing.T) {
	p := newProduct(t, nil)
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	c := p.env.Config
	c.Kafka.Partitions = 3
	err := pipeline.Prepare(t.Context(), topology.Monitoring(&c), p.env)
	if err == nil {
		t.Fatal("topics of 2 partitions passed for 3")
	}
	for _, topic := range []string{schemas.Payments, schemas.Transactions, schemas.Events.Name, schemas.Facts.Name, schemas.OperationRealtime, schemas.RejectedRecords.Name} {
		if !strings.Contains(err.Error(), "topic "+topic+": 2 partitions, want 3") {
			t.Errorf("topic %s is not named in:\n%v", topic, err)
		}
	}
}

func TestRun_ARecreatedTopicHalts(t *testing.T) {
	p := newProduct(t, func(c *topology.Config) { c.Monitor.FlushEvery = topology.Duration(10 * time.Millisecond) })
	if err := p.run(func(ctx context.Context) {
		p.pay(ctx, "a", "c", time.Now().Add(-time.Hour), "1")
		p.facts(ctx, 1)
	}); err != nil {
		t.Fatal(err)
	}
	admin := p.admin()
	if _, err := admin.DeleteTopics(t.Context(), schemas.Events.Name); err != nil {
		t.Fatal(err)
	}
	err := p.run(nil)
	if err == nil || !strings.Contains(err.Error(), "recreated") {
		t.Errorf("run ended with %v", err)
	}
}

func TestRules_TheBuiltInLibraryCompiles(t *testing.T) {
	files, err := pipeline.Rules("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rule.Compile(&schemas.Snapshot{Version: 1, Files: files}); err != nil {
		t.Fatal(err)
	}
}

// One poll may bring records of two configurations: what a fact says must not depend on where a batch ends.
func TestFact_NamesTheConfigurationAtItsOwnPlaceOfTheLog(t *testing.T) {
	p := newProduct(t, func(c *topology.Config) { c.Kafka.Partitions, c.Monitor.Lanes = 1, 1 })
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	const features = "features: [{name: n, expr: \"count('1h')\"}]\n"
	apply := func(policy string) {
		if _, err := pipeline.Apply(t.Context(), p.env, folder(features+policy), false); err != nil {
			t.Fatal(err)
		}
	}
	put := func(id string, at time.Time) {
		e := schemas.Event{Kind: schemas.KindPayment, Team: "default", Customer: "c", ID: id, Time: at.UnixMilli(), Origin: schemas.Origin{Topic: id, Offset: at.UnixNano()}}
		value, err := schemas.Events.Codec.Append(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.cl.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.Events.Name, Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().Add(-time.Hour)
	apply("policy: {cloudevents: {mode: structured}}")
	put("a", now)
	put("future", now.Add(48*time.Hour))
	apply("policy: {cloudevents: {mode: binary}}")
	put("b", now.Add(time.Minute))

	want := map[string]int32{"a": 1, "future": 1, "b": 2}
	err := p.run(func(ctx context.Context) {
		facts, controls := p.facts(ctx, len(want))
		for i := range facts {
			if f := &facts[i]; f.Config != want[f.Event.ID] {
				t.Errorf("event %s: fact names configuration %d, want %d", f.Event.ID, f.Config, want[f.Event.ID])
			}
		}
		if len(controls) != 2 || controls[0].Config != 1 || controls[1].Config != 2 {
			t.Errorf("control records: %+v", controls)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	results, err := kgo.NewClient(kgo.SeedBrokers(p.env.Config.Kafka.Brokers...), kgo.ConsumeTopics(schemas.OperationRealtime), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer results.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var contentTypes []string
	for len(contentTypes) < 2 && ctx.Err() == nil {
		results.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			for _, h := range r.Headers {
				if h.Key == "content-type" {
					contentTypes = append(contentTypes, string(h.Value))
				}
			}
		})
	}
	if len(contentTypes) != 2 || contentTypes[0] != schemas.StructuredContentType || contentTypes[1] != "application/json" {
		t.Errorf("content types %q, want one structured, then one binary", contentTypes)
	}
}
