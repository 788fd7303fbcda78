package store_test

import (
	"context"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

func flushAll(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() }

// keyOf finds the key of partition part that ends so, on whatever node it is.
func keyOf(t *testing.T, c redis.UniversalClient, end string) (found string) {
	t.Helper()
	var mu sync.Mutex
	look := func(ctx context.Context, c *redis.Client) error {
		keys, err := c.Keys(ctx, "{1.3.*}:"+end).Result()
		mu.Lock()
		defer mu.Unlock()
		for _, k := range keys {
			found = k
		}
		return err
	}
	var err error
	switch c := c.(type) {
	case *redis.Client:
		err = look(t.Context(), c)
	case *redis.ClusterClient:
		err = c.ForEachMaster(t.Context(), look)
	}
	if err != nil || found == "" {
		t.Fatalf("no key of partition %d ends in %s, error %v", part, end, err)
	}
	return found
}
