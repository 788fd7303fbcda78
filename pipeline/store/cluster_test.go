package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

func flushAll(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() }

// keyOf finds the key of partition part that ends so, on whatever node it is.
func keyOf(t *testing.T, c redis.UniversalClient, end string) (found string) {
	t.Helper()
	var mu sync.Mutex
	look := func(ctx context.Context, c *redis.Client) error {
		keys, err := c.Keys(ctx, "{1.3.*}:"+end).Result()
		mu.Lock()
		defer mu.Unlock()
		for _, k := range keys {
			found = k
		}
		return err
	}
	var err error
	switch c := c.(type) {
	case *redis.Client:
		err = look(t.Context(), c)
	case *redis.ClusterClient:
		err = c.ForEachMaster(t.Context(), look)
	}
	if err != nil || found == "" {
		t.Fatalf("no key of partition %d ends in %s, error %v", part, end, err)
	}
	return found
}

// partSlot is the slot of partition part.
const partSlot = part * 16384 / partitions

// need returns the real cluster, or skips.
func need(t *testing.T) *redis.ClusterClient {
	t.Helper()
	c := realCluster(t)
	if c == nil {
		t.Skip("STREAMGAUGE_TEST_REDIS_CLUSTER names no cluster: make test-servers starts one")
	}
	return c
}

// node is a client of one node.
func node(t *testing.T, addr string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: time.Minute})
	t.Cleanup(func() { c.Close() })
	return c
}

// owners are the addresses of the master of partition part's slot and of its replica, and of another master.
func owners(t *testing.T, c *redis.ClusterClient) (master, replica, other string) {
	t.Helper()
	ranges, err := c.ClusterSlots(t.Context()).Result() //nolint:staticcheck // what the client itself routes by
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range ranges {
		if r.Start <= partSlot && partSlot <= r.End {
			master = r.Nodes[0].Addr
			if len(r.Nodes) > 1 {
				replica = r.Nodes[1].Addr
			}
			continue
		}
		other = r.Nodes[0].Addr
	}
	if master == "" || other == "" {
		t.Fatalf("the cluster's slots: %v", ranges)
	}
	return master, replica, other
}

