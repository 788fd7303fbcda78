package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

// partitions of every store under test; part is the one that tests use.
const (
	partitions = 4
	part       = 3
)

func at(offset int64) store.Marker {
	return store.Marker{Offset: offset, Config: 1, TopicID: "t", Chain: store.Chain{byte(offset), 0xff}}
}

// value is a stored customer: its LSN, then text.
func value(lsn int64, text string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(lsn)), text...)
}

func entry(key string, lsn int64, text string) store.Entry {
	return store.Entry{Key: []byte(key), LSN: lsn, Value: value(lsn, text)}
}

// delta appends tail to a customer of which from, with so much text behind its LSN, is stored.
func delta(key string, from int64, text int, lsn int64, tail string) store.Entry {
	return store.Entry{Key: []byte(key), LSN: lsn, Delta: &store.Delta{FromLSN: from, Length: 8 + text, Header: value(lsn, ""), Tail: []byte(tail)}}
}

func try(t *testing.T, s store.Store, base, next store.Marker, es ...store.Entry) store.Result {
	t.Helper()
	out, err := s.Flush(t.Context(), &store.Flush{Partition: part, Base: base, Next: next, Entries: es})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func flush(t *testing.T, s store.Store, base, next store.Marker, es ...store.Entry) {
	t.Helper()
	if out := try(t, s, base, next, es...); out.Now != next || len(out.Full) > 0 {
		t.Fatalf("flush from %v to %v answered %v", base, next, out)
	}
}

// holds fails unless the marker and the customers are those: pairs of key and text behind an LSN, "" for one that is not there.
func holds(t *testing.T, s store.Store, marker store.Marker, pairs ...string) {
	t.Helper()
	var keys [][]byte
	for i := 0; i < len(pairs); i += 2 {
		keys = append(keys, []byte(pairs[i]))
	}
	m, values, err := s.Load(t.Context(), part, keys)
	if err != nil {
		t.Fatal(err)
	}
	if m != marker {
		t.Errorf("marker %v, want %v", m, marker)
	}
	for i, v := range values {
		got := ""
		if v != nil {
			got = fmt.Sprintf("%d %s", binary.BigEndian.Uint64(v), v[8:])
		}
		if got != pairs[2*i+1] {
			t.Errorf("customer %q is %q, want %q", pairs[2*i], got, pairs[2*i+1])
		}
	}
}

// chunks fails unless the customer's chunks are those: pairs of "seq.version" and bytes, "" for one that is not there.
func chunks(t *testing.T, s store.Store, key string, pairs ...string) {
	t.Helper()
	var refs []store.ChunkRef
	for i := 0; i < len(pairs); i += 2 {
		refs = append(refs, store.ChunkRef{Key: []byte(key), Name: name(t, pairs[i])})
	}
	_, values, err := s.LoadChunks(t.Context(), part, refs)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if string(v) != pairs[2*i+1] {
			t.Errorf("chunk %s of %q is %.20q, want %.20q", pairs[2*i], key, v, pairs[2*i+1])
		}
	}
}

func name(t *testing.T, s string) (n store.ChunkName) {
	t.Helper()
	if _, err := fmt.Sscanf(s, "%d.%d", &n.Seq, &n.Version); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return n
}

func count(t *testing.T, s store.Store) {
	t.Helper()
	if _, _, err := s.Load(t.Context(), part, nil); err != nil {
		t.Errorf("the keys counted: %v", err)
	}
}

func TestStore_FlushMovesTheMarkerWithItsCustomers(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func(string)) {
		holds(t, s, store.Marker{}, "a", "")
		flush(t, s, store.Marker{}, at(10), entry("a", 1, "one"), entry("b\x00\xff", 10, "\x00\xfe"))
		holds(t, s, at(10), "a", "1 one", "b\x00\xff", "10 \x00\xfe", "c", "")
		if m, _, err := s.Load(t.Context(), part-1, nil); err != nil || !m.IsZero() {
			t.Fatalf("another partition has marker %v, error %v", m, err)
		}
		flush(t, s, at(10), at(11)) // records that change no customer
		holds(t, s, at(11), "a", "1 one")
		count(t, s)
	})
}

