package store_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

// saying is an embedded Redis whose INFO says that.
func saying(t *testing.T, facts string) string {
	t.Helper()
	m := miniredis.RunT(t)
	m.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
		if cmd != "INFO" {
			return false
		}
		if strings.HasPrefix(facts, "-") {
			p.WriteError(facts[1:])
		} else {
			p.WriteBulk(strings.ReplaceAll(facts, " ", "\r\n"))
		}
		return true
	})
	return m.Addr()
}

// F9: with another policy Redis throws windows away, and a window that is gone reads as a new customer.
func TestOpen_RefusesARedisThatIsNotFitForWindows(t *testing.T) {
	good := "redis_version:7.0.15 redis_mode:standalone role:master maxmemory_policy:noeviction"
	for _, c := range []struct {
		facts   string
		other   bool // a second address is given
		set     store.Settings
		parts   []string // of the message
		operate bool
	}{
		{facts: strings.Replace(good, "noeviction", "allkeys-lru", 1), parts: []string{"maxmemory-policy allkeys-lru", "Set maxmemory-policy noeviction"}, operate: true},
		{facts: strings.Replace(good, "7.0.15", "6.2.1", 1), parts: []string{"version 6.2.1", "7 or newer"}, operate: true},
		{facts: "redis_version:6.0 maxmemory_policy:volatile-ttl", parts: []string{"volatile-ttl", "version 6.0"}, operate: true}, // both at once
		{facts: strings.Replace(good, "standalone", "sentinel", 1), parts: []string{"Sentinel", "address of the master"}, operate: true},
		{facts: "redis_version:7.0.15 redis_mode:standalone role:slave master_host:10.1.2.3 master_port:6379", parts: []string{"replica of 10.1.2.3:6379"}},
		{facts: good, other: true, parts: []string{"2 addresses", "is not a node of a Redis Cluster"}, operate: true},
		{facts: good, set: store.Settings{Cluster: true}, parts: []string{"redis.cluster is true"}, operate: true},
		{facts: strings.Replace(good, "standalone", "cluster", 1), set: store.Settings{Database: 3}, parts: []string{"redis.database is 3"}, operate: true},
		{facts: "-NOPERM this user has no permissions to run the 'info' command", parts: []string{"+info"}, operate: true},
		{facts: "-NOAUTH Authentication required.", parts: []string{"redis.password"}, operate: true},
		{facts: "-LOADING Redis is loading the dataset in memory", parts: []string{"LOADING"}},
	} {
		c.set.Addresses = []string{saying(t, c.facts)}
		if c.other {
			c.set.Addresses = append(c.set.Addresses, saying(t, c.facts))
		}
		client, err := store.Open(t.Context(), c.set)
		if err == nil {
			client.Close()
			t.Errorf("%s passed", c.facts)
			continue
		}
		if errors.Is(err, store.ErrOperator) != c.operate {
			t.Errorf("%s: %v: ErrOperator %v, want %v", c.facts, err, !c.operate, c.operate)
		}
		for _, part := range append(c.parts, c.set.Addresses[0]) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v: does not say %q", c.facts, err, part)
			}
		}
	}
}

func TestOpen_TakesWhatAnswersFirstAndTheEmbeddedOneAsItIs(t *testing.T) {
	m := miniredis.RunT(t)
	settings := store.Settings{Addresses: []string{m.Addr()}}
	client, err := store.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, single := client.(*redis.Client); !single {
		t.Errorf("a %T", client)
	}
	m.Close()
	if _, err := store.Open(t.Context(), settings); err == nil || errors.Is(err, store.ErrOperator) {
		t.Errorf("nobody there: %v, want an error that goes by", err)
	}
}

// A real one: found by one node, first address dead; one master of three evicts.
func TestOpen_ClusterIsFoundByItsNodesAndEveryMasterIsLookedAt(t *testing.T) {
	need(t)
	all := strings.Split(os.Getenv("STREAMGAUGE_TEST_REDIS_CLUSTER"), ",")
	client, err := store.Open(t.Context(), store.Settings{Addresses: []string{"127.0.0.1:1", all[0]}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, ok := client.(*redis.ClusterClient)
	if !ok {
		t.Fatalf("a %T", client)
	}
	s := store.NewRedis(c, 1, partitions)
	flush(t, s, store.Marker{}, at(1), entry("a", 1, "x"))
	master, _, other := owners(t, c)
	for _, addr := range []string{master, other} {
		n := node(t, addr)
		if err := n.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
			t.Fatal(err)
		}
		defer n.ConfigSet(t.Context(), "maxmemory-policy", "noeviction")
	}
	_, err = store.Open(t.Context(), store.Settings{Addresses: all})
	if !errors.Is(err, store.ErrOperator) || !strings.Contains(fmt.Sprint(err), master) || !strings.Contains(fmt.Sprint(err), other) {
		t.Errorf("two masters evict: %v, want both named: %s %s", err, master, other)
	}
}

// The real refusal: memory is full, nothing is evicted, and after maxmemory is raised it goes on.
func TestRedis_FullMemorySaysWhatToDoAndGoesOnAfterIt(t *testing.T) {
	c := realRedis(t)
	if c == nil {
		t.Skip("STREAMGAUGE_TEST_REDIS names no server: make test-servers starts one")
	}
	s := store.NewRedis(c, 1, partitions)
	flush(t, s, store.Marker{}, at(1), entry("a", 1, "x"))
	if err := c.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	defer c.ConfigSet(t.Context(), "maxmemory", "0")
	_, err := s.Flush(t.Context(), &store.Flush{Partition: part, Base: at(1), Next: at(2), Entries: many(100, 2, "y")})
	if !errors.Is(err, store.ErrOperator) || !strings.Contains(err.Error(), "raise maxmemory") {
		t.Fatalf("error %v", err)
	}
	holds(t, s, at(1), "a", "1 x", "customer 0", "")
	if err := c.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	flush(t, s, at(1), at(2), many(100, 2, "y")...)
	count(t, s)
}