// eventually repeats do for at most so long.
func eventually(t *testing.T, limit time.Duration, what string, do func() error) (took time.Duration) {
	t.Helper()
	began := time.Now()
	for {
		err := do()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// settled waits until the slot has a master with a replica that follows it and every node says the same, and returns what owners does.
func settled(t *testing.T, c *redis.ClusterClient) (master, replica, other string) {
	t.Helper()
	eventually(t, 30*time.Second, "the cluster settles", func() error {
		master, replica, other = owners(t, c)
		if replica == "" {
			return errors.New("the slot has no replica")
		}
		info, err := node(t, replica).Info(t.Context(), "replication").Result()
		if err == nil && !(strings.Contains(info, "master_link_status:up") && strings.Contains(info, "master_port:"+master[strings.LastIndexByte(master, ':')+1:])) {
			err = fmt.Errorf("%s does not follow %s", replica, master)
		}
		for _, addr := range strings.Split(os.Getenv("STREAMGAUGE_TEST_REDIS_CLUSTER"), ",") {
			ranges, say := node(t, addr).ClusterSlots(t.Context()).Result() //nolint:staticcheck // as above
			for _, r := range ranges {
				if r.Start <= partSlot && partSlot <= r.End && r.Nodes[0].Addr != master {
					say = fmt.Errorf("%s takes %s for the master, not %s", addr, r.Nodes[0].Addr, master)
				}
			}
			err = errors.Join(err, say)
		}
		return err
	})
	return master, replica, other
}

// A replica that lags is promoted: a suffix is lost, what is left is a prefix, and the writer learns it from the marker (F1, F2).
func TestCluster_FailoverToALaggingReplicaShowsInTheMarker(t *testing.T) {
	c := need(t)
	s := store.NewRedis(c, 1, partitions)
	for attempt := 1; ; attempt++ {
		master, replica, _ := settled(t, c)
		if err := c.ForEachMaster(t.Context(), flushAll); err != nil {
			t.Fatal(err)
		}
		flush(t, s, store.Marker{}, at(10), many(300, 10, "kept")...)
		if n, err := node(t, master).Do(t.Context(), "WAIT", 1, 5000).Int(); err != nil || n != 1 {
			t.Fatalf("the replica has not followed: %d, %v", n, err)
		}
		asleep := make(chan error, 1)
		go func() { asleep <- node(t, replica).Do(t.Context(), "DEBUG", "SLEEP", "1").Err() }()
		<-time.After(100 * time.Millisecond)
		takeover := make(chan error, 1) // in the replica's queue before it wakes
		go func() { takeover <- node(t, replica).Do(t.Context(), "CLUSTER", "FAILOVER", "TAKEOVER").Err() }()
		if err := node(t, master).Do(t.Context(), "CLIENT", "KILL", "TYPE", "replica").Err(); err != nil {
			t.Fatal(err)
		}
		flush(t, s, at(10), at(20), many(300, 20, "lost")...)
		if err := errors.Join(<-asleep, <-takeover); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "the replica is master", func() error {
			if now, _, _ := owners(t, c); now != replica {
				return fmt.Errorf("the master is %s", now)
			}
			return nil
		})
		settled(t, c) // the old master follows now: no split brain any more
		var m store.Marker
		took := eventually(t, 5*time.Second, "the store answers", func() (err error) {
			m, _, err = s.Load(t.Context(), part, nil)
			return err
		})
		if m == at(20) && attempt < 5 {
			continue // the replica had the suffix after all
		}
		t.Logf("attempt %d; answered %s after the failover", attempt, took)
		holds(t, s, at(10), "customer 0", "10 kept", "customer 299", "10 kept")
		if out := try(t, s, at(20), at(30), entry("customer 0", 30, "over nothing")); out.Now != at(10) {
			t.Fatalf("a flush from the lost marker answered %v, want %v", out.Now, at(10))
		}
		flush(t, s, at(10), at(20), many(300, 20, "again")...)
		holds(t, s, at(20), "customer 0", "20 again")
		count(t, s)
		return
	}
}

// F12: an empty store is not a fresh start for who has flushed.
func TestCluster_FlushAllShowsInTheMarker(t *testing.T) {
	c := need(t)
	s := store.NewRedis(c, 1, partitions)
	flush(t, s, store.Marker{}, at(10), many(300, 10, "x")...)
	if err := c.ForEachMaster(t.Context(), flushAll); err != nil {
		t.Fatal(err)
	}
	holds(t, s, store.Marker{}, "customer 7", "")
	if out := try(t, s, at(10), at(11), entry("customer 7", 11, "y")); !out.Now.IsZero() {
		t.Fatalf("a flush into the empty store answered %v", out.Now)
	}
	holds(t, s, store.Marker{}, "customer 7", "")
}

// movingSlot is the slot of partition part on its way from one master to another, key by key, as Redis before 8.4 does it.
type movingSlot struct {
	t        *testing.T
	from, to *redis.Client
	port     string
}

func moveSlot(t *testing.T, c *redis.ClusterClient) *movingSlot {
	t.Helper()
	master, _, other := settled(t, c)
	m := &movingSlot{t: t, from: node(t, master), to: node(t, other), port: other[strings.LastIndexByte(other, ':')+1:]}
	t.Cleanup(func() { // empty, back to where it was
		ctx := context.WithoutCancel(t.Context())
		_ = c.ForEachMaster(ctx, flushAll)
		m.begin(ctx, m.to, m.from)
		m.assign(ctx, m.to, m.from)
	})
	m.begin(t.Context(), m.from, m.to)
	return m
}

// begin: without it the new owner has no newer claim than the old one, and the other nodes do not follow.
func (m *movingSlot) begin(ctx context.Context, from, to *redis.Client) {
	m.t.Helper()
	err := errors.Join(to.Do(ctx, "CLUSTER", "SETSLOT", partSlot, "IMPORTING", m.id(from)).Err(), from.Do(ctx, "CLUSTER", "SETSLOT", partSlot, "MIGRATING", m.id(to)).Err())
	if err != nil {
		m.t.Errorf("SETSLOT: %v", err)
	}
}

func (m *movingSlot) do(c *redis.Client, args ...any) {
	m.t.Helper()
	if err := c.Do(m.t.Context(), args...).Err(); err != nil {
		m.t.Fatalf("%v: %v", args, err)
	}
}

func (m *movingSlot) id(c *redis.Client) string {
	id, err := c.Do(context.WithoutCancel(m.t.Context()), "CLUSTER", "MYID").Text()
	if err != nil {
		m.t.Error(err)
	}
	return id
}

func (m *movingSlot) keys() []string {
	m.t.Helper()
	keys, err := m.from.ClusterGetKeysInSlot(m.t.Context(), partSlot, 1<<20).Result()
	if err != nil {
		m.t.Fatal(err)
	}
	return keys
}

func (m *movingSlot) migrate(key string) {
	m.t.Helper()
	m.do(m.from, "MIGRATE", "127.0.0.1", m.port, key, 0, 5000)
}

// assign gives the slot away, whatever has been moved.
func (m *movingSlot) assign(ctx context.Context, from, to *redis.Client) {
	m.t.Helper()
	id := m.id(to)
	for _, c := range []*redis.Client{to, from} {
		if err := c.Do(ctx, "CLUSTER", "SETSLOT", partSlot, "NODE", id).Err(); err != nil {
			m.t.Errorf("SETSLOT NODE: %v", err)
		}
	}
}

// Under load: what is read is right, or it is an error, at every moment of the move; afterwards it goes on.
func TestCluster_SlotThatMovesKeyByKeyIsNeverReadWrong(t *testing.T) {
	c := need(t)
	s := store.NewRedis(c, 1, partitions)
	const n = 200
	flush(t, s, store.Marker{}, at(1), many(n, 1, "x")...)
	m := moveSlot(t, c)
	ctx, stop := context.WithCancel(t.Context())
	var refused, read int
	var wg sync.WaitGroup
	base, unconfirmed := at(1), at(1)
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			key := fmt.Sprint("customer ", i%n)
			marker, values, err := s.Load(ctx, part, [][]byte{[]byte(key), []byte("nobody")})
			switch {
			case err != nil:
				refused++
			case marker != base && marker != unconfirmed:
				t.Errorf("marker %v, want %v, or %v, which is not confirmed", marker, base, unconfirmed)
			case len(values[0]) == 0 || values[1] != nil:
				t.Errorf("%s read as %q, nobody as %q", key, values[0], values[1])
			default:
				read++
			}
			next := at(base.Offset + 1)
			out, err := s.Flush(ctx, &store.Flush{Partition: part, Base: base, Next: next, Entries: []store.Entry{entry(key, next.Offset, "x")}})
			unconfirmed = next
			if err == nil {
				base = out.Now // next, or what arrived before and was not confirmed
			}
		}
	})
	for _, k := range m.keys() {
		m.migrate(k)
		<-time.After(5 * time.Millisecond) // longer in all than what is tried inside
	}
	m.assign(t.Context(), m.from, m.to)
	took := eventually(t, 5*time.Second, "the new master serves", func() error {
		_, _, err := s.Load(t.Context(), part, nil)
		return err
	})
	<-time.After(200 * time.Millisecond) // and it goes on under the load
	stop()
	wg.Wait()
	t.Logf("%d reads, %d refused; served again after %s", read, refused, took)
	if read == 0 || refused == 0 {
		t.Error("the move did not fall into the load")
	}
	count(t, s)
}

