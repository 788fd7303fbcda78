package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/schemas"
)

const (
	chaosRate    = 500 // records/s: 3 brokers, 3 replicas, a proxy and an oracle share the machine, and restarts must catch up
	chaosTick    = 20 * time.Millisecond
	burstTimes   = 10
	extremeEvery = 100 // records: one of extreme amount
	extremeNames = 5   // customers who have nothing else
	changeOneOf  = 15  // events: one has its state changed
	team         = "default"
)

// extremes are amounts at the ends of what a record may say and beyond them.
var extremes = []string{
	"999999999999.999999", "-999999999999.999999", "0", "-0", "0.000001", "-0.000001", "0.0000005", "0.0000015", "1e12", "1000000000000",
	"-1000000000000.000001", "9.999999999999999e11", "1e-7", "12345.678901234567890123456789",
}

// feed sends the workload of the engine's fault plan (engine.md 4.12): customers by rank, one with a fifth of all events, repeats,
// conflicts, late, equal and future times, broken bytes, extreme amounts, bursts.
type feed struct {
	in    *cluster
	gen   *generator.Generator
	rnd   *rand.Rand
	burst atomic.Bool
	sent  atomic.Int64

	mu        sync.Mutex
	customers map[string]string // customer → its topic
	changes   int64             // stateChanges sent, straight into topic events: no source sends them yet
}

func (c *cluster) newFeed(seed uint64) *feed {
	c.t.Helper()
	return &feed{in: c, gen: chaosStream(c.t, seed), rnd: rand.New(rand.NewPCG(seed, 99)), customers: map[string]string{}}
}

// chaosStream is endless. The longest window holds 2,000 events of the hot customer, so that the oracle, which looks at all of them for
// every one, has done a quarter of an hour's in minutes.
func chaosStream(t *testing.T, seed uint64) *generator.Generator {
	t.Helper()
	const period = 30 * 24 * time.Hour // of event time for 10,000 records, as long as the longest window
	g := generator.Default(time.Now().Add(-90 * period).UnixMilli())
	g.Seed, g.Events, g.PerPeriod, g.Customers, g.Period, g.Now = seed, 0, 10_000, 500, period, time.Now().UnixMilli()
	g.Disorder, g.Hot, g.Planted, g.Near = generator.Faults(), 20, 2, 2
	gen, err := generator.New(g)
	if err != nil {
		t.Fatal(err)
	}
	return gen
}

// run sends until ctx ends and everything sent is acknowledged. It goes by the clock, not by the answers: a broker that is away for
// seconds makes a backlog.
func (f *feed) run(ctx context.Context) {
	tick := time.NewTicker(chaosTick)
	defer tick.Stop()
	began, due := time.Now(), 0.0
	last := began
	for ctx.Err() == nil {
		<-tick.C
		rate := float64(chaosRate)
		if f.burst.Load() {
			rate *= burstTimes
		}
		now := time.Now()
		due += rate * now.Sub(last).Seconds()
		for last = now; due >= 1; due-- {
			f.send(f.next())
		}
	}
	if err := f.in.cl.Flush(f.in.ctx); err != nil {
		f.in.broken(fmt.Errorf("feed: %w", err))
	}
}

func (f *feed) next() *kgo.Record {
	n := f.sent.Load()
	if n%extremeEvery == extremeEvery-1 {
		return f.extreme(n)
	}
	e, _ := f.gen.Next()
	f.mu.Lock()
	f.customers[e.Customer] = e.Topic
	f.mu.Unlock()
	return &kgo.Record{Topic: e.Topic, Key: []byte(e.Key), Value: e.Value}
}

