package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/streamgauge/streamgauge/topology"
)

// The tests named TestThree_ run several replicas of the command on a Kafka of three nodes and a Redis, with a proxy in front of each
// server. Every server and replica can be killed, frozen and started again.

const (
	replicas    = 3
	lanesEach   = 2
	chaosRedis  = "redis"
	inSyncAgain = 90 * time.Second // for a node that is back: it starts in 6 to 12 s and copies what it missed
)

// nodes are the brokers by the names that servers.sh gives them.
var nodes = []string{"kafka-1", "kafka-2", "kafka-3"}

// cluster is an installation of several replicas, and the servers' other side.
type cluster struct {
	*installation
	began time.Time
	front []*proxy // of each node, to the replicas
	store *proxy   // of Redis; nil with a Cluster, whose nodes tell clients their own addresses
	rings []string // addresses of the nodes of a Redis Cluster; nil with a single one

	lost  atomic.Int64 // bytes that promoted replicas lacked
	moved atomic.Int64 // keys that went to another node, one by one

	starting sync.Mutex   // one process is started at a time
	repeated atomic.Int64 // processes that gave up and were started again

	mu      sync.Mutex
	journal *os.File    // what was done when: to repeat a failure by hand
	workers []*instance // by ordinal
	thawed  time.Time   // when a broker was last let go that had slept: it may still answer what it knew before
}

// installThree makes an installation whose replicas reach every server through a proxy, but for the nodes of a Redis Cluster, if that is
// asked for. None of them runs yet.
func installThree(t *testing.T, patience time.Duration, redisCluster bool) *cluster {
	t.Helper()
	logging.Disable() // of the tests' own Redis client, which sees it die as often as the product's
	c := &cluster{began: time.Now(), workers: make([]*instance, replicas)}
	addresses := os.Getenv("STREAMGAUGE_TEST_KAFKA_THREE")
	if nodes := os.Getenv("STREAMGAUGE_TEST_REDIS_CLUSTER"); redisCluster && nodes == "" {
		t.Skip("STREAMGAUGE_TEST_REDIS_CLUSTER names no servers: make test-servers starts fresh ones")
	} else if redisCluster {
		c.rings = strings.Split(nodes, ",")
	}
	change := func(conf *topology.Config) {
		conf.Kafka.Brokers, c.front = nil, nil
		for _, address := range strings.Split(addresses, ",") { // servers.sh: clients +0, through a proxy +2, the proxy's own +3
			p := newProxy(t, beside(t, address, 3), beside(t, address, 2))
			c.front = append(c.front, p)
			conf.Kafka.Brokers = append(conf.Kafka.Brokers, p.address)
		}
		if redisCluster {
			conf.Redis.Addresses, conf.Redis.Address, conf.Redis.Database = c.rings, topology.DefaultConfig().Redis.Address, 0
		} else {
			c.store = newProxy(t, "", conf.Redis.Address)
			conf.Redis.Address = c.store.address
		}
		conf.Kafka.Replication, conf.Kafka.MinInSync = 3, 2
		conf.Monitor.Lanes, conf.Intake.Workers = lanesEach, 1
	}
	c.installation = installOn(t, "STREAMGAUGE_TEST_KAFKA_THREE", patience, change)
	c.excused = c.supervise
	c.openJournal()
	t.Cleanup(c.killAll)
	return c
}

// beside is the address whose port is n higher.
func beside(t *testing.T, address string, n int) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, strconv.Itoa(number+n))
}

