package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

// moody is an embedded Redis that says what it is told to, so many times, to the commands that the store sends.
type moody struct {
	*miniredis.Miniredis
	says  atomic.Pointer[string]
	times atomic.Int64
	heard atomic.Int64 // commands, whatever they were answered
}

func newMoody(t *testing.T) *moody {
	t.Helper()
	m := &moody{Miniredis: miniredis.RunT(t)}
	srv := m.Server()
	srv.SetPreHook(func(p *server.Peer, cmd string, args ...string) bool {
		switch {
		case cmd == "CLUSTER" && len(args) > 0 && strings.EqualFold(args[0], "COUNTKEYSINSLOT"):
			srv.Dispatch(p, []string{"DBSIZE"}) // one partition is all that it holds
			return true
		case cmd == "CLUSTER" && len(args) > 0 && strings.EqualFold(args[0], "GETKEYSINSLOT"):
			srv.Dispatch(p, []string{"KEYS", "*"})
			return true
		case cmd != "EVALSHA" && cmd != "MGET":
			return false
		}
		m.heard.Add(1)
		if m.times.Add(-1) >= 0 {
			p.WriteError(*m.says.Load())
			return true
		}
		return false
	})
	return m
}

func (m *moody) say(what string, times int64) {
	m.says.Store(&what)
	m.times.Store(times)
	m.heard.Store(0)
}

func (m *moody) client(t *testing.T) *redis.Client {
	t.Helper()
	c := redis.NewClient(store.Settings{Addresses: []string{m.Addr()}}.Options())
	t.Cleanup(func() { c.Close() })
	return c
}

const always = 1 << 40

// What goes by at once is waited for inside; nothing else is, and what somebody has to change says so.
func TestRedis_EveryRefusalIsHandledAsItsKind(t *testing.T) {
	m := newMoody(t)
	s := store.NewRedis(m.client(t), 1, partitions)
	marker := at(1)
	flush(t, s, store.Marker{}, marker) // loads the script
	for _, c := range []struct {
		says    string
		times   int64
		passes  bool
		calls   int64  // that the server hears of one flush
		wayOut  string // in the message of an ErrOperator
		operate bool
	}{
		{says: "LOADING Redis is loading the dataset in memory", times: 3, passes: true, calls: 4},
		{says: "LOADING Redis is loading the dataset in memory", times: always, calls: 4},
		{says: "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", times: 1, passes: true, calls: 2},
		{says: "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", times: always, calls: 4},
		{says: "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", times: 2, passes: true, calls: 3},
		{says: "CLUSTERDOWN The cluster is down", times: 2, passes: true, calls: 3},
		{says: "CLUSTERDOWN The cluster is down", times: always, calls: 4},
		{says: "TRYAGAIN Multiple keys request during rehashing of slot", times: 1, passes: true, calls: 2},
		{says: "NOREPLICAS Not enough good replicas to write.", times: always, calls: 4, operate: true, wayOut: "min-replicas-to-write"},
		{says: "READONLY You can't write against a read only replica.", times: 1, passes: true, calls: 2},
		{says: "READONLY You can't write against a read only replica.", times: always, calls: 4, operate: true, wayOut: "the master's address"},
		{says: "OOM command not allowed when used memory > 'maxmemory'.", times: 1, calls: 1, operate: true, wayOut: "raise maxmemory"},
		{says: "MISCONF Redis is configured to save RDB snapshots", times: 1, calls: 1, operate: true, wayOut: "make room"},
		{says: "NOAUTH Authentication required.", times: 1, calls: 1, operate: true, wayOut: "redis.password"},
		{says: "WRONGPASS invalid username-password pair or user is disabled.", times: 1, calls: 1, operate: true, wayOut: "redis.password"},
		{says: "NOPERM this user has no permissions to run the 'evalsha' command", times: 1, calls: 1, operate: true, wayOut: "+evalsha"},
		{says: "CROSSSLOT Keys in request don't hash to the same slot", times: 1, calls: 1, operate: true, wayOut: "hash tags"},
		{says: "ERR max number of clients reached", times: 1, passes: true, calls: 2},
		{says: "ERR max number of clients reached", times: always, calls: 4, operate: true, wayOut: "maxclients"},
		{says: "MOVED 12288 127.0.0.1:1", times: 1, calls: 1, operate: true, wayOut: "redis.cluster: true"},
		{says: "ASK 12288 127.0.0.1:1", times: 1, calls: 1, operate: true, wayOut: "redis.cluster: true"},
		{says: "WRONGTYPE Operation against a key holding the wrong kind of value", times: 1, calls: 1},
		{says: "ERR something new", times: 1, calls: 1},
	} {
		next := at(marker.Offset + 1)
		m.say(c.says, c.times)
		out, err := s.Flush(t.Context(), &store.Flush{Partition: part, Base: marker, Next: next, Entries: []store.Entry{entry("a", next.Offset, "x")}})
		heard := m.heard.Load()
		m.say("", 0)
		if heard != c.calls {
			t.Errorf("%q, said %d times: a flush asked %d times, want %d", c.says, c.times, heard, c.calls)
		}
		if c.passes {
			if err != nil || out.Now != next {
				t.Errorf("%q, said %d times: %v %v", c.says, c.times, out, err)
			}
			marker = next
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "partition 3") || errors.Is(err, store.ErrOperator) != c.operate || !strings.Contains(err.Error(), c.wayOut) {
			t.Errorf("%q: error %v, want one of partition 3 that says %q, ErrOperator %v", c.says, err, c.wayOut, c.operate)
		}
		m.say(c.says, c.times)
		if _, _, err := s.Load(t.Context(), part, [][]byte{[]byte("a")}); errors.Is(err, store.ErrOperator) != c.operate || err == nil {
			t.Errorf("%q to a load: %v", c.says, err)
		}
		m.say("", 0)
		holds(t, s, marker)
	}
}

