package store_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

// database is what these tests empty on a real Redis; other packages use 14.
const database = 15

// each runs a test on every implementation: memory, the embedded Redis, and those that the environment names. forget drops a customer
// of partition part behind the store's back.
func each(t *testing.T, test func(t *testing.T, s store.Store, forget func(key string))) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		s := store.NewMemory()
		test(t, s, func(key string) { s.Forget(part, []byte(key)) })
	})
	onRedis := func(c redis.UniversalClient) func(t *testing.T) {
		return func(t *testing.T) {
			test(t, store.NewRedis(c, 1, partitions), func(key string) { forget(t, c, key) })
		}
	}
	t.Run("miniredis", func(t *testing.T) {
		c := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
		embedded.Store(c, nil)
		t.Cleanup(func() { embedded.Delete(c); c.Close() })
		onRedis(c)(t)
	})
	if c := realRedis(t); c != nil {
		t.Run("redis", onRedis(c))
	}
	if c := realCluster(t); c != nil {
		t.Run("cluster", onRedis(c))
	}
}

// realRedis is the one that the environment names, emptied; nil: none.
func realRedis(t *testing.T) *redis.Client {
	t.Helper()
	addr := os.Getenv("STREAMGAUGE_TEST_REDIS")
	if addr == "" {
		return nil
	}
	c := redis.NewClient(&redis.Options{Addr: addr, DB: database})
	t.Cleanup(func() { c.Close() })
	if err := c.FlushDB(t.Context()).Err(); err != nil {
		t.Fatalf("STREAMGAUGE_TEST_REDIS=%s: %v", addr, err)
	}
	return c
}

// realCluster is the one that the environment names, emptied; nil: none.
func realCluster(t *testing.T) *redis.ClusterClient {
	t.Helper()
	addrs := os.Getenv("STREAMGAUGE_TEST_REDIS_CLUSTER")
	if addrs == "" {
		return nil
	}
	c := redis.NewClusterClient(store.Settings{Addresses: strings.Split(addrs, ",")}.ClusterOptions())
	t.Cleanup(func() { c.Close() })
	if err := c.ForEachMaster(t.Context(), flushAll); err != nil {
		t.Fatalf("STREAMGAUGE_TEST_REDIS_CLUSTER=%s: %v", addrs, err)
	}
	return c
}

// hashed is the end of a customer's key in Redis, made here once more.
func hashed(key string) string {
	h := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(h[:16])
}

// forget deletes a customer as an eviction does; its key is found by how it ends.
func forget(t *testing.T, c redis.UniversalClient, key string) {
	t.Helper()
	name := keyOf(t, c, "h:"+hashed(key))
	if n, err := c.Del(t.Context(), name).Result(); err != nil || n != 1 {
		t.Fatalf("DEL %s: %d, %v", name, n, err)
	}
}

// forgetScripts tells every Redis under test SCRIPT FLUSH.
func forgetScripts(t *testing.T) {
	t.Helper()
	embedded.Range(func(c, _ any) bool {
		err := c.(*redis.Client).ScriptFlush(t.Context()).Err()
		if err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Fatal(err)
		}
		return true
	})
	for _, variable := range []string{"STREAMGAUGE_TEST_REDIS", "STREAMGAUGE_TEST_REDIS_CLUSTER"} {
		for _, addr := range strings.FieldsFunc(os.Getenv(variable), func(r rune) bool { return r == ',' }) {
			c := redis.NewClient(&redis.Options{Addr: addr})
			_ = c.ScriptFlush(t.Context()) // a replica refuses, and follows its master
			c.Close()
		}
	}
}

// embedded are the clients of embedded Redis that are in use.
var embedded sync.Map
