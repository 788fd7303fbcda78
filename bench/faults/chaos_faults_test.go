package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/streamgauge/streamgauge/operators/rule"
)

// What the tracks of the chaos test do. Within a track one thing happens at a time, so never two brokers are away together: with three
// replicas and two in sync that would stop everything, rightly.

const (
	monitorSession = 10 * time.Second // of a static member; pipeline's sessionTimeout
	rulesTimeout   = time.Minute      // of one `streamgauge apply`, which may meet a broker that is away
)

func (c *cluster) tracks(feed *feed) []track {
	redisFaults, networkFaults := c.redisFaults(), c.brokerNetworkFaults()
	if c.rings != nil {
		redisFaults = c.ringFaults()
	} else {
		networkFaults = append(networkFaults, c.redisNetworkFaults()...)
	}
	return []track{
		{"replicas", 2 * time.Second, 6 * time.Second, []*fault{
			{name: "killed, started again at once", do: c.killReplica(0, time.Millisecond)},
			{name: "killed, started again within its session", do: c.killReplica(time.Second, monitorSession-time.Second)},
			{name: "killed, its partitions taken over, started again", do: c.killReplica(monitorSession+time.Second, monitorSession+4*time.Second)},
			{name: "frozen within its session", do: c.freezeReplica(time.Second, monitorSession-time.Second)},
			{name: "frozen, its partitions taken over, thawed: a zombie", do: c.freezeReplica(monitorSession+time.Second, 30*time.Second)},
			{name: "frozen, replaced under its name, thawed: a zombie with a twin", do: c.replaceFrozenReplica},
			{name: "stopped in order, started again", do: c.restartReplica},
			{name: "all killed together", do: c.killAllReplicas},
		}},
		{"brokers", 3 * time.Second, 8 * time.Second, []*fault{
			{name: "killed, started again", do: c.killBroker},
			{name: "frozen shortly, thawed", do: c.freezeBroker(time.Second, 6*time.Second)},
			{name: "frozen until it has lost its leaderships, thawed", do: c.freezeBroker(10*time.Second, 15*time.Second)},
			{name: "all restarted in order, one after the other", do: c.rollBrokers},
		}},
		{"redis", 3 * time.Second, 8 * time.Second, redisFaults},
		{"network", 4 * time.Second, 10 * time.Second, networkFaults},
		{"load", 10 * time.Second, 20 * time.Second, []*fault{
			{name: "ten times the records", do: func(ctx context.Context, rnd *rand.Rand) {
				d := between(rnd, 500*time.Millisecond, 2*time.Second)
				feed.burst.Store(true)
				sleep(ctx, d)
				feed.burst.Store(false)
			}},
			{name: "another configuration applied", do: c.applyRules},
		}},
	}
}

func (c *cluster) redisFaults() []*fault {
	return []*fault{
		{name: "FLUSHALL", do: c.flushRedis},
		{name: "killed, started again", do: c.killRedis},
		{name: "frozen, thawed", do: c.freezeRedis},
	}
}

func (c *cluster) brokerNetworkFaults() []*fault {
	return []*fault{
		{name: "every connection to the brokers cut", do: c.cutBrokers},
		{name: "answers of a broker lost, then cut", do: c.loseBrokerAnswers},
		{name: "a broker out of reach", do: c.isolateBroker},
		{name: "brokers slow", do: c.slowBrokers},
	}
}

func (c *cluster) redisNetworkFaults() []*fault {
	return []*fault{
		{name: "every connection to Redis cut", do: c.cutRedis},
		{name: "answers of Redis lost, then cut", do: c.loseRedisAnswers},
		{name: "Redis out of reach", do: c.isolateRedis},
	}
}

// ---- replicas

func (c *cluster) killReplica(least, most time.Duration) func(context.Context, *rand.Rand) {
	return func(ctx context.Context, rnd *rand.Rand) {
		i, d := rnd.IntN(replicas), between(rnd, least, most)
		c.note("replicas", "kill %d for %s", i, d)
		c.worker(i).kill()
		sleep(ctx, d)
		c.launch(i)
	}
}

