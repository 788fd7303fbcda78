package store_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// interruptible runs a test on memory and on the embedded Redis, with a place to do something before a call of a flush, the first is 0.
func interruptible(t *testing.T, test func(t *testing.T, s store.Store, before *func(call int) error)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		before := func(int) error { return nil }
		s := store.NewMemory()
		s.Between = func(_ int32, call int) error { return before(call) }
		test(t, s, &before)
	})
	t.Run("miniredis", func(t *testing.T) {
		before := func(int) error { return nil }
		m := miniredis.RunT(t)
		c := redis.NewClient(store.Settings{Addresses: []string{m.Addr()}}.Options())
		t.Cleanup(func() { c.Close() })
		m.Server().SetPreHook(func(p *server.Peer, cmd string, args ...string) bool {
			if cmd != "EVALSHA" || len(args) < 3 {
				return false
			}
			var keys, call int
			_, _ = fmt.Sscan(args[1], &keys)
			if at := 2 + keys + 3; at < len(args) && len(args[at-1]) == 16 { // a flush's, behind its id
				_, _ = fmt.Sscan(args[at], &call)
			}
			if call == 0 {
				return false
			}
			if err := before(call); err != nil {
				p.WriteError("ERR " + err.Error())
				return true
			}
			return false
		})
		test(t, store.NewRedis(c, 1, partitions), &before)
	})
}

// K8: what a flush left behind half-way is ahead of the marker, and the next flush from the same base puts both together again.
func TestStore_FlushThatEndsBetweenItsCallsLeavesTheMarker(t *testing.T) {
	interruptible(t, func(t *testing.T, s store.Store, before *func(int) error) {
		flush(t, s, store.Marker{}, at(10), many(300, 10, "x")...)
		died := errors.New("killed")
		*before = func(call int) error {
			if call == 2 {
				return died
			}
			return nil
		}
		if _, err := s.Flush(t.Context(), &store.Flush{Partition: part, Base: at(10), Next: at(20), Entries: many(300, 20, "y")}); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("error %v", err)
		}
		holds(t, s, at(10), "customer 0", "20 y", "customer 255", "20 y", "customer 256", "10 x")
		count(t, s)
		*before = func(int) error { return nil }
		flush(t, s, at(10), at(20), many(300, 20, "y")...)
		holds(t, s, at(20), "customer 0", "20 y", "customer 299", "20 y")
		count(t, s)
	})
}

// The chain token (F7): two owners begin from one base. Without it the first's last call moves the marker over what the second put
// there, or what a failover took away.
func TestStore_CallsOfTwoFlushesDoNotMix(t *testing.T) {
	interruptible(t, func(t *testing.T, s store.Store, before *func(int) error) {
		flush(t, s, store.Marker{}, at(10), many(300, 10, "x")...)
		*before = func(call int) error {
			if call != 1 {
				return nil
			}
			*before = func(call int) error { // the other flush gets through its first call
				if call == 1 {
					return errors.New("the other is killed")
				}
				return nil
			}
			_, err := s.Flush(t.Context(), &store.Flush{Partition: part, Base: at(10), Next: at(15), Entries: many(300, 15, "other")})
			if err == nil {
				t.Error("the other flush was to end")
			}
			*before = func(int) error { return nil }
			return nil
		}
		_, err := s.Flush(t.Context(), &store.Flush{Partition: part, Base: at(10), Next: at(20), Entries: many(300, 20, "y")})
		if err == nil || !strings.Contains(err.Error(), "interrupted") || !strings.Contains(err.Error(), "offset 20 at its call 1") {
			t.Fatalf("error %v, want one that names offset and call", err)
		}
		holds(t, s, at(10), "customer 0", "20 y", "customer 200", "10 x") // guarded: the other's older customer is not over it
		count(t, s)
	})
}

// The base is looked at in every call: the other flush may have come to its end.
func TestStore_CallAfterTheMarkerMovedChangesNothing(t *testing.T) {
	interruptible(t, func(t *testing.T, s store.Store, before *func(int) error) {
		flush(t, s, store.Marker{}, at(10), many(300, 10, "x")...)
		*before = func(call int) error {
			if call == 2 {
				*before = func(int) error { return nil }
				flush(t, s, at(10), at(15), entry("customer 299", 15, "other"))
			}
			return nil
		}
		out := try(t, s, at(10), at(20), many(300, 20, "y")...)
		if out.Now != at(15) {
			t.Fatalf("answered %v, want what the other left, %v", out.Now, at(15))
		}
		holds(t, s, at(15), "customer 0", "20 y", "customer 299", "15 other")
		count(t, s)
	})
}

// A failover between two calls that loses the first: the second must not go on from there.
func TestStore_CallAfterItsPredecessorWasLostChangesNothing(t *testing.T) {
	s := store.NewMemory()
	flush(t, s, store.Marker{}, at(10), many(300, 10, "x")...)
	before := s.Snapshot()
	s.Between = func(_ int32, call int) error {
		if call == 2 {
			s.Restore(before)
		}
		return nil
	}
	if _, err := s.Flush(t.Context(), &store.Flush{Partition: part, Base: at(10), Next: at(20), Entries: many(300, 20, "y")}); err == nil {
		t.Error("the marker moved over a lost call")
	}
	holds(t, s, at(10), "customer 0", "10 x", "customer 299", "10 x")
}

