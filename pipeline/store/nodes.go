package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// nodes finds the master that a partition lies on. Commands go to that node's own client, which follows no redirection: a redirection
// says that the slot moved, and the new place must be counted before it is believed.
type nodes struct {
	single  *redis.Client
	cluster *redis.ClusterClient
	// counted is, by partition, the address at which all keys were last found to be there; nil: to be counted again.
	counted []atomic.Pointer[string]
}

func newNodes(client redis.UniversalClient, partitions int32) nodes {
	n := nodes{counted: make([]atomic.Pointer[string], partitions)}
	switch c := client.(type) {
	case *redis.Client:
		n.single = c
	case *redis.ClusterClient:
		n.cluster = c
	default:
		panic(fmt.Sprintf("BUG: a window store on a %T", client))
	}
	return n
}

func (n *nodes) master(ctx context.Context, key string) (*redis.Client, error) {
	if n.single != nil {
		return n.single, nil
	}
	return n.cluster.MasterForKey(ctx, key)
}

// reload asks the cluster anew who has what, at most every 200 ms; the answer is there a moment later.
func (n *nodes) reload(ctx context.Context) {
	if n.cluster != nil {
		n.cluster.ReloadState(ctx)
	}
}

// Attempts of one command at what goes by in a moment: a new master is known, a key of a moving slot has arrived, a script of somebody
// else is done. What takes longer is the caller's to wait for, who has other partitions to work on.
const (
	attempts   = 4
	firstPause = 10 * time.Millisecond // then five times as long: 310 ms in all, more than the pause between two reloads
)

// on runs do on the master of partition p until it succeeds or its error is not one that goes by at once. On a Cluster, what a master
// says that was not counted is not believed: ErrLost if keys are missing there. do may run more than once.
func (s *Redis) on(ctx context.Context, p int32, do func(*redis.Client) error) error {
	return s.uncounted(ctx, p, func(c *redis.Client) error {
		if err := do(c); err != nil {
			return err
		}
		return s.believe(ctx, p, c)
	})
}

// uncounted is on for who counts himself, or does not believe anything.
func (s *Redis) uncounted(ctx context.Context, p int32, do func(*redis.Client) error) error {
	n := &s.nodes
	pause := firstPause
	for try := 1; ; try++ {
		c, err := n.master(ctx, s.markerKey(p))
		if err == nil {
			err = do(c)
		}
		if err == nil {
			return nil
		}
		why := classify(err, n.cluster != nil)
		if why.moving {
			n.counted[p].Store(nil)
		}
		if why.elsewhere {
			n.reload(ctx)
		}
		if !why.again || try == attempts {
			return why.wrap(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return why.wrap(err)
		}
		pause *= 5
	}
}

// believe counts the partition's keys on a master where that was not done since it, or the slot, changed.
func (s *Redis) believe(ctx context.Context, p int32, c *redis.Client) error {
	n := &s.nodes
	if n.cluster == nil {
		return nil
	}
	if at := n.counted[p].Load(); at != nil && *at == c.Options().Addr {
		return nil
	}
	_, err := s.countOn(ctx, p, c)
	return err
}
