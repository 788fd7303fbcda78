package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/pipeline/devserver"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// The tests named TestServers_ start the command on a real Kafka and a real Redis, as `make test-servers` provides them. They end with
// what compare_test.go holds against the oracle.

const (
	kills       = 10
	feedAtLeast = 60_000
	feedRate    = 1500 // records/s: a fraction of what two busy cores judge, so that a restart catches up
	feedTick    = 20 * time.Millisecond
	backlog     = 200              // events; a third of what one round of feeding, intake and monitor has under way
	firstCommit = 30 * time.Second // after a kill: the groups wait 6 and 10 s for the dead, the rest is room for a busy machine
)

func TestServers_KilledTenTimesUnderLoadEveryInputHasOneVerdict(t *testing.T) {
	url := engine(t)
	in := install(t, 8*time.Minute, func(c *topology.Config) { c.ClickHouse.URL = url })
	house := in.warehouse()
	in.abandonApply()
	feeding, enough := context.WithCancel(in.ctx)
	defer enough()
	fed := make(chan int, 1)
	in.start()
	go func() { fed <- in.feed(feeding, stream(t, 3, 0)) }()
	in.awaitCommit(topology.StageMonitor, 0)
	in.killRepeatedly(house, rand.New(rand.NewPCG(3, 1)))
	enough()
	sent := <-fed
	drain(in.ctx, t, in.topo, in.reach()...)
	house.holdsEveryFact()
	in.running.stop()
	in.levelWithWindows()
	report := compare(in.ctx, t, in.reach()...)
	house.holdsEveryFact()
	t.Logf("%d records sent, %d kills: %s", sent, kills, report.String())
}

// killRepeatedly kills the process and starts it again. Every other one dies while monitor works through a backlog, the rest within a
// block's time after archive has stored one; some are not waited for and die while they start, join or rebuild.
func (in *installation) killRepeatedly(house *warehouse, rnd *rand.Rand) {
	in.t.Helper()
	longest := map[string]time.Duration{}
	for n := range kills {
		if n%2 == 0 {
			in.awaitBacklog()
			in.pause(time.Duration(rnd.Int64N(int64(200 * time.Millisecond))))
		} else {
			house.awaitBlock()
			in.pause(time.Duration(rnd.Int64N(int64(time.Second))))
		}
		in.t.Logf("kill %d, %s after the start: %d input records and %d events wait", n+1, time.Since(in.running.began).Round(time.Millisecond), in.lag(topology.StageIntake), in.lag(topology.StageMonitor))
		in.running.kill()
		house.onceEach()
		before := map[string]int64{topology.StageMonitor: in.committed(topology.StageMonitor), topology.StageIntake: in.committed(topology.StageIntake)}
		in.start()
		if n%4 == 2 {
			continue
		}
		for _, stage := range []string{topology.StageMonitor, topology.StageIntake} {
			took := in.awaitCommit(stage, before[stage])
			longest[stage] = max(longest[stage], took)
			in.t.Logf("first new commit of %s %s after the start", stage, took)
		}
	}
	in.t.Logf("restart to first new commit, at the most: %v", longest)
}

// awaitBacklog waits until intake has put more into topic events than monitor has judged: after a restart intake waits for the dead
// process's membership to end, and then has seconds of input to catch up on.
func (in *installation) awaitBacklog() {
	in.t.Helper()
	ctx, cancel := context.WithTimeoutCause(in.ctx, firstCommit, fmt.Errorf("no backlog within %s", firstCommit))
	defer cancel()
	await(ctx, in.t, "stage monitor", func() string {
		if lag := in.lag(topology.StageMonitor); lag < backlog {
			return fmt.Sprintf("%d events wait, not %d", lag, backlog)
		}
		return ""
	})
}

// awaitCommit waits until the stage has committed more than before and returns how long after its process's start that was.
func (in *installation) awaitCommit(stage string, before int64) time.Duration {
	in.t.Helper()
	in.awaitMore(stage, before)
	return time.Since(in.running.began).Round(time.Millisecond)
}

func (in *installation) awaitMore(stage string, before int64) {
	in.t.Helper()
	ctx, cancel := context.WithTimeoutCause(in.ctx, firstCommit, fmt.Errorf("no new commit within %s", firstCommit))
	defer cancel()
	await(ctx, in.t, "stage "+stage, func() string {
		if now := in.committed(stage); now <= before {
			return fmt.Sprintf("%d offsets committed, %d before", now, before)
		}
		return ""
	})
}