// A script that is not known is loaded: after a restart, on a new master, after SCRIPT FLUSH.
func TestRedis_ForgottenScriptsAreLoadedAgain(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func(string)) {
		flush(t, s, store.Marker{}, at(1), entry("a", 1, "x"))
		count(t, s)
		for i := int64(1); i < 4; i++ {
			forgetScripts(t)
			flush(t, s, at(i), at(i+1), entry("a", i+1, "y"))
			forgetScripts(t)
			count(t, s)
		}
		holds(t, s, at(4), "a", "4 y")
	})
}

// A server that takes the connection and then is silent costs the caller's time, or ReadTimeout, once: it is not asked four times.
func TestRedis_SilenceIsNotConfirmedWithinTheCallersTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // connections wait in its queue for ever
	options := store.Settings{Addresses: []string{l.Addr().String()}}.Options()
	options.ReadTimeout = 200 * time.Millisecond
	c := redis.NewClient(options)
	defer c.Close()
	s := store.NewRedis(c, 1, partitions)
	for _, limit := range []time.Duration{50 * time.Millisecond, 10 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		began := time.Now()
		_, err := s.Flush(ctx, &store.Flush{Partition: part, Next: at(1)})
		took := time.Since(began)
		cancel()
		var late net.Error
		if !errors.As(err, &late) || !late.Timeout() || errors.Is(err, store.ErrOperator) {
			t.Errorf("limit %s: %v, want a timeout", limit, err)
		}
		if took > 3*time.Second {
			t.Errorf("limit %s: came back after %s", limit, took)
		}
	}
}

// cutter passes bytes on to a Redis and, when armed, cuts the connection at the answer: the command was carried out, nobody hears it.
type cutter struct {
	net.Listener
	to    string
	armed atomic.Int64
	cuts  atomic.Int64
	wg    sync.WaitGroup
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, to: to}
	c.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			c.wg.Go(func() { c.pass(in, out, false) })
			c.wg.Go(func() { c.pass(out, in, true) })
		}
	})
	t.Cleanup(func() { l.Close(); c.wg.Wait() })
	return c
}

func (c *cutter) pass(from, to net.Conn, answers bool) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if answers && strings.HasPrefix(string(b[:n]), "*2\r\n$2\r\nOK") && c.armed.Add(-1) >= 0 { // flush.lua's
			c.cuts.Add(1)
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// K9: the flush is applied, its answer lost. Its deltas do not fit any more, and its base is gone; the id of the flush tells.
func TestRedis_CallWhoseAnswerIsLostIsAppliedOnce(t *testing.T) {
	m := miniredis.RunT(t)
	cut := newCutter(t, m.Addr())
	c := redis.NewClient(store.Settings{Addresses: []string{cut.Addr().String()}}.Options())
	t.Cleanup(func() { c.Close() })
	s := store.NewRedis(c, 1, partitions)
	whole := many(300, 5, "row")
	whole[299].Value = append(whole[299].Value, make([]byte, 100)...)
	flush(t, s, store.Marker{}, at(5), whole...)
	var deltas []store.Entry
	for i := range 299 {
		deltas = append(deltas, delta(fmt.Sprint("customer ", i), 5, 3, 9, "+row"))
	}
	for _, lost := range []int64{1, 2, 3} {
		cut.armed.Store(lost)
		flush(t, s, at(5), at(9), deltas...)
		if n := cut.cuts.Swap(0); n != lost {
			t.Fatalf("%d answers were cut, want %d", n, lost)
		}
		holds(t, s, at(9), "customer 0", "9 row+row", "customer 150", "9 row+row", "customer 298", "9 row+row")
		out, err := s.Flush(t.Context(), &store.Flush{Partition: part, Next: at(5), Replace: true, Entries: whole})
		if err != nil || out.Now != at(5) {
			t.Fatal(out, err)
		}
	}
}

// fakeCluster has two nodes; owner is the one that has every slot.
func fakeCluster(t *testing.T) (c *redis.ClusterClient, nodes [2]*moody, owner *atomic.Int32) {
	t.Helper()
	nodes, owner = [2]*moody{newMoody(t), newMoody(t)}, new(atomic.Int32)
	addresses := [2]string{nodes[0].Addr(), nodes[1].Addr()} // a reload may come when they are closed
	options := store.Settings{Addresses: []string{nodes[0].Addr()}}.ClusterOptions()
	options.ClusterSlots = func(context.Context) ([]redis.ClusterSlot, error) {
		return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: addresses[owner.Load()]}}}}, nil
	}
	c = redis.NewClusterClient(options)
	t.Cleanup(func() { c.Close() })
	return c, nodes, owner
}