func (c *cluster) killAllReplicas(ctx context.Context, rnd *rand.Rand) {
	d := between(rnd, 0, 3*time.Second)
	c.note("replicas", "kill all for %s", d)
	var all sync.WaitGroup
	for i := range replicas {
		all.Go(c.worker(i).kill)
	}
	all.Wait()
	sleep(ctx, d)
	c.launchAll()
}

func (c *cluster) freezeReplica(least, most time.Duration) func(context.Context, *rand.Rand) {
	return func(ctx context.Context, rnd *rand.Rand) {
		i, d := rnd.IntN(replicas), between(rnd, least, most)
		c.note("replicas", "freeze %d for %s", i, d)
		c.worker(i).signal(syscall.SIGSTOP)
		sleep(ctx, d)
		c.worker(i).signal(syscall.SIGCONT)
	}
}

// replaceFrozenReplica is what a supervisor does that takes a sleeping process for dead. The first one may end itself when it wakes up:
// its name is another's.
func (c *cluster) replaceFrozenReplica(ctx context.Context, rnd *rand.Rand) {
	i, d, together := rnd.IntN(replicas), between(rnd, 3*time.Second, 15*time.Second), between(rnd, time.Second, 4*time.Second)
	c.note("replicas", "freeze %d, start another %d, thaw the first after %s, kill it %s later", i, i, d, together)
	first := c.worker(i)
	first.meant.Store(true)
	first.signal(syscall.SIGSTOP)
	c.launch(i)
	second := c.worker(i)
	second.meant.Store(true) // of two that fence each other either may be the one to end
	sleep(ctx, d)
	first.signal(syscall.SIGCONT)
	sleep(ctx, together)
	first.kill()
	second.kill()
	c.launch(i)
}

func (c *cluster) restartReplica(_ context.Context, rnd *rand.Rand) {
	i := rnd.IntN(replicas)
	p := c.worker(i)
	p.meant.Store(true)
	began := time.Now()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.gone:
	case <-time.After(stopsWithin): // everything else goes on meanwhile, the servers it needs for the last flush may be away
		c.note("replicas", "%d did not end within %s of SIGTERM and is killed", i, stopsWithin)
		p.kill()
	}
	c.note("replicas", "%d ended %s after SIGTERM", i, time.Since(began))
	c.launch(i)
}

// signal is for SIGSTOP and SIGCONT; a process that is gone gets none.
func (p *instance) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// ---- brokers

func (c *cluster) killBroker(ctx context.Context, rnd *rand.Rand) {
	name, d := nodes[rnd.IntN(len(nodes))], between(rnd, 500*time.Millisecond, 8*time.Second)
	c.note("brokers", "kill %s for %s", name, d)
	c.node("kill", name)
	sleep(ctx, d)
	c.node("start", name)
	c.awaitInSync()
}

func (c *cluster) freezeBroker(least, most time.Duration) func(context.Context, *rand.Rand) {
	return func(ctx context.Context, rnd *rand.Rand) {
		name, d := nodes[rnd.IntN(len(nodes))], between(rnd, least, most)
		c.note("brokers", "freeze %s for %s", name, d)
		c.node("freeze", name)
		sleep(ctx, d)
		c.node("thaw", name)
		c.awaitInSync()
	}
}

func (c *cluster) rollBrokers(ctx context.Context, rnd *rand.Rand) {
	for _, i := range rnd.Perm(len(nodes)) {
		if ctx.Err() != nil {
			return
		}
		c.note("brokers", "restart %s", nodes[i])
		c.node("stop", nodes[i])
		c.node("start", nodes[i])
		c.awaitInSync()
	}
}

// ---- Redis

func (c *cluster) flushRedis(ctx context.Context, _ *rand.Rand) {
	if err := c.redis.FlushAll(context.WithoutCancel(ctx)).Err(); err != nil {
		c.note("redis", "FLUSHALL: %v", err)
	}
}

