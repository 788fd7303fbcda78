package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/streamgauge/streamgauge/topology"
)

// What the chaos test does to a Redis Cluster of three masters with a replica each. A slot is moved as Debian's Redis can: key by key, so
// that for a while a partition's windows are in two places.

const (
	ringSlots  = 16384
	ringMoves  = 16 // keys in one MIGRATE
	ringDetect = 10 * time.Second
	ringLag    = 20 * time.Second // until a master is written to; brokers that are away may stop all flushes so long
	ringAgain  = 60 * time.Second

	ringSettled  = 3 * time.Second
	ringPatience = 6 * time.Minute
)

func (c *cluster) ringFaults() []*fault {
	return []*fault{
		{name: "FLUSHALL on a master", rebuilds: true, do: c.flushMaster},
		{name: "FLUSHALL on all masters", rebuilds: true, do: c.flushMasters},
		{name: "master killed, its replica promoted, started again", do: c.killMaster(false)},
		{name: "master killed, a replica that lags promoted, started again", rebuilds: true, do: c.killMaster(true)},
		{name: "master frozen, its replica promoted, thawed: it still answers", do: c.freezeMaster},
		{name: "replica takes over in order", do: c.failOver("")},
		{name: "replica takes over without asking", do: c.failOver("TAKEOVER")},
		{name: "a partition's slot moved key by key", rebuilds: true, do: c.moveSlot},
		{name: "every connection to the nodes cut", do: c.cutRing},
		{name: "all killed together, started again", do: c.killRing},
	}
}

// One thing at a time, while records are judged: every way in which a Cluster forgets what it confirmed, or has a partition's windows in
// two places, ends in a rebuild and never in another verdict.
func TestThree_ARedisClusterThatForgetsOrMovesIsRebuiltFrom(t *testing.T) {
	c := installThree(t, ringPatience, true)
	c.launchAll()
	c.awaitMore(topology.StageMonitor, 0)
	ctx, enough := context.WithCancel(c.ctx)
	defer enough()
	w := c.watch(ctx)
	feed, rnd := c.newFeed(1), rand.New(rand.NewPCG(1, 1))
	var fed sync.WaitGroup
	fed.Go(func() { feed.changeStates(ctx, rand.New(rand.NewPCG(1, 98))) })
	fed.Go(func() { feed.run(ctx) })
	for _, f := range c.ringFaults() {
		sleep(ctx, ringSettled)
		before := c.rebuilt()
		c.note("test", "%s", f.name)
		w.reset()
		f.do(ctx, rnd)
		sleep(ctx, ringSettled)
		c.intact()
		t.Logf("%-70s %3d partitions rebuilt, the slowest committed nothing for %s", f.name, c.rebuilt()-before, w.standstill().Round(time.Millisecond))
		if f.rebuilds && c.rebuilt() == before {
			t.Errorf("%s: no partition was rebuilt", f.name)
		}
	}
	enough()
	fed.Wait()
	if err := c.cl.Flush(c.ctx); err != nil {
		t.Error(err)
	}
	w.wait()
	drain(c.ctx, t, c.topo, c.reach()...)
	c.readBack(feed)
	c.stopAll()
	c.verify(feed)
	w.report()
	if c.lost.Load() == 0 || c.moved.Load() == 0 {
		t.Errorf("a promoted replica lacked %d bytes, %d keys were moved: neither may be 0", c.lost.Load(), c.moved.Load())
	}
}

// rebuilt counts what the replicas have said of rebuilding a partition whose windows were not what they should be.
func (c *cluster) rebuilt() (n int) {
	for i := range c.workers {
		text, err := os.ReadFile(c.logOf(i))
		if err != nil {
			c.t.Error(err)
		}
		n += strings.Count(string(text), "partition is rebuilt")
	}
	return n
}

// ringNode is one node as the Cluster itself sees it.
type ringNode struct {
	index   int // in rings; servers.sh calls it redis-(index+1)
	id      string
	master  string // its id; empty for a master
	failing bool
	slots   [][2]int
	client  *redis.Client
}

func (n *ringNode) name() string { return "redis-" + strconv.Itoa(n.index+1) }

func (n *ringNode) has(slot int) bool {
	for _, s := range n.slots {
		if s[0] <= slot && slot <= s[1] {
			return true
		}
	}
	return false
}

