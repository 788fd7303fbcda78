package store_test

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

// stores are the implementations under the contract: memory, the embedded Redis, and a real one where the environment names it.
func stores(t *testing.T) map[string]store.Store {
	t.Helper()
	out := map[string]store.Store{"memory": store.NewMemory()}
	embedded := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { embedded.Close() })
	out["miniredis"] = store.NewRedis(embedded, 1)
	if addr := os.Getenv("STREAMGAUGE_TEST_REDIS"); addr != "" {
		c := redis.NewClient(&redis.Options{Addr: addr, DB: 15})
		t.Cleanup(func() { c.Close() })
		if err := c.FlushDB(t.Context()).Err(); err != nil {
			t.Fatalf("STREAMGAUGE_TEST_REDIS=%s: %v", addr, err)
		}
		out["redis"] = store.NewRedis(c, 1)
	}
	return out
}

func at(offset int64) store.Marker { return store.Marker{Offset: offset, Config: 1, TopicID: "t"} }

func entry(k, v string) store.Entry { return store.Entry{Key: []byte(k), Value: []byte(v)} }

func flush(t *testing.T, s store.Store, base, next store.Marker, es ...store.Entry) store.Marker {
	t.Helper()
	now, err := s.Flush(t.Context(), 3, base, next, es)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func load(t *testing.T, s store.Store, keys ...string) (store.Marker, []string) {
	t.Helper()
	var ks [][]byte
	for _, k := range keys {
		ks = append(ks, []byte(k))
	}
	m, vs, err := s.Load(t.Context(), 3, ks)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range vs {
		out = append(out, string(v))
	}
	return m, out
}

func TestStore_FlushMovesTheMarkerWithItsCustomers(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			if m, _ := load(t, s, "a"); !m.IsZero() {
				t.Fatalf("an empty store has marker %v", m)
			}
			if now := flush(t, s, store.Marker{}, at(10), entry("a", "1"), entry("b\x00\xff", "\x00\xfe")); now != at(10) {
				t.Fatalf("marker %v after the first flush", now)
			}
			m, vs := load(t, s, "a", "b\x00\xff", "c")
			if m != at(10) || vs[0] != "1" || vs[1] != "\x00\xfe" || vs[2] != "" {
				t.Fatalf("loaded %v %q", m, vs)
			}
			if m, _, err := s.Load(t.Context(), 4, nil); err != nil || !m.IsZero() {
				t.Fatalf("partition 4 has marker %v, error %v", m, err)
			}
		})
	}
}

// The base check: without it a writer that a failover left behind moves the marker over customers that are not there, for ever.
func TestStore_FlushFromAnotherMarkerChangesNothing(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			flush(t, s, store.Marker{}, at(10), entry("a", "1"))
			other := at(10)
			other.TopicID = "recreated"
			for _, base := range []store.Marker{{}, at(9), at(11), other} {
				if now := flush(t, s, base, at(20), entry("a", "2"), entry("b", "2")); now != at(10) {
					t.Fatalf("flush from %v answered %v, want the stored %v", base, now, at(10))
				}
			}
			if m, vs := load(t, s, "a", "b"); m != at(10) || vs[0] != "1" || vs[1] != "" {
				t.Fatalf("refused flushes left %v %q", m, vs)
			}
		})
	}
}

func TestStore_FlushOfManyLargeCustomersIsOneStep(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			const n = 9000 // above what Lua's unpack takes, so that nobody builds the flush on it
			es := make([]store.Entry, n)
			value := bytes.Repeat([]byte{0xfe}, 1000)
			for i := range es {
				es[i] = store.Entry{Key: []byte{byte(i >> 8), byte(i)}, Value: value}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if now, err := s.Flush(ctx, 3, store.Marker{}, at(n), es); err != nil || now != at(n) {
				t.Fatalf("marker %v, error %v", now, err)
			}
			if _, vs := load(t, s, string(es[n-1].Key)); vs[0] != string(value) {
				t.Fatal("the last customer is not there")
			}
		})
	}
}

func TestMarker_OfAnotherVersionIsRefused(t *testing.T) {
	for _, s := range []string{"v2 1 1 t", "10", "v1 x 1 t", "v1 1 x t"} {
		if m, err := store.ParseMarker(s); err == nil {
			t.Errorf("%q parsed as %v", s, m)
		}
	}
}
