package store

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed flush.lua
var flushSource string

// flush runs by EVALSHA; go-redis loads the script where a master does not know it (NOSCRIPT).
var flush = redis.NewScript(flushSource)

// Redis is a Store in one Redis. Keys of partition p of generation g, under one hash tag each: {g.p}:m the marker, {g.p}:h:<hash> a
// customer, hash = base64 of the first 16 bytes of SHA-256 of its key: key names carry no customer data.
type Redis struct {
	client     redis.UniversalClient
	generation int32
}

// NewRedis uses client, which the caller closes.
func NewRedis(client redis.UniversalClient, generation int32) *Redis {
	return &Redis{client: client, generation: generation}
}

func (s *Redis) markerKey(p int32) string { return fmt.Sprintf("{%d.%d}:m", s.generation, p) }

func (s *Redis) customerKey(p int32, key []byte) string {
	h := sha256.Sum256(key)
	return fmt.Sprintf("{%d.%d}:h:%s", s.generation, p, base64.RawURLEncoding.EncodeToString(h[:16]))
}

// Load implements Store by one MGET, which Redis runs as one step.
func (s *Redis) Load(ctx context.Context, p int32, keys [][]byte) (Marker, [][]byte, error) {
	names := make([]string, 0, len(keys)+1)
	names = append(names, s.markerKey(p))
	for _, k := range keys {
		names = append(names, s.customerKey(p, k))
	}
	got, err := s.client.MGet(ctx, names...).Result()
	if err != nil {
		return Marker{}, nil, fmt.Errorf("redis: partition %d: load %d customers: %w", p, len(keys), err)
	}
	text, _ := got[0].(string)
	m, err := ParseMarker(text)
	if err != nil {
		return Marker{}, nil, fmt.Errorf("redis: partition %d: %w", p, err)
	}
	values := make([][]byte, len(keys))
	for i := range keys {
		if v, ok := got[i+1].(string); ok {
			values[i] = []byte(v)
		}
	}
	return m, values, nil
}

// Flush implements Store by flush.lua.
func (s *Redis) Flush(ctx context.Context, p int32, base, next Marker, entries []Entry) (Marker, error) {
	names := make([]string, 0, len(entries)+1)
	args := make([]any, 0, len(entries)+2)
	names = append(names, s.markerKey(p))
	args = append(args, base.String(), next.String())
	for _, e := range entries {
		names = append(names, s.customerKey(p, e.Key))
		args = append(args, e.Value)
	}
	text, err := flush.Run(ctx, s.client, names, args...).Text()
	if err != nil {
		return Marker{}, fmt.Errorf("redis: partition %d: flush %d customers to offset %d: %w", p, len(entries), next.Offset, err)
	}
	now, err := ParseMarker(text)
	if err != nil {
		return Marker{}, fmt.Errorf("redis: partition %d: %w", p, err)
	}
	return now, nil
}
