package store

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// count reads the marker and holds what is there against what was written.
func (s *Redis) count(ctx context.Context, p int32) (m Marker, err error) {
	err = s.uncounted(ctx, p, func(c *redis.Client) (err error) {
		m, err = s.countOn(ctx, p, c)
		return err
	})
	if err != nil {
		return m, fmt.Errorf("redis: partition %d: count the keys: %w", p, err)
	}
	return m, nil
}

// countOn does it on one master. On a Cluster the slot is counted; on a single Redis the whole database against all markers, which is as
// cheap, and only where that does not fit the partition's own keys, by a SCAN of the database.
func (s *Redis) countOn(ctx context.Context, p int32, c *redis.Client) (Marker, error) {
	names, slot := []string{s.markerKey(p)}, strconv.Itoa(slotOf(p, s.partitions))
	if s.nodes.cluster == nil {
		slot = ""
		for other := range s.partitions {
			if other != p {
				names = append(names, s.markerKey(other))
			}
		}
	}
	reply, err := run(ctx, c, countScript, names, slot).Slice()
	if err != nil {
		return Marker{}, err
	}
	if len(reply) != 3 {
		return Marker{}, fmt.Errorf("count answered %v", reply)
	}
	text, _ := reply[0].(string)
	have, ok1 := reply[1].(int64)
	want, ok2 := reply[2].(int64)
	if !ok1 || !ok2 {
		return Marker{}, fmt.Errorf("count answered %v", reply)
	}
	now, err := parseStored(text)
	if err != nil {
		return Marker{}, err
	}
	if have != want {
		own, err := s.look(ctx, p, c, have > want)
		if err != nil {
			return Marker{}, err
		}
		if s.nodes.cluster == nil {
			if again, err := c.Get(ctx, s.markerKey(p)).Result(); again != text && !(text == "" && errors.Is(err, redis.Nil)) {
				return Marker{}, errors.Join(fmt.Errorf("%w: partition %d is flushed while it is counted", errInterrupted, p), err)
			}
			have, want = own, now.keys
			if text != "" {
				want++
			}
		}
	}
	if have != want {
		return now.marker, lost(p, have, want)
	}
	s.nodes.counted[p].Store(&c.Options().Addr)
	return now.marker, nil
}

// scanned is how many keys one SCAN or GETKEYSINSLOT looks at: some 100 µs of Redis.
const scanned = 1000

// look counts the partition's keys one by one, and refuses keys that are not ours where there are more than were written. A SCAN may
// name a key twice, so they are told apart, by a hash: two that are one would show as LOST, which is no wrong verdict.
func (s *Redis) look(ctx context.Context, p int32, c *redis.Client, more bool) (own int64, err error) {
	seen := map[uint64]struct{}{}
	seed := maphash.MakeSeed()
	err = s.each(ctx, p, c, func(keys []string) error {
		for _, k := range keys {
			switch {
			case s.ours(p, k):
				seen[maphash.String(seed, k)] = struct{}{}
			case more && s.nodes.cluster != nil:
				return fmt.Errorf("%w: slot %d holds %q, which is not of partition %d of this generation: give streamgauge a Cluster of its own, or delete what an older generation or version left there", ErrForeign, slotOf(p, s.partitions), k, p)
			case more && !s.anyOurs(k):
				return fmt.Errorf("%w: database %d at %s holds %q, which is not of this generation with %d partitions: give streamgauge a database of its own (redis.database), or delete what an older generation or version left there", ErrForeign, c.Options().DB, c.Options().Addr, k, s.partitions)
			}
		}
		return nil
	})
	return int64(len(seen)), err
}

// ours reports whether a key is one of partition p.
func (s *Redis) ours(p int32, key string) bool { return strings.HasPrefix(key, s.tags[p]+":") }

// anyOurs reports whether a key is one of any partition: its tag names which.
func (s *Redis) anyOurs(key string) bool {
	f := strings.SplitN(key, ".", 3)
	if len(f) != 3 {
		return false
	}
	p, err := strconv.ParseInt(f[1], 10, 32)
	return err == nil && p >= 0 && p < int64(s.partitions) && s.ours(int32(p), key)
}

// each walks all keys of the slot on a Cluster, of the database on a single Redis, or at least of those at some time.
func (s *Redis) each(ctx context.Context, p int32, c *redis.Client, do func([]string) error) error {
	if s.nodes.cluster != nil {
		keys, err := c.ClusterGetKeysInSlot(ctx, slotOf(p, s.partitions), 1<<30).Result()
		if err != nil {
			return err
		}
		return do(keys)
	}
	for cursor := uint64(0); ; {
		keys, next, err := c.Scan(ctx, cursor, "", scanned).Result()
		if err != nil {
			return err
		}
		if err := do(keys); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// wipe takes the partition's marker away and deletes its keys, in calls that notice a flush of somebody else.
func (s *Redis) wipe(ctx context.Context, p int32, id string) error {
	first := "1"
	remove := func(c *redis.Client, keys []string) error {
		done, err := run(ctx, c, wipeScript, append([]string{s.markerKey(p)}, keys...), id, first).Int64()
		if err == nil && done == 0 {
			err = fmt.Errorf("%w: partition %d is flushed by somebody while it is emptied", errInterrupted, p)
		}
		if err == nil {
			first = "0"
		}
		return err
	}
	return s.uncounted(ctx, p, func(c *redis.Client) error {
		if err := remove(c, nil); err != nil {
			return err
		}
		return s.each(ctx, p, c, func(keys []string) error {
			mine := keys[:0]
			for _, k := range keys {
				if s.ours(p, k) && k != s.markerKey(p) {
					mine = append(mine, k)
				}
			}
			for len(mine) > 0 {
				n := min(len(mine), callKeys)
				if err := remove(c, mine[:n]); err != nil {
					return err
				}
				mine = mine[n:]
			}
			return nil
		})
	})
}