func (c *cluster) killRedis(ctx context.Context, rnd *rand.Rand) {
	d := between(rnd, 0, 5*time.Second)
	c.note("redis", "kill for %s", d)
	c.node("kill", chaosRedis)
	sleep(ctx, d)
	c.node("start", chaosRedis)
	c.redisAnswers()
}

func (c *cluster) freezeRedis(ctx context.Context, rnd *rand.Rand) {
	d := between(rnd, time.Second, 13*time.Second) // the product waits 10 s for an answer
	c.note("redis", "freeze for %s", d)
	c.node("freeze", chaosRedis)
	sleep(ctx, d)
	c.node("thaw", chaosRedis)
}

// ---- the network between the replicas and the servers

func (c *cluster) cutBrokers(context.Context, *rand.Rand) {
	for _, p := range c.front {
		p.cut()
	}
}

func (c *cluster) loseBrokerAnswers(ctx context.Context, rnd *rand.Rand) {
	i, d := rnd.IntN(len(nodes)), between(rnd, 100*time.Millisecond, 12*time.Second)
	c.note("network", "lose answers of %s for %s", nodes[i], d)
	c.front[i].hold(answers)
	sleep(ctx, d)
	c.front[i].cut()
	c.front[i].release()
}

// isolateBroker is a partition that heals: what was under way arrives late.
func (c *cluster) isolateBroker(ctx context.Context, rnd *rand.Rand) {
	i, d := rnd.IntN(len(nodes)), between(rnd, time.Second, 20*time.Second)
	c.note("network", "%s out of reach for %s", nodes[i], d)
	c.front[i].hold(requests, answers)
	sleep(ctx, d)
	c.front[i].release()
}

func (c *cluster) slowBrokers(ctx context.Context, rnd *rand.Rand) {
	delay, d := between(rnd, 5*time.Millisecond, 200*time.Millisecond), between(rnd, 2*time.Second, 8*time.Second)
	c.note("network", "%s each way to the brokers for %s", delay, d)
	for _, p := range c.front {
		p.slow(delay)
	}
	sleep(ctx, d)
	for _, p := range c.front {
		p.release()
	}
}

func (c *cluster) cutRedis(context.Context, *rand.Rand) { c.store.cut() }

func (c *cluster) loseRedisAnswers(ctx context.Context, rnd *rand.Rand) {
	d := between(rnd, 100*time.Millisecond, 6*time.Second)
	c.note("network", "lose answers of Redis for %s", d)
	c.store.hold(answers)
	sleep(ctx, d)
	c.store.cut()
	c.store.release()
}

func (c *cluster) isolateRedis(ctx context.Context, rnd *rand.Rand) {
	d := between(rnd, time.Second, 15*time.Second)
	c.note("network", "Redis out of reach for %s", d)
	c.store.hold(requests, answers)
	sleep(ctx, d)
	c.store.release()
}

// ---- configuration

// applyRules publishes the library with one more comment: another version, and no other verdict. One that does not succeed because the
// brokers are away may have been published or not; the oracle reads in the log which.
func (c *cluster) applyRules(ctx context.Context, _ *rand.Rand) {
	dir := filepath.Join(c.t.TempDir(), "rules")
	for i, f := range slices.Clone(rule.Library()) {
		text := f.Content
		if i == 0 {
			text += fmt.Sprintf("\n# published by the chaos test at %s\n", time.Since(c.began))
		}
		file := filepath.Join(dir, filepath.FromSlash(f.Name))
		err := os.MkdirAll(filepath.Dir(file), 0o700)
		if err == nil {
			err = os.WriteFile(file, []byte(text), 0o600)
		}
		if err != nil {
			c.broken(err)
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rulesTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, c.binary, "apply", "--config", c.file, dir).CombinedOutput()
	c.note("load", "apply: %v: %s", err, out)
}