// The base check (F1): without it a writer that a failover left behind moves the marker over customers that are not there, for ever.
func TestStore_FlushFromAnotherMarkerChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func(string)) {
		flush(t, s, store.Marker{}, at(10), entry("a", 1, "one"))
		topic, config, chain := at(10), at(10), at(10)
		topic.TopicID, config.Config, chain.Chain[15] = "recreated", 2, 1
		for _, base := range []store.Marker{{}, at(9), at(11), topic, config, chain} {
			if out := try(t, s, base, at(20), entry("a", 20, "two"), entry("b", 20, "two")); out.Now != at(10) {
				t.Fatalf("flush from %v answered %v, want the stored %v", base, out.Now, at(10))
			}
		}
		holds(t, s, at(10), "a", "1 one", "b", "")
		count(t, s)
	})
}

// The LSN guard (F7): a call that comes late must not put an older customer, or a chunk of it, over a newer one.
func TestStore_CustomerOfALargerLSNIsLeftAlone(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func(string)) {
		newer := entry("a", 20, "newer")
		newer.Chunks = []store.Chunk{{Name: name(t, "1.2"), Value: []byte("newer")}}
		flush(t, s, store.Marker{}, at(20), newer)
		older := entry("a", 15, "older")
		older.Chunks = []store.Chunk{{Name: name(t, "1.2"), Value: []byte("older")}, {Name: name(t, "2.0"), Value: []byte("older")}}
		older.Dead = []store.ChunkName{name(t, "1.2")}
		flush(t, s, at(20), at(21), older, entry("b", 15, "b"))
		holds(t, s, at(21), "a", "20 newer", "b", "15 b")
		chunks(t, s, "a", "1.2", "newer", "2.0", "")
		out := try(t, s, at(21), at(22), delta("a", 20, 5, 19, "x")) // fits, and is older
		if out.Now != at(22) || out.Full != nil {
			t.Fatalf("an older delta answered %v", out)
		}
		holds(t, s, at(22), "a", "20 newer")
		flush(t, s, at(22), at(23), entry("a", 20, "again")) // the same LSN: the same customer, in any layout
		holds(t, s, at(23), "a", "20 again")
		count(t, s)
	})
}

// LSNs are compared as numbers of 64 bits: not as text, not as floats.
func TestStore_LargeLSNsAreTold(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func(string)) {
		lsns := []int64{0, 1, 127, 128, 255, 256, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<53 - 1, 1 << 53, 1<<53 + 1, 1<<53 + 2, 1<<62 - 1, 1<<63 - 1}
		base := store.Marker{}
		for i, stored := range lsns {
			for j, lsn := range lsns {
				key := fmt.Sprintf("%d over %d", lsn, stored)
				next := at(int64(i*len(lsns)+j)*2 + 1)
				flush(t, s, base, next, entry(key, stored, "stored"))
				base = at(next.Offset + 1)
				flush(t, s, next, base, entry(key, lsn, "later"))
				want := fmt.Sprintf("%d later", lsn)
				if stored > lsn {
					want = fmt.Sprintf("%d stored", stored)
				}
				holds(t, s, base, key, want)
			}
		}
	})
}

func TestStore_DeltaOnWhatItWasMadeFromIsTheWhole(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func(string)) {
		flush(t, s, store.Marker{}, at(10), entry("a", 10, "head rows"))
		d := delta("a", 10, 9, 12, " and more")
		d.Delta.Header = append(d.Delta.Header, "HEAD"...)
		flush(t, s, at(10), at(12), d)
		holds(t, s, at(12), "a", "12 HEAD rows and more")
		flush(t, s, at(12), at(13), delta("a", 12, 18, 13, "")) // a header alone
		holds(t, s, at(13), "a", "13 HEAD rows and more")
		count(t, s)
	})
}