// abandonApply leaves in the log what a process leaves that is killed in its very first apply: an open transaction, whose control
// records the next one aborts.
func (in *installation) abandonApply() {
	in.t.Helper()
	in.prepare()
	cl := connect(in.t, append(in.reach(), kgo.TransactionalID("streamgauge-apply"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		in.t.Fatal(err)
	}
	value, err := schemas.Events.Codec.Append(nil, &schemas.Event{Kind: schemas.KindControl, Organisation: in.config.Organisation, Control: schemas.Control{Version: 1}})
	if err != nil {
		in.t.Fatal(err)
	}
	for p := range in.config.Kafka.Partitions {
		if err := cl.ProduceSync(in.ctx, &kgo.Record{Topic: schemas.Events.Name, Partition: p, Value: value}).FirstErr(); err != nil {
			in.t.Fatal(err)
		}
	}
}

// stream is the engine's fault workload: late, equal, duplicate, conflicting, future and broken records of 1,000 customers.
func stream(t *testing.T, seed uint64, events int64) *generator.Generator {
	t.Helper()
	const period = 30 * 24 * time.Hour // of event time, for 100,000 records; a run does not reach the present
	c := generator.Default(time.Now().Add(-3 * period).UnixMilli())
	c.Seed, c.Events, c.PerPeriod, c.Customers, c.Period, c.Now = seed, events, 100_000, 1000, period, time.Now().UnixMilli()
	c.Disorder, c.Hot = generator.Faults(), 3
	gen, err := generator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return gen
}

// feed sends records at feedRate until ctx ends, feedAtLeast of them in any case, and returns how many the broker has.
func (in *installation) feed(ctx context.Context, gen *generator.Generator) (sent int) {
	tick := time.NewTicker(feedTick)
	defer tick.Stop()
	for ctx.Err() == nil || sent < feedAtLeast {
		<-tick.C
		var records []*kgo.Record
		for range int(feedRate * feedTick / time.Second) {
			e, ok := gen.Next()
			if !ok {
				return sent
			}
			records = append(records, &kgo.Record{Topic: e.Topic, Key: []byte(e.Key), Value: e.Value})
		}
		if err := in.cl.ProduceSync(in.ctx, records...).FirstErr(); err != nil {
			in.broken(fmt.Errorf("feed: %w", err))
			return sent
		}
		sent += len(records)
	}
	return sent
}

func TestServers_EventsGoEndToEnd(t *testing.T) {
	in := install(t, 3*time.Minute, nil)
	gen := stream(t, 5, 8000)
	var records []*kgo.Record
	for e, ok := gen.Next(); ok; e, ok = gen.Next() {
		records = append(records, &kgo.Record{Topic: e.Topic, Key: []byte(e.Key), Value: e.Value})
	}
	half := len(records) / 2
	shuffleWithinCustomers(records[half:], rand.New(rand.NewPCG(5, 1)))
	for _, r := range records[len(records)-400:] { // every partition ends in duplicates, which change no window
		records = append(records, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value})
	}
	for i, part := range [][]*kgo.Record{records[:half], records[half:], nil} {
		before := len(in.said())
		in.start()
		if err := in.cl.ProduceSync(in.ctx, part...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if part == nil { // nothing new: wait until it has come to where it would judge something twice
			await(in.ctx, t, "third start", in.assigned)
		}
		drain(in.ctx, t, in.topo, in.reach()...)
		in.running.stop()
		in.levelWithWindows()
		report := compare(in.ctx, t, in.reach()...)
		t.Logf("start %d: %s", i+1, report.String())
		if said := in.said()[before:]; strings.Contains(said, "partition rebuilt") {
			t.Errorf("start %d after an orderly stop replays what was judged:\n%s", i+1, said)
		}
	}
}

// assigned says what of topic events no member of the monitor group has.
func (in *installation) assigned() string {
	group := in.topo.Stage(topology.StageMonitor).Group
	described, err := in.admin.DescribeGroups(in.ctx, group)
	if err != nil {
		return err.Error()
	}
	g := described[group]
	got := g.AssignedPartitions()[schemas.Events.Name]
	if g.State != "Stable" || len(got) < int(in.config.Kafka.Partitions) {
		return fmt.Sprintf("the group is %s and has partitions %v", g.State, got)
	}
	return ""
}

// shuffleWithinCustomers changes the order of each customer's records among the places that they have.
func shuffleWithinCustomers(records []*kgo.Record, rnd *rand.Rand) {
	places := map[string][]int{}
	var customers []string
	for i, r := range records {
		if places[string(r.Key)] == nil {
			customers = append(customers, string(r.Key))
		}
		places[string(r.Key)] = append(places[string(r.Key)], i)
	}
	old := slices.Clone(records)
	for _, c := range customers {
		for i, j := range rnd.Perm(len(places[c])) {
			records[places[c][i]] = old[places[c][j]]
		}
	}
}

// engine starts an embedded ClickHouse and returns its URL, or nothing where there is none: the archive stays off then.
func engine(t *testing.T) string {
	t.Helper()
	house, err := devserver.StartClickHouse(t.Context(), t.TempDir())
	if errors.Is(err, devserver.ErrNoEngine) {
		t.Logf("the archive is left out of this test: %v", err)
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopsWithin)
		defer cancel()
		if err := house.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return house.URL
}