// ring asks the first node that answers what the Cluster looks like. The clients are the caller's to close.
func (c *cluster) ring(ctx context.Context) ([]*ringNode, error) {
	err := fmt.Errorf("no nodes")
	for _, address := range c.rings {
		client := c.ringClient(address)
		var text string
		once, cancel := context.WithTimeout(ctx, time.Second)
		text, err = client.ClusterNodes(once).Result()
		cancel()
		client.Close()
		if err == nil {
			return c.parseRing(text), nil
		}
	}
	return nil, fmt.Errorf("redis cluster: %w", err)
}

func (c *cluster) ringClient(address string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: 5 * time.Second, PoolSize: 1})
}

// parseRing reads CLUSTER NODES: id address@bus flags master ping pong epoch link slots…
func (c *cluster) parseRing(text string) (out []*ringNode) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		address, _, _ := strings.Cut(f[1], "@")
		n := &ringNode{index: -1, id: f[0], failing: strings.Contains(f[2], "fail") || f[7] != "connected"}
		for i, a := range c.rings {
			if a == address {
				n.index = i
			}
		}
		if n.index < 0 {
			continue
		}
		if strings.Contains(f[2], "slave") {
			n.master = f[3]
		}
		for _, s := range f[8:] {
			from, to, several := strings.Cut(s, "-")
			if strings.HasPrefix(from, "[") { // on its way
				continue
			}
			if !several {
				to = from
			}
			lo, err1 := strconv.Atoi(from)
			hi, err2 := strconv.Atoi(to)
			if err1 == nil && err2 == nil {
				n.slots = append(n.slots, [2]int{lo, hi})
			}
		}
		n.client = c.ringClient(c.rings[n.index])
		out = append(out, n)
	}
	return out
}

func closeRing(nodes []*ringNode) {
	for _, n := range nodes {
		n.client.Close()
	}
}

// ringWhole says in words what the Cluster lacks: a node that some node does not see, a slot nobody serves, a replica without its master's
// data; empty for nothing.
func (c *cluster) ringWhole(ctx context.Context) string {
	nodes, err := c.ring(ctx)
	if err != nil {
		return err.Error()
	}
	defer closeRing(nodes)
	if len(nodes) != len(c.rings) {
		return fmt.Sprintf("%d nodes of %d", len(nodes), len(c.rings))
	}
	replicas := map[string]int{}
	for _, n := range nodes {
		replicas[n.master]++
	}
	for _, n := range nodes {
		info, err := n.client.ClusterInfo(ctx).Result()
		switch {
		case err != nil:
			return fmt.Sprintf("%s: %v", n.name(), err)
		case !strings.Contains(info, "cluster_state:ok") || strings.Contains(info, "cluster_slots_pfail:") && !strings.Contains(info, "cluster_slots_pfail:0"):
			return n.name() + ": the cluster is not ok"
		case n.failing:
			return n.name() + " is failing"
		case n.master == "" && len(n.slots) > 0 && replicas[n.id] == 0:
			return n.name() + " has no replica"
		}
		if info, err = n.client.Info(ctx, "replication").Result(); err != nil || strings.Contains(info, "master_link_status:down") {
			return fmt.Sprintf("%s does not follow its master: %v", n.name(), err)
		}
	}
	return ""
}

// awaitRing waits until the Cluster is whole; at once without one.
func (c *cluster) awaitRing() {
	if c.rings == nil {
		return
	}
	ctx, cancel := context.WithTimeoutCause(c.ctx, ringAgain, fmt.Errorf("not within %s", ringAgain))
	defer cancel()
	last := ""
	for ctx.Err() == nil {
		if last = c.ringWhole(ctx); last == "" {
			return
		}
		sleep(ctx, 200*time.Millisecond)
	}
	c.broken(fmt.Errorf("redis cluster whole again: %w: %s", context.Cause(ctx), last))
}

// masters are the masters that serve slots, each with its replica or nil, in the order of rings, of a whole Cluster.
func (c *cluster) masters(nodes []*ringNode) (out [][2]*ringNode) {
	for i := range c.rings {
		for _, m := range nodes {
			if m.index != i || m.master != "" || len(m.slots) == 0 {
				continue
			}
			pair := [2]*ringNode{m}
			for _, r := range nodes {
				if r.master == m.id {
					pair[1] = r
				}
			}
			out = append(out, pair)
		}
	}
	return out
}

