package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"strconv"
	"sync"
)

// Memory is a Store in the process: what tests break on purpose, and the contract's second implementation. It applies the same calls
// that Redis gets, one by one.
type Memory struct {
	// Between is called before each call of a flush but the first, with the call's index, no lock held; an error ends the flush there,
	// as a kill or a cut does. Set it before the first use.
	Between func(partition int32, call int) error
	// CallKeys is how many keys a call takes, so that small flushes travel in several; 0: as many as with Redis. Set it like Between.
	CallKeys int

	mu      sync.Mutex
	parts   map[int32]*memoryPartition
	flushes int64
}

type memoryPartition struct {
	stored
	values map[string]string // by name without prefix, the marker's not among them
}

// NewMemory makes an empty one.
func NewMemory() *Memory { return &Memory{parts: map[int32]*memoryPartition{}} }

// Load implements Store.
func (s *Memory) Load(_ context.Context, p int32, keys [][]byte) (Marker, [][]byte, error) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = headName(hashed(k))
	}
	return s.read(p, names, len(keys) == 0)
}

// LoadChunks implements Store.
func (s *Memory) LoadChunks(_ context.Context, p int32, refs []ChunkRef) (Marker, [][]byte, error) {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = chunkName(hashed(r.Key), r.Name)
	}
	return s.read(p, names, false)
}

func (s *Memory) read(p int32, names []string, count bool) (Marker, [][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.part(p)
	if have := int64(len(part.values)); count && have != part.keys {
		return part.marker, nil, lost(p, have, part.keys)
	}
	values := make([][]byte, len(names))
	for i, name := range names {
		if v, ok := part.values[name]; ok {
			values[i] = []byte(v)
		}
	}
	return part.marker, values, nil
}

// lost is an ErrLost that says how many.
func lost(p int32, have, want int64) error {
	return fmt.Errorf("%w: partition %d: %d keys are there, %d were written", ErrLost, p, have, want)
}

func (s *Memory) part(p int32) *memoryPartition {
	if s.parts[p] == nil {
		s.parts[p] = &memoryPartition{values: map[string]string{}}
	}
	return s.parts[p]
}

// Flush implements Store.
func (s *Memory) Flush(_ context.Context, f *Flush) (Result, error) {
	f.check()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushes++
	id := strconv.FormatInt(s.flushes, 10)
	if f.Replace {
		s.parts[f.Partition] = nil
	}
	calls := split(f.Entries, cmp.Or(s.CallKeys, callKeys), callBytes)
	for i := range calls {
		if i > 0 && s.Between != nil {
			s.mu.Unlock()
			err := s.Between(f.Partition, i)
			s.mu.Lock()
			if err != nil {
				return Result{}, fmt.Errorf("partition %d: call %d of a flush to offset %d: %w", f.Partition, i, f.Next.Offset, err)
			}
		}
		next := f.Base
		if i == len(calls)-1 {
			next = f.Next
		}
		part := s.part(f.Partition)
		switch {
		case part.marker != f.Base:
			return Result{Now: part.marker}, nil
		case i > 0 && (part.flush != id || part.calls != i):
			return Result{}, interrupted(f, i)
		}
		if full := part.apply(&calls[i]); len(full) > 0 {
			return Result{Now: part.marker, Full: full}, nil
		}
		part.stored = stored{marker: next, flush: id, calls: i + 1, keys: part.keys}
	}
	return Result{Now: f.Next}, nil
}

// apply does a call's ops, or nothing if it returns keys whose delta does not fit: flush.lua in Go.
func (p *memoryPartition) apply(c *call) (full [][]byte) {
	var todo []op
	var at, lsn int64 // of the last head; −1: there is none
	for _, o := range c.ops {
		write := false
		switch o.kind {
		case opGuard, opWhole, opDelta:
			at, lsn = p.lsn(o.name), o.entry.LSN
			write = o.kind != opGuard && at <= lsn
		case opChunk:
			write = at <= lsn
		case opDead:
			write = at == lsn
		}
		if !write {
			continue
		}
		if d := o.entry.Delta; o.kind == opDelta && (at != d.FromLSN || len(p.values[o.name]) != d.Length) {
			full = append(full, o.entry.Key)
			continue
		}
		if o.kind == opWhole || o.kind == opDelta {
			at = lsn
		}
		todo = append(todo, o)
	}
	if len(full) > 0 {
		return full
	}
	before := int64(len(p.values))
	for _, o := range todo {
		switch o.kind {
		case opWhole:
			p.values[o.name] = string(o.entry.Value)
		case opDelta:
			d := o.entry.Delta
			p.values[o.name] = string(d.Header) + p.values[o.name][len(d.Header):] + string(d.Tail)
		case opChunk:
			p.values[o.name] = string(o.value)
		case opDead:
			delete(p.values, o.name)
		}
	}
	p.keys += int64(len(p.values)) - before
	return nil
}

// lsn is the stored customer's, −1 where there is none.
func (p *memoryPartition) lsn(name string) int64 {
	v, ok := p.values[name]
	if !ok {
		return -1
	}
	return int64(binary.BigEndian.Uint64([]byte(v)))
}

// Snapshot returns a copy of everything held, for Restore: together they are a failover that loses a suffix.
func (s *Memory) Snapshot() *Memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := NewMemory()
	out.flushes = s.flushes
	for p, part := range s.parts {
		if part != nil {
			out.parts[p] = &memoryPartition{stored: part.stored, values: maps.Clone(part.values)}
		}
	}
	return out
}

// Restore puts the store back to an earlier Snapshot; an empty Memory is total loss.
func (s *Memory) Restore(from *Memory) {
	from = from.Snapshot()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = from.parts // the count of flushes goes on: ids are never used twice
}

// Forget drops one customer's head behind the marker's back, as an eviction does.
func (s *Memory) Forget(p int32, key []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.part(p).values, headName(hashed(key)))
}
