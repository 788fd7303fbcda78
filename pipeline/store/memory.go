package store

import (
	"context"
	"maps"
	"sync"
)

// Memory is a Store in the process: what tests break on purpose, and the contract's second implementation.
type Memory struct {
	mu    sync.Mutex
	parts map[int32]memoryPartition
}

type memoryPartition struct {
	marker    Marker
	customers map[string]string
}

// NewMemory makes an empty one.
func NewMemory() *Memory { return &Memory{parts: map[int32]memoryPartition{}} }

// Load implements Store.
func (s *Memory) Load(_ context.Context, p int32, keys [][]byte) (Marker, [][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.parts[p]
	values := make([][]byte, len(keys))
	for i, k := range keys {
		if v, ok := part.customers[string(k)]; ok {
			values[i] = []byte(v)
		}
	}
	return part.marker, values, nil
}

// Flush implements Store.
func (s *Memory) Flush(_ context.Context, p int32, base, next Marker, entries []Entry) (Marker, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.parts[p]
	if part.marker != base {
		return part.marker, nil
	}
	if part.customers == nil {
		part.customers = map[string]string{}
	}
	for _, e := range entries {
		part.customers[string(e.Key)] = string(e.Value)
	}
	part.marker = next
	s.parts[p] = part
	return next, nil
}

// Snapshot returns a copy of everything held, for Restore: together they are a failover that loses a suffix.
func (s *Memory) Snapshot() *Memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := NewMemory()
	for p, part := range s.parts {
		out.parts[p] = memoryPartition{marker: part.marker, customers: maps.Clone(part.customers)}
	}
	return out
}

// Restore puts the store back to an earlier Snapshot; an empty Memory is total loss.
func (s *Memory) Restore(from *Memory) {
	from = from.Snapshot()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = from.parts
}