// withMaster calls fn with one master and its replica, and waits afterwards until the Cluster is whole.
func (c *cluster) withMaster(draw int, fn func(ctx context.Context, master, replica *ringNode, nodes []*ringNode)) {
	ctx := context.WithoutCancel(c.ctx)
	nodes, err := c.ring(ctx)
	if err != nil {
		c.note("redis", "%v", err)
		return
	}
	defer closeRing(nodes)
	pairs := c.masters(nodes)
	if len(pairs) == 0 || pairs[draw%len(pairs)][1] == nil {
		c.note("redis", "no master with a replica")
		return
	}
	pair := pairs[draw%len(pairs)]
	fn(ctx, pair[0], pair[1], nodes)
	c.awaitRing()
}

// promoted waits until the replica serves slots.
func (c *cluster) promoted(ctx context.Context, replica *ringNode) {
	ctx, cancel := context.WithTimeout(ctx, ringDetect)
	defer cancel()
	for ctx.Err() == nil {
		if info, err := replica.client.Info(ctx, "replication").Result(); err == nil && strings.Contains(info, "role:master") {
			c.note("redis", "%s is master", replica.name())
			return
		}
		sleep(ctx, 50*time.Millisecond)
	}
	c.note("redis", "%s was not promoted within %s", replica.name(), ringDetect)
}

func (c *cluster) flushMaster(_ context.Context, rnd *rand.Rand) {
	c.withMaster(rnd.IntN(3), func(ctx context.Context, master, _ *ringNode, _ []*ringNode) {
		c.note("redis", "FLUSHALL on %s: %v", master.name(), master.client.FlushAll(ctx).Err())
	})
}

func (c *cluster) flushMasters(context.Context, *rand.Rand) {
	err := c.eachMaster(context.WithoutCancel(c.ctx), func(ctx context.Context, m *redis.Client) error { return m.FlushAll(ctx).Err() })
	c.note("redis", "FLUSHALL on all masters: %v", err)
}

// killMaster kills a master whose replica follows, or has not for a while: it is given a password that the master does not know.
func (c *cluster) killMaster(lags bool) func(context.Context, *rand.Rand) {
	return func(until context.Context, rnd *rand.Rand) {
		draw, lag, away := rnd.IntN(3), between(rnd, 500*time.Millisecond, 4*time.Second), between(rnd, 0, 4*time.Second)
		c.withMaster(draw, func(ctx context.Context, master, replica *ringNode, _ []*ringNode) {
			if lags {
				c.note("redis", "%s stops following %s for %s", replica.name(), master.name(), lag)
				if err := replica.client.ConfigSet(ctx, "masterauth", "wrong").Err(); err != nil {
					c.broken(err)
				}
				master.client.Do(ctx, "CLIENT", "KILL", "TYPE", "replica")
				c.awaitLag(until, master, replica, lag)
				defer replica.client.ConfigSet(ctx, "masterauth", "")
			}
			lacks := c.behind(ctx, master, replica)
			c.note("redis", "kill %s; %s lacks %d bytes of its stream", master.name(), replica.name(), lacks)
			c.lost.Add(max(lacks, 0))
			c.node("kill", master.name())
			c.promoted(ctx, replica)
			sleep(until, away)
			c.node("start", master.name())
		})
	}
}

// awaitLag waits for a time, and until the replica really lacks something.
func (c *cluster) awaitLag(ctx context.Context, master, replica *ringNode, least time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, least+ringLag)
	defer cancel()
	sleep(ctx, least)
	for c.behind(ctx, master, replica) <= 0 && sleep(ctx, 50*time.Millisecond) {
		continue
	}
}

// behind is how many bytes of its master's stream a replica lacks; −1 if they do not say.
func (c *cluster) behind(ctx context.Context, master, replica *ringNode) int64 {
	var at [2]int64
	for i, n := range []*ringNode{replica, master} {
		info, err := n.client.Info(ctx, "replication").Result()
		if err != nil {
			return -1
		}
		_, rest, _ := strings.Cut(info, "\nmaster_repl_offset:")
		value, _, _ := strings.Cut(rest, "\r")
		if at[i], err = strconv.ParseInt(value, 10, 64); err != nil {
			return -1
		}
	}
	return at[1] - at[0]
}