// The move was broken off, and the slot given away all the same: the marker is there, customers are not.
func TestCluster_SlotThatMovedInPartIsLost(t *testing.T) {
	c := need(t)
	s := store.NewRedis(c, 1, partitions)
	flush(t, s, store.Marker{}, at(1), many(50, 1, "x")...)
	m := moveSlot(t, c)
	left := keyOf(t, c, "h:"+hashed("customer 7"))
	for _, k := range m.keys() {
		if k != left {
			m.migrate(k)
		}
	}
	m.do(m.from, "DEL", left) // else the node would not give the slot away
	m.assign(t.Context(), m.from, m.to)
	eventually(t, 5*time.Second, "the loss is found", func() error {
		_, values, err := s.Load(t.Context(), part, [][]byte{[]byte("customer 7")})
		if err == nil {
			t.Fatalf("customer 7 read as %q", values[0])
		}
		if !errors.Is(err, store.ErrLost) {
			return err
		}
		return nil
	})
	if out, err := s.Flush(t.Context(), &store.Flush{Partition: part, Next: at(2), Replace: true, Entries: many(50, 1, "y")}); err != nil || out.Now != at(2) {
		t.Fatal(out, err)
	}
	holds(t, s, at(2), "customer 7", "1 y")
}

// A master that is killed: its replica takes over after the cluster's own time, and the client has found it 2 s later.
func TestCluster_DeadMasterIsLeftAsSoonAsItsReplicaServes(t *testing.T) {
	c := need(t)
	if os.Getenv("STREAMGAUGE_SERVERS_DIR") == "" {
		t.Skip("STREAMGAUGE_SERVERS_DIR does not say whose servers these are: make test-servers does")
	}
	master, replica, other := settled(t, c)
	s := store.NewRedis(c, 1, partitions)
	flush(t, s, store.Marker{}, at(1), entry("a", 1, "x"))
	if n, err := node(t, master).Do(t.Context(), "WAIT", 1, 5000).Int(); err != nil || n != 1 {
		t.Fatalf("the replica has not followed: %d, %v", n, err)
	}
	name := ""
	for i, addr := range strings.Split(os.Getenv("STREAMGAUGE_TEST_REDIS_CLUSTER"), ",") {
		if addr == master {
			name = fmt.Sprintf("redis-%d", i+1)
		}
	}
	servers := func(verb string) {
		t.Helper()
		out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "bash", "../../deploy/servers/servers.sh", "node", verb, name).CombinedOutput()
		if err != nil {
			t.Errorf("node %s %s: %v\n%s", verb, name, err, out)
		}
	}
	t.Cleanup(func() { servers("start") })
	servers("kill")
	replaced := make(chan time.Time, 1)
	witness := node(t, other)
	go func() {
		for t.Context().Err() == nil {
			ranges, err := witness.ClusterSlots(t.Context()).Result() //nolint:staticcheck // as above
			for _, r := range ranges {
				if err == nil && r.Start <= partSlot && partSlot <= r.End && r.Nodes[0].Addr == replica {
					replaced <- time.Now()
					return
				}
			}
			<-time.After(10 * time.Millisecond)
		}
	}()
	took := eventually(t, 20*time.Second, "the store goes on", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := s.Flush(ctx, &store.Flush{Partition: part, Base: at(1), Next: at(2), Entries: []store.Entry{entry("a", 2, "y")}})
		return err
	})
	var lag time.Duration
	select {
	case when := <-replaced:
		lag = time.Since(when)
	case <-time.After(20 * time.Second):
		t.Fatalf("%s was killed, and %s does not know %s as its successor", master, other, replica)
	}
	t.Logf("on again %s after the kill, %s after the cluster", took, lag)
	if lag > 2*time.Second {
		t.Errorf("the client was %s behind the cluster", lag)
	}
	holds(t, s, at(2), "a", "2 y")
	count(t, s)
}