// In every prefix of the calls a chunk is there before the head that names it, and goes after the head that does not.
func TestStore_ChunksAreNeverBehindTheirHeadInAnyPrefixOfTheCalls(t *testing.T) {
	interruptible(t, func(t *testing.T, s store.Store, before *func(int) error) {
		old, next := entry("a", 10, "old"), entry("a", 20, "new")
		const n = 400 // more than three calls hold
		for i := range n {
			old.Chunks = append(old.Chunks, store.Chunk{Name: store.ChunkName{Seq: uint64(i)}, Value: []byte("old")})
			next.Chunks = append(next.Chunks, store.Chunk{Name: store.ChunkName{Seq: uint64(i), Version: 1}, Value: []byte("new")})
			next.Dead = append(next.Dead, store.ChunkName{Seq: uint64(i)})
		}
		flush(t, s, store.Marker{}, at(10), old)
		looks := 0
		*before = func(int) error {
			looks++
			_, values, err := s.Load(t.Context(), part, [][]byte{[]byte("a")})
			if err != nil {
				return err
			}
			names := old.Chunks
			if string(values[0][8:]) == "new" {
				names = next.Chunks
			}
			for _, c := range names {
				_, got, err := s.LoadChunks(t.Context(), part, []store.ChunkRef{{Key: []byte("a"), Name: c.Name}})
				if err != nil || string(got[0]) != string(c.Value) {
					return fmt.Errorf("head %s, chunk %v is %q, error %w", values[0][8:], c.Name, got[0], err)
				}
			}
			return nil
		}
		flush(t, s, at(10), at(20), next)
		if looks < 6 {
			t.Fatalf("%d looks between the calls", looks)
		}
		count(t, s)
	})
}

// The stored form: another version of this program must find its way in it, or refuse it. -update writes it anew.
func TestRedis_StoredFormIsTheGoldenOne(t *testing.T) {
	m := miniredis.RunT(t)
	c := redis.NewClient(store.Settings{Addresses: []string{m.Addr()}}.Options())
	t.Cleanup(func() { c.Close() })
	s := store.NewRedis(c, 1, partitions)
	e := entry("a", 258, "text")
	e.Chunks = []store.Chunk{{Name: store.ChunkName{Seq: 7, Version: 2}, Value: []byte("chunk")}}
	flush(t, s, store.Marker{}, store.Marker{Offset: 259, Config: 3, TopicID: "M2U2NDA5NzY4YjA1NGZhZg", Chain: store.Chain{0xab, 15: 0xcd}}, e)
	var b strings.Builder
	for _, k := range m.DB(0).Keys() {
		v, _ := m.Get(k)
		if strings.HasSuffix(k, ":m") {
			id, rest, _ := strings.Cut(v, " ")
			if len(id) != 16 {
				t.Errorf("the flush's id is %q", id)
			}
			v = "<id> " + rest
		}
		fmt.Fprintf(&b, "%s %q\n", k, v)
	}
	file := filepath.Join("testdata", "stored.v2.golden")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("stored:\n%swant:\n%s", b.String(), want)
	}
}

func TestMarker_IsReadAsItWasWrittenAndOtherVersionsAreRefused(t *testing.T) {
	for _, m := range []store.Marker{{}, at(10), {Offset: 1<<63 - 1, Config: 1<<31 - 1, TopicID: "x", Chain: store.Chain{1, 2, 15: 3}}} {
		if got, err := store.ParseMarker(m.String()); err != nil || got != m {
			t.Errorf("%v became %v, %v", m, got, err)
		}
	}
	chain := strings.Repeat("0", 32)
	for _, s := range []string{"v1 10 1 t", "v3 10 1 t " + chain, "10", "v2 x 1 t " + chain, "v2 1 x t " + chain, "v2 1 1 t " + chain[1:], "v2 1 1 t " + chain + "00", "v2 1 1 t " + chain[1:] + "g", "v2 1 1 t " + chain + " x"} {
		if m, err := store.ParseMarker(s); err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("%q parsed as %v, error %v", s, m, err)
		}
	}
}

// Somebody else's key, or what an older generation left, makes the count worthless: that is said, and is no loss.
func TestRedis_KeyOfSomebodyElseIsNotTakenForALoss(t *testing.T) {
	m := miniredis.RunT(t)
	c := redis.NewClient(store.Settings{Addresses: []string{m.Addr()}}.Options())
	t.Cleanup(func() { c.Close() })
	s := store.NewRedis(c, 2, partitions)
	flush(t, s, store.Marker{}, at(5), entry("a", 5, "x"))
	for _, key := range []string{"session:17", "{1.3.0q35}:m", "{2.99.0q35}:m", "{2.x.0}:m"} {
		if err := m.Set(key, "x"); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Load(t.Context(), part, nil)
		if !errors.Is(err, store.ErrForeign) || errors.Is(err, store.ErrLost) || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "redis.database") {
			t.Errorf("beside %q: %v", key, err)
		}
		m.Del(key)
		count(t, s)
	}
}
