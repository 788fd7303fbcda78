package faults

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/topology"
)

// The figures of I25 on real servers: how long the slowest partition commits nothing when one thing fails and all else is well.

const (
	recoveryPatience = 6 * time.Minute
	settled          = 3 * time.Second // all partitions move for so long before something is done
	moving           = time.Second     // a partition that committed within it moves
	hopeless         = 45 * time.Second
)

// recovery is one kind of failure, and how soon everything must move again.
type recovery struct {
	name string
	goal time.Duration // of the design; 0: none is set
	do   func(c *cluster)
	undo func(c *cluster) // when all moves again
	took []time.Duration
}

// recoveries: the goals are those of the design. A static member that comes back gets its partitions as soon as it has joined, so the
// start of a process is all of the first; one that does not come back is waited for, its session long.
func recoveries() []*recovery {
	return []*recovery{
		{name: "nothing at all", do: func(*cluster) {}},
		{name: "kill -9, started again at once", goal: monitorSession + time.Second, do: func(c *cluster) {
			c.worker(0).kill()
			c.launch(0)
		}},
		{name: "kill -9, not started again", goal: monitorSession + time.Second,
			do:   func(c *cluster) { c.worker(1).kill() },
			undo: func(c *cluster) { c.launch(1) }},
		{name: "stopped in order and started again", goal: 300 * time.Millisecond, do: func(c *cluster) {
			c.worker(2).stop()
			c.launch(2)
		}},
		{name: "one replica more", goal: 300 * time.Millisecond,
			do:   func(c *cluster) { c.launchMore() },
			undo: func(c *cluster) { c.worker(len(c.workers) - 1).stop() }},
		{name: "frozen and thawed after 3 s", do: func(c *cluster) {
			c.worker(1).signal(syscall.SIGSTOP)
			sleep(c.ctx, 3*time.Second)
			c.worker(1).signal(syscall.SIGCONT)
		}},
		{name: "broker killed", do: func(c *cluster) { c.node("kill", nodes[0]) }, undo: func(c *cluster) {
			c.node("start", nodes[0])
			c.awaitInSync()
		}},
		{name: "broker stopped in order", do: func(c *cluster) { c.node("stop", nodes[1]) }, undo: func(c *cluster) {
			c.node("start", nodes[1])
			c.awaitInSync()
		}},
		{name: "every connection to the brokers cut", do: func(c *cluster) { c.cutBrokers(c.ctx, nil) }},
		{name: "Redis emptied", do: func(c *cluster) { c.flushRedis(c.ctx, nil) }},
		{name: "Redis killed and started again", do: func(c *cluster) {
			c.node("kill", chaosRedis)
			c.node("start", chaosRedis)
		}},
	}
}

func TestThree_EveryPartitionCommitsAgainSoonAfterOneFailure(t *testing.T) {
	c := installThree(t, time.Duration(rounds(t))*recoveryPatience, false)
	c.launchAll()
	c.awaitMore(topology.StageMonitor, 0)
	ctx, enough := context.WithCancel(c.ctx)
	defer enough()
	w := c.watch(ctx)
	feed := c.newFeed(1)
	fed := make(chan struct{})
	go func() { defer close(fed); feed.run(ctx) }()
	all := recoveries()
	for range rounds(t) {
		for _, r := range all {
			c.settle(w)
			c.note("test", "%s", r.name)
			w.reset()
			r.do(c)
			took := c.moveAgain(w)
			r.took = append(r.took, took)
			c.note("test", "%s: %s", r.name, took)
			if r.undo != nil {
				r.undo(c)
			}
		}
	}
	enough()
	<-fed
	w.wait()
	drain(c.ctx, t, c.topo, c.reach()...)
	c.stopAll()
	c.verify(feed)
	w.report()
	t.Logf("the slowest partition committed nothing for:\n%s", table(all))
}

// rounds is how often each kind is done, the worst one counts: ROUNDS, or once.
func rounds(t *testing.T) int {
	t.Helper()
	s := os.Getenv("ROUNDS")
	if s == "" {
		return 1
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("ROUNDS: %q is not a number from 1", s)
	}
	return n
}

// settle waits until every partition has moved all the time for a while.
func (c *cluster) settle(w *watch) {
	c.t.Helper()
	ctx, cancel := context.WithTimeoutCause(c.ctx, hopeless, fmt.Errorf("not all partitions move for %s within %s", settled, hopeless))
	defer cancel()
	began := time.Now()
	w.reset()
	await(ctx, c.t, "settle", func() string {
		if s := w.standstill(); s > moving {
			w.reset()
			began = time.Now()
			return fmt.Sprintf("a partition stood still for %s", s)
		}
		if d := time.Since(began); d < settled {
			return fmt.Sprintf("all move for %s", d)
		}
		return ""
	})
}

// moveAgain waits until every partition has moved since the last reset and goes on moving, and returns how long the slowest did not.
func (c *cluster) moveAgain(w *watch) time.Duration {
	c.t.Helper()
	ctx, cancel := context.WithTimeoutCause(c.ctx, hopeless, fmt.Errorf("not all partitions move again within %s", hopeless))
	defer cancel()
	sleep(ctx, settled)
	await(ctx, c.t, "recovery", func() string {
		if s := w.current(); s > moving {
			return fmt.Sprintf("a partition has not moved for %s", s)
		}
		return ""
	})
	return w.standstill()
}

// table has a line for each kind of failure; a goal that was missed is said so.
func table(all []*recovery) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%-38s %8s %8s\n", "", "worst ms", "goal ms")
	for _, r := range all {
		worst, goal, verdict := time.Duration(0), "", ""
		for _, d := range r.took {
			worst = max(worst, d)
		}
		if r.goal > 0 {
			goal = fmt.Sprint(r.goal.Milliseconds())
			if verdict = "met"; worst > r.goal {
				verdict = "NOT MET"
			}
		}
		fmt.Fprintf(&s, "%-38s %8d %8s %s\n", r.name, worst.Milliseconds(), goal, verdict)
	}
	return s.String()
}