// A delta on anything else would make a customer that never was.
func TestStore_DeltaOnAnythingElseComesBackAndItsCallWritesNothing(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func(string)) {
		flush(t, s, store.Marker{}, at(10), entry("lsn", 9, "text"), entry("length", 10, "longer"), entry("shorter", 10, "tex"), entry("fits", 10, "text"))
		fits := delta("fits", 10, 4, 12, "+")
		fits.Chunks, fits.Dead = []store.Chunk{{Name: name(t, "1.0"), Value: []byte("c")}}, nil
		es := []store.Entry{entry("whole", 12, "w"), fits, delta("lsn", 10, 4, 12, "+"), delta("length", 10, 4, 12, "+"), delta("shorter", 10, 4, 12, "+"), delta("missing", 10, 4, 12, "+")}
		out := try(t, s, at(10), at(12), es...)
		if want := [][]byte{[]byte("lsn"), []byte("length"), []byte("shorter"), []byte("missing")}; out.Now != at(10) || !slices.EqualFunc(out.Full, want, bytes.Equal) {
			t.Fatalf("answered %v %q, want the marker where it was and %q", out.Now, out.Full, want)
		}
		holds(t, s, at(10), "whole", "", "fits", "10 text", "lsn", "9 text", "length", "10 longer", "missing", "")
		chunks(t, s, "fits", "1.0", "")
		flush(t, s, at(10), at(12), entry("whole", 12, "w"), fits, entry("lsn", 12, "l"), entry("missing", 12, "m"))
		holds(t, s, at(12), "whole", "12 w", "fits", "12 text+", "lsn", "12 l", "missing", "12 m")
		count(t, s)
	})
}

func TestStore_ChunksComeAndGoWithTheirHead(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func(string)) {
		e := entry("a", 10, "names 1.0 2.0")
		e.Chunks = []store.Chunk{{Name: name(t, "1.0"), Value: []byte("one")}, {Name: name(t, "2.0"), Value: []byte("two\x00")}}
		flush(t, s, store.Marker{}, at(10), e)
		chunks(t, s, "a", "1.0", "one", "2.0", "two\x00", "3.0", "")
		chunks(t, s, "b", "1.0", "")
		e = delta("a", 10, 13, 12, ", then 1.1")
		e.Chunks = []store.Chunk{{Name: name(t, "1.1"), Value: []byte("one, edited")}}
		e.Dead = []store.ChunkName{name(t, "1.0"), name(t, "7.7")} // 7.7 never was
		flush(t, s, at(10), at(12), e)
		holds(t, s, at(12), "a", "12 names 1.0 2.0, then 1.1")
		chunks(t, s, "a", "1.0", "", "1.1", "one, edited", "2.0", "two\x00")
		e.Delta, e.Value = nil, value(12, "whole") // sent again: a chunk that is there, a dead one that is gone
		flush(t, s, at(12), at(13), e)
		count(t, s)
	})
}

// many are customers of which a flush needs several calls.
func many(n int, lsn int64, text string) []store.Entry {
	es := make([]store.Entry, n)
	for i := range es {
		es[i] = entry(fmt.Sprint("customer ", i), lsn, text)
	}
	return es
}

func TestStore_FlushOfManyLargeCustomersArrivesWhole(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func(string)) {
		const n = 1000
		es := many(n, 10, strings.Repeat("\xfe", 1000))
		es[7].Value = append(es[7].Value, make([]byte, 1<<20)...) // more than a call holds
		big := &es[8]
		for i := range 300 {
			big.Chunks = append(big.Chunks, store.Chunk{Name: store.ChunkName{Seq: uint64(i)}, Value: bytes.Repeat([]byte{byte(i)}, 5000)})
		}
		flush(t, s, store.Marker{}, at(10), es...)
		for _, i := range []int{0, 7, 8, n - 1} {
			if _, vs, err := s.Load(t.Context(), part, [][]byte{es[i].Key}); err != nil || !bytes.Equal(vs[0], es[i].Value) {
				t.Errorf("customer %d has %d bytes of %d, error %v", i, len(vs[0]), len(es[i].Value), err)
			}
		}
		chunks(t, s, "customer 8", "0.0", string(big.Chunks[0].Value), "299.0", string(big.Chunks[299].Value))
		count(t, s)
		dead := entry("customer 8", 12, "smaller")
		for _, c := range big.Chunks {
			dead.Dead = append(dead.Dead, c.Name)
		}
		flush(t, s, at(10), at(12), dead)
		chunks(t, s, "customer 8", "0.0", "", "299.0", "")
		count(t, s)
	})
}

