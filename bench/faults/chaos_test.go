package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/topology"
)

const (
	chaosSlice    = 2 * time.Minute // of faults, where CHAOS_TIME does not say
	chaosWhole    = 6 * time.Minute // in so long everything must have happened, however busy the machine is
	chaosPatience = 8 * time.Minute // besides: start, catching up, a second reading of everything, comparison
)

// chaosPlan is how long and by which seed; environment CHAOS_TIME and SEED.
func chaosPlan(t *testing.T) (length time.Duration, seed uint64) {
	t.Helper()
	length, seed = chaosSlice, uint64(time.Now().UnixNano())%1_000_000
	if s := os.Getenv("CHAOS_TIME"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < time.Second {
			t.Fatalf("CHAOS_TIME: %q is not a duration of 1s or more, such as 15m", s)
		}
		length = d
	}
	if s := os.Getenv("SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("SEED: %q is not a number from 0", s)
		}
		seed = n
	}
	return length, seed
}

// Everything that dies, sleeps, loses or is cut, at once, while records are sent; afterwards every one of them has its one verdict, and
// it is the oracle's. The seed decides what is done in which order and for how long; when it hits what, the machine does.
func TestThree_ChaosLeavesEveryInputWithItsOneVerdict(t *testing.T) { chaos(t, false) }

func TestThree_ChaosOnARedisClusterLeavesEveryInputWithItsOneVerdict(t *testing.T) { chaos(t, true) }

func chaos(t *testing.T, redisCluster bool) {
	length, seed := chaosPlan(t)
	c := installThree(t, length+chaosPatience, redisCluster)
	t.Logf("seed %d, %s of faults (SEED=%d CHAOS_TIME=%s); schedule and logs in %s", seed, length, seed, length, t.ArtifactDir())
	c.note("test", "seed %d, %s", seed, length)
	c.launchAll()
	c.awaitMore(topology.StageMonitor, 0)
	watching, unwatched := context.WithCancel(c.ctx)
	defer unwatched()
	watch := c.watch(watching)
	feed := c.newFeed(seed)
	feeding, enough := context.WithCancel(c.ctx)
	defer enough()
	var fed sync.WaitGroup
	fed.Go(func() { feed.changeStates(feeding, rand.New(rand.NewPCG(seed, 98))) })
	fed.Go(func() { feed.run(feeding) })

	disturbing, still := context.WithTimeout(c.ctx, length)
	defer still()
	done := c.disturb(disturbing, seed, feed)
	enough()
	fed.Wait()
	if err := c.cl.Flush(c.ctx); err != nil {
		t.Error(err)
	}
	c.intact()
	c.note("test", "quiet: %d records sent", feed.sent.Load())
	c.awaitInSync()
	c.awaitRing()
	c.intact()
	drain(c.ctx, t, c.topo, c.reach()...)
	c.readBack(feed)
	unwatched()
	watch.wait()
	c.stopAll()
	c.verify(feed)
	watch.report()
	t.Logf("%d processes gave up and were started again by their supervisor", c.repeated.Load())
	for _, f := range done {
		t.Logf("%-8s %-60s %d times", f.track, f.name, f.times.Load())
		if f.times.Load() == 0 && length >= chaosWhole {
			t.Errorf("%s: %s did not happen in %s", f.track, f.name, length)
		}
	}
}

// fault is something to do to the installation and to undo again. It draws all its numbers from rnd first and undoes what it did even
// if ctx ends.
type fault struct {
	track    string
	name     string
	rebuilds bool // the window store has forgotten something afterwards, or is in two places: it is not enough to go on
	do       func(ctx context.Context, rnd *rand.Rand)
	times    atomic.Int64
}

// track is a sequence of faults that exclude each other; tracks run beside each other.
type track struct {
	name   string
	least  time.Duration // of quiet between two faults
	most   time.Duration
	faults []*fault
}

// disturb runs all tracks until ctx ends and everything is undone, and returns their faults.
func (c *cluster) disturb(ctx context.Context, seed uint64, feed *feed) (all []*fault) {
	var done sync.WaitGroup
	for i, t := range c.tracks(feed) {
		for _, f := range t.faults {
			f.track = t.name
		}
		all = append(all, t.faults...)
		done.Go(func() { c.run(ctx, &t, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	done.Wait()
	return all
}

// run does every fault of a track once before it does one again, in an order of its own each time.
func (c *cluster) run(ctx context.Context, t *track, rnd *rand.Rand) {
	for {
		for _, i := range rnd.Perm(len(t.faults)) {
			if !sleep(ctx, between(rnd, t.least, t.most)) {
				return
			}
			f := t.faults[i]
			c.note(t.name, "%s", f.name)
			f.do(ctx, rnd)
			f.times.Add(1)
			c.note(t.name, "%s: undone", f.name)
		}
	}
}

// between is a duration from least to below most.
func between(rnd *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rnd.Int64N(int64(most-least)))
}

// readBack kills all replicas, so that the next ones find no customer in memory, and sends one more event of every customer: each is
// judged on what the window store holds, which nothing else here would look at.
func (c *cluster) readBack(feed *feed) {
	c.t.Helper()
	c.killAll()
	c.launchAll()
	if err := feed.oneEach(c.ctx); err != nil {
		c.t.Fatal(err)
	}
	drain(c.ctx, c.t, c.topo, c.reach()...)
	c.note("test", "every customer read back: %d records sent", feed.sent.Load())
}

func (f *fault) String() string { return fmt.Sprintf("%s: %s", f.track, f.name) }