// move copies the first n keys of one node to the other, in the order of their names, and hands the slots over.
func move(t *testing.T, from, to *moody, n int) {
	t.Helper()
	keys := from.DB(0).Keys()
	slices.Sort(keys)
	for _, k := range keys[:n] {
		v, err := from.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		if err := to.Set(k, v); err != nil {
			t.Fatal(err)
		}
	}
	from.say("MOVED 12288 "+to.Addr(), always)
}

func TestRedis_SlotThatMovedIsFollowedIfAllItsKeysAreThere(t *testing.T) {
	c, nodes, owner := fakeCluster(t)
	s := store.NewRedis(c, 1, partitions)
	flush(t, s, store.Marker{}, at(5), many(20, 5, "x")...)
	move(t, nodes[0], nodes[1], 21)
	owner.Store(1)
	holds(t, s, at(5), "customer 7", "5 x")
	flush(t, s, at(5), at(6), entry("customer 7", 6, "y"))
	holds(t, s, at(6), "customer 7", "6 y")
}

// The marker came along and a customer did not: read as it stands, the customer would be a new one.
func TestRedis_SlotThatMovedWithoutAllItsKeysIsLost(t *testing.T) {
	for what, do := range map[string]func(s store.Store) error{
		"load": func(s store.Store) error {
			_, _, err := s.Load(t.Context(), part, [][]byte{[]byte("customer 7")})
			return err
		},
		"load of chunks": func(s store.Store) error {
			_, _, err := s.LoadChunks(t.Context(), part, []store.ChunkRef{{Key: []byte("customer 7")}})
			return err
		},
		"flush": func(s store.Store) error {
			_, err := s.Flush(t.Context(), &store.Flush{Partition: part, Base: at(5), Next: at(6), Entries: []store.Entry{entry("customer 8", 6, "y")}})
			return err
		},
	} {
		c, nodes, owner := fakeCluster(t)
		s := store.NewRedis(c, 1, partitions)
		flush(t, s, store.Marker{}, at(5), many(20, 5, "x")...)
		move(t, nodes[0], nodes[1], 20)
		marker := keyOf(t, nodes[0].client(t), "m")
		v, _ := nodes[0].Get(marker)
		_ = nodes[1].Set(marker, v)
		nodes[1].Del(keyOf(t, nodes[0].client(t), "h:"+hashed("customer 7")))
		owner.Store(1)
		for range 2 { // it stays so until the partition is replaced
			if err := do(s); !errors.Is(err, store.ErrLost) {
				t.Errorf("%s: error %v, want ErrLost", what, err)
			}
		}
		if out, err := s.Flush(t.Context(), &store.Flush{Partition: part, Next: at(7), Replace: true, Entries: many(20, 5, "z")}); err != nil || out.Now != at(7) {
			t.Errorf("%s: replaced: %v, %v", what, out, err)
		}
		holds(t, s, at(7), "customer 7", "5 z")
	}
}

// A slot whose keys are here and there is not served: what the importing node says under ASK is not the whole.
func TestRedis_SlotThatIsMovingIsNotFollowed(t *testing.T) {
	c, nodes, _ := fakeCluster(t)
	s := store.NewRedis(c, 1, partitions)
	flush(t, s, store.Marker{}, at(5), many(20, 5, "x")...)
	for _, says := range []string{"ASK 12288 " + nodes[1].Addr(), "TRYAGAIN Multiple keys request during rehashing of slot"} {
		nodes[0].say(says, always)
		if _, _, err := s.Load(t.Context(), part, [][]byte{[]byte("customer 7")}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
		if n := nodes[1].heard.Load(); n != 0 {
			t.Errorf("%s: the other node was asked %d times", says, n)
		}
		nodes[0].say("", 0)
		nodes[0].Del(keyOf(t, nodes[0].client(t), "h:"+hashed("customer 7"))) // and then it is whole again, but for one
		if _, _, err := s.Load(t.Context(), part, [][]byte{[]byte("customer 7")}); !errors.Is(err, store.ErrLost) {
			t.Errorf("%s: after it the keys were not counted: %v", says, err)
		}
		if _, err := s.Flush(t.Context(), &store.Flush{Partition: part, Next: at(5), Replace: true, Entries: many(20, 5, "x")}); err != nil {
			t.Fatal(err)
		}
		holds(t, s, at(5), "customer 7", "5 x")
	}
}