// extreme is an event of extreme amount; half of them share their time with another.
func (f *feed) extreme(n int64) *kgo.Record {
	customer, id, out := "extreme-"+strconv.Itoa(f.rnd.IntN(extremeNames)), "x"+strconv.FormatInt(n, 10), f.rnd.IntN(2) == 0
	at := time.Now().Add(-time.Hour).Truncate(2 * time.Second)
	if f.rnd.IntN(3) == 0 { // its state overtakes it: intake has not seen it yet
		e := schemas.Event{Team: team, Customer: customer, ID: id, Side: schemas.SideIn, Time: at.UnixMilli()}
		if out {
			e.Side = schemas.SideOut
		}
		f.change(&e, f.rnd)
	}
	return flatRecord(customer, id, at, extremes[f.rnd.IntN(len(extremes))], out)
}

func flatRecord(customer, id string, at time.Time, amount string, out bool) *kgo.Record {
	direction := "IN"
	if out {
		direction = "OUT"
	}
	value := fmt.Sprintf(`{"id":%q,"time":%q,"customer":%q,"amount":%s,"direction":%q}`, id, at.UTC().Format(time.RFC3339Nano), customer, amount, direction)
	return &kgo.Record{Topic: schemas.Transactions, Key: []byte(customer), Value: []byte(value)}
}

func (f *feed) send(r *kgo.Record) {
	f.sent.Add(1)
	f.produce(r)
}

func (f *feed) produce(r *kgo.Record) {
	f.in.cl.Produce(f.in.ctx, r, func(_ *kgo.Record, err error) {
		if err != nil {
			f.in.broken(fmt.Errorf("feed: %w", err))
		}
	})
}

// states that a stateChange gives: counted, uncounted, and one that no policy knows.
var states = []string{"EXECUTED", "PROCESSING", "DECLINED", "REVERSED", "REFUNDED", "SUSPENDED", "NONSENSE"}

// changeStates changes the states of events as they come out of intake, some of them several times, until ctx ends.
func (f *feed) changeStates(ctx context.Context, rnd *rand.Rand) {
	cl := connect(f.in.t, append(f.in.reach(), kgo.ConsumeTopics(schemas.Events.Name), kgo.MetadataMinAge(20*time.Millisecond))...)
	defer cl.Close()
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			var e schemas.Event
			if schemas.Events.Codec.Decode(r.Value, &e) != nil || e.Kind != schemas.KindPayment && e.Kind != schemas.KindTransaction {
				return
			}
			for rnd.IntN(changeOneOf) == 0 {
				f.change(&e, rnd)
			}
		})
	}
}

// change writes a stateChange of an event: newer than the event; older too where that has a state of its own, as old where it has none.
func (f *feed) change(of *schemas.Event, rnd *rand.Rand) {
	f.mu.Lock()
	f.changes++
	n := f.changes
	f.mu.Unlock()
	later := rnd.IntN(4)
	if of.Has(schemas.FieldState) {
		later = []int{-2, -1, 1, 2}[later]
	}
	e := schemas.Event{Kind: schemas.KindStateChange, Organisation: f.in.config.Organisation, Team: of.Team, Source: "states", Customer: of.Customer, ID: of.ID, Side: of.Side,
		Time: of.Time + int64(later)*1000, State: states[rnd.IntN(len(states))], Present: 1 << schemas.FieldState, Origin: schemas.Origin{Topic: "states", Offset: n}}
	value, err := schemas.Events.Codec.Append(nil, &e)
	if err != nil {
		f.in.broken(err)
		return
	}
	f.produce(&kgo.Record{Topic: schemas.Events.Name, Key: schemas.CustomerKey(nil, e.Team, e.Customer), Value: value})
}

// oneEach sends one event of every customer that was ever sent, at the time of the newest ones.
func (f *feed) oneEach(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	newest, _ := f.gen.Next()
	at := time.UnixMilli(newest.Arrival)
	for customer := range f.customers {
		f.send(flatRecord(customer, "last-"+customer, at, "1.5", true))
	}
	for i := range extremeNames {
		customer := "extreme-" + strconv.Itoa(i)
		f.send(flatRecord(customer, "last-"+customer, time.Now().Add(-time.Hour), "1.5", true))
	}
	return f.in.cl.Flush(ctx)
}