// Loss that the marker does not show (F9): what was evicted or deleted reads as a new customer.
func TestStore_MissingKeyIsFoundWhenTheKeysAreCounted(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, forget func(string)) {
		flush(t, s, store.Marker{}, at(10), many(300, 5, "text")...)
		beside := &store.Flush{Partition: part - 1, Next: at(7), Entries: many(10, 7, "beside")}
		if out, err := s.Flush(t.Context(), beside); err != nil || out.Now != at(7) {
			t.Fatal(out, err)
		}
		count(t, s)
		forget("customer 200")
		if m, _, err := s.Load(t.Context(), part, nil); !errors.Is(err, store.ErrLost) || m != at(10) {
			t.Fatalf("one of 300 customers is gone: marker %v, error %v, want %v and ErrLost", m, err, at(10))
		} else if !strings.Contains(err.Error(), "partition 3") {
			t.Errorf("%v: does not say which partition", err)
		}
		if _, _, err := s.Load(t.Context(), part-1, nil); err != nil {
			t.Errorf("the partition beside it, which has lost nothing: %v", err)
		}
	})
}

func TestStore_ReplaceBeginsAnew(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, forget func(string)) {
		es := many(300, 50, "old")
		es[0].Chunks = []store.Chunk{{Name: name(t, "1.0"), Value: []byte("old")}}
		flush(t, s, store.Marker{}, at(50), es...)
		other := &store.Flush{Partition: part - 1, Next: at(7), Entries: []store.Entry{entry("of another partition", 7, "stays")}}
		if out, err := s.Flush(t.Context(), other); err != nil || out.Now != at(7) {
			t.Fatal(out, err)
		}
		forget("customer 200")
		out, err := s.Flush(t.Context(), &store.Flush{Partition: part, Next: at(40), Replace: true, Entries: []store.Entry{entry("customer 1", 40, "new")}})
		if err != nil || out.Now != at(40) {
			t.Fatalf("answered %v, error %v", out, err)
		}
		holds(t, s, at(40), "customer 1", "40 new", "customer 0", "", "customer 299", "")
		chunks(t, s, "customer 0", "1.0", "")
		count(t, s)
		if m, vs, err := s.Load(t.Context(), part-1, [][]byte{[]byte("of another partition")}); err != nil || m != at(7) || vs[0] == nil {
			t.Errorf("the partition beside it: %v %q %v", m, vs, err)
		}
	})
}

func TestFlush_BugsOfTheCallerPanic(t *testing.T) {
	whole := entry("a", 1, "")
	whole.LSN = 2
	longer := delta("a", 1, 0, 2, "")
	longer.Delta.Header = append(longer.Delta.Header, 'x')
	short := entry("a", 1, "")
	short.Value = short.Value[:7]
	for what, f := range map[string]*store.Flush{
		"a value of another LSN":                   {Next: at(1), Entries: []store.Entry{whole}},
		"a value without LSN":                      {Next: at(1), Entries: []store.Entry{short}},
		"a header longer than what it is put over": {Next: at(1), Entries: []store.Entry{longer}},
		"the zero marker":                          {Base: at(1)},
		"replace from a base":                      {Base: at(1), Next: at(2), Replace: true},
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.HasPrefix(fmt.Sprint(r), "BUG: ") {
					t.Errorf("%s: %v", what, r)
				}
			}()
			_, _ = store.NewMemory().Flush(t.Context(), f)
		}()
	}
}