// freezeMaster leaves an old master that wakes up and takes itself for one until it hears of the other.
func (c *cluster) freezeMaster(until context.Context, rnd *rand.Rand) {
	draw, d := rnd.IntN(3), between(rnd, 4*time.Second, 10*time.Second)
	c.withMaster(draw, func(ctx context.Context, master, replica *ringNode, _ []*ringNode) {
		c.note("redis", "freeze %s for %s", master.name(), d)
		c.node("freeze", master.name())
		c.promoted(ctx, replica)
		sleep(until, d)
		c.node("thaw", master.name())
	})
}

// failOver lets a replica take its master's place: in order, after it has everything, or at once.
func (c *cluster) failOver(how string) func(context.Context, *rand.Rand) {
	return func(_ context.Context, rnd *rand.Rand) {
		c.withMaster(rnd.IntN(3), func(ctx context.Context, _, replica *ringNode, _ []*ringNode) {
			args := []any{"CLUSTER", "FAILOVER"}
			if how != "" {
				args = append(args, how)
			}
			c.note("redis", "CLUSTER FAILOVER %s on %s: %v", how, replica.name(), replica.client.Do(ctx, args...).Err())
			c.promoted(ctx, replica)
		})
	}
}

// moveSlot moves the slot of a partition to another master, by hand.
func (c *cluster) moveSlot(_ context.Context, rnd *rand.Rand) {
	p, other, slow := rnd.IntN(int(c.config.Kafka.Partitions)), rnd.IntN(2), between(rnd, 0, 30*time.Millisecond)
	slot := p * ringSlots / int(c.config.Kafka.Partitions) // as the store spreads them
	c.withMaster(0, func(ctx context.Context, _, _ *ringNode, nodes []*ringNode) {
		var from *ringNode
		var others []*ringNode
		for _, pair := range c.masters(nodes) {
			if pair[0].has(slot) {
				from = pair[0]
			} else {
				others = append(others, pair[0])
			}
		}
		if from == nil || len(others) == 0 {
			c.note("redis", "slot %d: no owner, or no other master", slot)
			return
		}
		to := others[other%len(others)]
		moved, err := c.migrate(ctx, slot, from, to, slow)
		c.moved.Add(int64(moved))
		c.note("redis", "slot %d of partition %d moved from %s to %s, %d keys: %v", slot, p, from.name(), to.name(), moved, err)
		if err == nil && moved == 0 {
			c.note("redis", "slot %d was empty", slot)
		}
		if err != nil { // never leave a slot half-way
			c.broken(fmt.Errorf("move slot %d: %w", slot, err))
		}
	})
}

// migrate is what redis-cli --cluster reshard does, with pauses.
func (c *cluster) migrate(ctx context.Context, slot int, from, to *ringNode, slow time.Duration) (moved int, err error) {
	if err := to.client.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.id).Err(); err != nil {
		return 0, err
	}
	if err := from.client.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id).Err(); err != nil {
		return 0, err
	}
	host, port, _ := strings.Cut(c.rings[to.index], ":")
	for {
		keys, err := from.client.ClusterGetKeysInSlot(ctx, slot, ringMoves).Result()
		if err != nil {
			return moved, err
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"MIGRATE", host, port, "", 0, 5000, "REPLACE", "KEYS"}
		for _, k := range keys {
			args = append(args, k)
		}
		if err := from.client.Do(ctx, args...).Err(); err != nil {
			return moved, err
		}
		moved += len(keys)
		time.Sleep(slow)
	}
	for _, n := range []*ringNode{to, from} {
		if err := n.client.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", to.id).Err(); err != nil {
			return moved, err
		}
	}
	return moved, nil
}

func (c *cluster) cutRing(context.Context, *rand.Rand) {
	nodes, err := c.ring(c.ctx)
	if err != nil {
		c.note("redis", "%v", err)
		return
	}
	defer closeRing(nodes)
	for _, n := range nodes {
		n.client.Do(context.WithoutCancel(c.ctx), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	}
}

func (c *cluster) killRing(until context.Context, rnd *rand.Rand) {
	d := between(rnd, 0, 3*time.Second)
	c.note("redis", "kill all for %s", d)
	each := func(verb string) {
		var all sync.WaitGroup
		for i := range c.rings {
			all.Go(func() { c.node(verb, "redis-"+strconv.Itoa(i+1)) })
		}
		all.Wait()
	}
	each("kill")
	sleep(until, d)
	each("start")
	c.awaitRing()
}