func (c *cluster) openJournal() {
	c.t.Helper()
	f, err := os.Create(filepath.Join(c.t.ArtifactDir(), "schedule.log"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.journal = f
	c.t.Cleanup(func() {
		f.Close()
		if !c.t.Failed() {
			return
		}
		if text, err := os.ReadFile(f.Name()); err == nil {
			c.t.Logf("what was done:\n%s", text)
		}
		for i := 1; i < len(c.workers); i++ {
			if said, err := os.ReadFile(c.logOf(i)); err == nil {
				c.t.Logf("the end of what replica %d said:\n%s", i, lastLines(string(said), 40))
			}
		}
	})
}

// note writes a line of the schedule: seconds since the beginning, who, what.
func (c *cluster) note(who, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.journal, "%s %8.3f %-8s %s\n", time.Now().UTC().Format("15:04:05.000"), time.Since(c.began).Seconds(), who, fmt.Sprintf(format, args...))
}

// ---- replicas

// launch starts a replica in the place of the one that ran before, which its supervisor may have started again meanwhile.
func (c *cluster) launch(i int) {
	c.starting.Lock()
	defer c.starting.Unlock()
	if old := c.worker(i); old != nil && !old.meant.Load() {
		old.kill()
	}
	c.begin(i)
}

func (c *cluster) begin(i int) {
	p := c.startAs(i)
	c.mu.Lock()
	c.workers[i] = p
	c.mu.Unlock()
}

// supervise does what every service manager does: a process that gave up is started again a second later. That is excused before it ran,
// for its servers may be away, and when another has its names: a request to join that a dead process left in the network may arrive after
// its successor's, and fence that one. One that halts, panics or ends for another reason is not excused.
func (c *cluster) supervise(i int, p *instance) bool {
	words := "\n" + p.words()
	said := strings.Contains(words, "\nstreamgauge: ") && !strings.Contains(words, "halted") && !strings.Contains(words, "panic:")
	if !said || strings.Contains(words, "msg=running") && !strings.Contains(words, "another process runs under this one's names") {
		return false
	}
	c.note("replicas", "%d gave up: %s", i, lastLines(strings.TrimSpace(words), 2))
	c.repeated.Add(1)
	go func() {
		if !sleep(c.ctx, time.Second) {
			return
		}
		c.starting.Lock()
		defer c.starting.Unlock()
		if c.worker(i) == p && !p.meant.Load() {
			c.begin(i)
		}
	}()
	return true
}

// launchMore starts a replica of the next ordinal.
func (c *cluster) launchMore() {
	c.mu.Lock()
	c.workers = append(c.workers, nil)
	i := len(c.workers) - 1
	c.mu.Unlock()
	c.launch(i)
}

func (c *cluster) launchAll() {
	for i := range replicas {
		c.launch(i)
	}
}

// worker is the latest process of a replica; nil if there was none.
func (c *cluster) worker(i int) *instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers[i]
}

func (c *cluster) killAll() {
	for i := range c.workers {
		if p := c.worker(i); p != nil {
			p.kill()
		}
	}
}

// stopAll ends all replicas in order, together.
func (c *cluster) stopAll() {
	var all sync.WaitGroup
	for i := range replicas {
		all.Go(c.worker(i).stop)
	}
	all.Wait()
}

// intact ends the test if something is beyond repair, with what it was.
func (c *cluster) intact() {
	c.t.Helper()
	if c.ctx.Err() != nil {
		c.t.Fatal(context.Cause(c.ctx))
	}
}

// ---- servers

// node lets servers.sh do something to one server.
func (c *cluster) node(verb, name string) {
	front := c.store
	for i := range nodes {
		if nodes[i] == name {
			front = c.front[i]
		}
	}
	switch {
	case front == nil: // nothing in front of a Cluster's nodes
	case verb == "kill" || verb == "stop":
		defer front.down()
	case verb == "start":
		defer front.up()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", filepath.Join("..", "..", "deploy", "servers", "servers.sh"), "node", verb, name)
	if out, err := cmd.CombinedOutput(); err != nil {
		c.broken(fmt.Errorf("servers.sh node %s %s: %w: %s", verb, name, err, out))
	}
	if verb == "thaw" && strings.HasPrefix(name, "kafka") {
		c.mu.Lock()
		c.thawed = time.Now()
		c.mu.Unlock()
	}
}

// inSync says in words which partition has not all its replicas; empty when none.
func (c *cluster) inSync() string {
	ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
	defer cancel()
	all, err := c.admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return err.Error()
	}
	missing, n := "", 0
	all.EachPartition(func(p kadm.PartitionDetail) {
		if len(p.ISR) < len(p.Replicas) || p.Leader < 0 {
			missing = fmt.Sprintf("topic %s partition %d has leader %d and %v of %v in sync", p.Topic, p.Partition, p.Leader, p.ISR, p.Replicas)
		}
		n++
	})
	if n == 0 {
		return "no topics"
	}
	return missing
}

// awaitInSync waits until every partition has all its replicas, whatever else happens: two nodes must never be away together.
func (c *cluster) awaitInSync() {
	ctx, cancel := context.WithTimeoutCause(c.ctx, inSyncAgain, fmt.Errorf("not within %s", inSyncAgain))
	defer cancel()
	last := ""
	for ctx.Err() == nil {
		if last = c.inSync(); last == "" {
			return
		}
		sleep(ctx, 200*time.Millisecond)
	}
	c.broken(fmt.Errorf("replicas in sync: %w: %s", context.Cause(ctx), last))
}

// redisAnswers waits until Redis has read its log again.
func (c *cluster) redisAnswers() {
	ctx, cancel := context.WithTimeoutCause(c.ctx, inSyncAgain, fmt.Errorf("not within %s", inSyncAgain))
	defer cancel()
	err := errors.New("not asked")
	for ctx.Err() == nil {
		if err = c.redis.Ping(ctx).Err(); err == nil {
			return
		}
		sleep(ctx, 50*time.Millisecond)
	}
	c.broken(fmt.Errorf("redis answers again: %w: %w", context.Cause(ctx), err))
}

// sleep waits d or until ctx ends; false if it ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
