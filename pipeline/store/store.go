// Package store holds the windows behind the engine: what Redis keeps of a partition, so that a restart need not read the whole log.
//
// The rules (I4, I6, I7 of the protocol, variant H2 of its model): the store is at or behind Kafka, never ahead, and always a
// consistent prefix. Each partition has a Marker that says how far it reflects the log. A Flush is compare-and-set on that marker: it
// moves a partition from exactly the marker that the writer believes in to the next, so a writer that is wrong about the store (a
// failover lost a suffix, another owner wrote) moves nothing and learns what is there. Load returns the marker with the customers it
// belongs to, for the same reason. No epoch is needed for safety, and none is kept.
//
// A large flush travels as several calls (split.go), each atomic. A chain token keeps the calls of two writers apart, and every
// customer is guarded by its LSN: a call that comes late never puts an older customer over a newer one. Between two calls of a flush the
// customers may be ahead of the marker, never behind it. Replay skips what a customer already holds, and marks it changed all the same.
//
// Files: store.go the contract · marker.go · split.go a flush as calls · memory.go · redis.go keys.go nodes.go count.go connect.go and the
// Lua scripts: Redis, single or Cluster · errors.go what a refusal of Redis means.
package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// Store is where windows are written behind. Implementations are safe for concurrent use and pass one contract test.
type Store interface {
	// Load reads the partition's marker and the customers' stored forms in one atomic step; a customer that is not there is nil. The
	// marker must be held against what the caller believes, every time. Without keys it also counts what is stored against the count
	// kept with the marker and fails with ErrLost, or ErrForeign, if they differ.
	Load(ctx context.Context, partition int32, keys [][]byte) (Marker, [][]byte, error)
	// LoadChunks is Load for sealed chunks. A chunk that is not there is nil: under a marker that is at or beyond the caller's base it is
	// one that a newer head of another owner has superseded: not an empty one, but a partition to be rebuilt.
	LoadChunks(ctx context.Context, partition int32, refs []ChunkRef) (Marker, [][]byte, error)
	// Flush writes f's entries and moves the marker from f.Base to f.Next, if the stored marker is f.Base. Result.Now says whether it
	// did: Now == f.Next. After an error nothing is known: each entry may or may not be there, and the marker may have moved. The caller
	// flushes again, every entry with its whole Value, and learns from the marker.
	Flush(ctx context.Context, f *Flush) (Result, error)
}

// ErrLost is a partition whose customers are not all there: the store forgot keys behind the marker's back (eviction, expiry, a slot
// moved key by key, somebody's DEL), or an earlier Replace was broken off. What is there is worthless; rebuild, and Flush with Replace.
var ErrLost = errors.New("window store: keys are missing or left over")

// ErrForeign is a database, or a slot, with keys that are not ours. Nothing can be counted there; it is a mistake of the configuration.
var ErrForeign = errors.New("window store: foreign keys")

// Flush is one move of a partition's marker.
type Flush struct {
	Partition  int32
	Base, Next Marker
	// Replace empties the partition first, whatever its marker says; Base must be the zero Marker. For a partition that is LOST. A live
	// owner of that partition is not harmed: it finds its marker gone and rebuilds.
	Replace bool
	Entries []Entry // every Key once
}

// Entry is what a flush says about one customer: its stored form, whole or as the difference from the one that is stored, and the sealed
// chunks that come or go with it. Where the stored customer is of a larger LSN, the whole Entry is passed over.
type Entry struct {
	Key    []byte // schemas.CustomerKey
	LSN    int64  // offset + 1 of the last record folded in
	Value  []byte // the whole stored form; its first 8 bytes are LSN, big endian. Unused where Delta is set
	Delta  *Delta
	Chunks []Chunk     // written before the head that names them
	Dead   []ChunkName // deleted after the head that no longer names them
}

// Delta turns the stored form of FromLSN and of Length bytes into that of the entry's LSN: Header is written over its beginning, Tail
// appended. It is applied only if LSN and length are those; else the key comes back in Result.Full.
type Delta struct {
	FromLSN int64
	Length  int
	Header  []byte // at least 8 bytes, LSN big endian first; at most Length
	Tail    []byte
}

// ChunkName names one state of a sealed chunk: an edit is a new version.
type ChunkName struct {
	Seq     uint64
	Version uint32
}

// Chunk is a sealed chunk's bytes; immutable under its name.
type Chunk struct {
	Name  ChunkName
	Value []byte
}

// ChunkRef is a chunk of a customer.
type ChunkRef struct {
	Key  []byte
	Name ChunkName
}

// Result is what a flush found or did.
type Result struct {
	Now Marker // stored afterwards; f.Next: all of f is in the store
	// Full are the keys whose Delta does not fit what is stored. The marker did not move; the next flush sends them whole. There may be
	// more of them in calls that were not made: after an error or a rebuild send everything whole.
	Full [][]byte
}

// lsnBytes is the length of the LSN that every stored customer begins with.
const lsnBytes = 8

// check panics on what only a bug can send.
func (f *Flush) check() {
	if f.Replace && !f.Base.IsZero() {
		panic(fmt.Sprintf("BUG: partition %d: a flush that replaces has base %v", f.Partition, f.Base))
	}
	if f.Next.IsZero() {
		panic(fmt.Sprintf("BUG: partition %d: a flush to the zero marker", f.Partition))
	}
	for i := range f.Entries {
		e := &f.Entries[i]
		head := e.Value
		if e.Delta != nil {
			head = e.Delta.Header
		}
		if len(head) < lsnBytes || binary.BigEndian.Uint64(head) != uint64(e.LSN) {
			panic(fmt.Sprintf("BUG: partition %d: a stored customer does not begin with its LSN %d", f.Partition, e.LSN))
		}
		if d := e.Delta; d != nil && len(d.Header) > d.Length {
			panic(fmt.Sprintf("BUG: partition %d: a delta's header of %d bytes is longer than the %d bytes it changes", f.Partition, len(d.Header), d.Length))
		}
	}
}
