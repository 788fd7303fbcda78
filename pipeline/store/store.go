// Package store holds the windows behind the engine: what Redis keeps of a partition, so that a restart need not read the whole log.
//
// The rules (I4, I6, I7 of the protocol): the store is at or behind Kafka, never ahead, and always a consistent prefix. Each partition
// has a Marker that says how far it reflects the log. Flush is compare-and-set on that marker: it moves a partition from exactly the
// marker that the writer believes in to the next, with every customer that changed in between, atomically; so a writer that is wrong
// about the store (a failover lost a suffix, another owner wrote) changes nothing and learns what is there. Load returns the marker
// with the customers it belongs to, for the same reason. No epoch is needed for safety, and none is kept.
package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Store is where windows are written behind. Implementations are safe for concurrent use and pass one contract test.
type Store interface {
	// Load reads the partition's marker and the customers' bytes in one atomic step; a customer that is not there is nil.
	Load(ctx context.Context, partition int32, keys [][]byte) (Marker, [][]byte, error)
	// Flush writes entries and moves the marker from base to next if the stored marker is base. Otherwise it writes nothing and returns
	// the stored one. After an error nothing is known: the caller flushes again and learns from the marker.
	Flush(ctx context.Context, partition int32, base, next Marker, entries []Entry) (now Marker, err error)
}

// Entry is one customer's bytes.
type Entry struct {
	Key   []byte // schemas.CustomerKey
	Value []byte
}

// Marker says how far the store reflects a partition of topic events. The zero Marker is a partition that was never flushed.
type Marker struct {
	Offset  int64  // of the next record that is not reflected
	Config  int32  // version of the configuration in force there
	TopicID string // of topic events: a recreated topic's offsets mean something else
	Chain   Chain  // over the records below Offset
}

// Chain is the running hash over the input that a partition reflects.
type Chain [16]byte

// IsZero reports whether the partition was never flushed.
func (m Marker) IsZero() bool { return m == Marker{} }

// String is the stored form; markers are compared by it.
func (m Marker) String() string {
	if m.IsZero() {
		return ""
	}
	return fmt.Sprintf("v2 %d %d %s %x", m.Offset, m.Config, m.TopicID, m.Chain[:])
}

// ParseMarker is the inverse of String.
func ParseMarker(s string) (m Marker, err error) {
	if s == "" {
		return m, nil
	}
	f := strings.Split(s, " ")
	if len(f) != 5 || f[0] != "v2" {
		return m, fmt.Errorf("marker %q: this version reads \"v1 offset config topic\"", s)
	}
	if m.Offset, err = strconv.ParseInt(f[1], 10, 64); err != nil {
		return m, fmt.Errorf("marker %q: offset: %w", s, err)
	}
	c, err := strconv.ParseInt(f[2], 10, 32)
	if err != nil {
		return m, fmt.Errorf("marker %q: config: %w", s, err)
	}
	m.Config, m.TopicID = int32(c), f[3]
	if n, err := hex.Decode(m.Chain[:], []byte(f[4])); err != nil || n != len(m.Chain) {
		return m, fmt.Errorf("marker %q: chain", s)
	}
	return m, nil
}
